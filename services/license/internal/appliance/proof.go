package appliance

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"

	file "github.com/latchkey-dev/latchkey/proto/licensefile"
)

// prove makes a call of an upstream. Where the issuers are known, its good answer counts only as far as one of them
// signed it for this call, this machine and, where its id is known, this license; so neither another server that has a
// certificate for its name, nor one that hands on what it was told before, licenses an installation. A refusal licenses
// nothing and needs no signature. Errors: those of the call, errNotTrusted.
func (a *Appliance) prove(
	ctx context.Context, machineID, licenseID string, call func(nonce string) (Answer, error),
) (Answer, error) {
	t := &a.Trust
	roots, err := t.Roots(ctx)
	if err != nil {
		return Answer{}, err
	}
	if t.Own || len(roots) == 0 {
		return call("")
	}
	q := file.Question{
		Nonce: rand.Text(), HardwareID: machineID, LicenseID: licenseID, Product: t.Product, Now: a.now(),
	}
	answer, err := call(q.Nonce)
	if err != nil {
		return Answer{}, err
	}
	said, err := proven(roots, answer.Statement, q)
	said.Taken = answer.Taken
	return said, err
}

// proven is what a statement says, if one of the roots stands behind it.
func proven(roots []ed25519.PublicKey, statement string, q file.Question) (Answer, error) {
	why := errors.New("none of the root keys signed the answer")
	for _, root := range roots {
		s, err := file.OpenStatement(root, []byte(statement), q)
		if err == nil {
			return Answer{
				LicenseID:   s.LicenseID,
				Product:     s.Product,
				LicenseType: s.LicenseType,
				ExpiresAt:   s.ExpiresAt,
				UsableUntil: s.UsableUntil,
			}, nil
		}
		if !errors.Is(err, file.ErrAltered) {
			why = err
		}
	}
	return Answer{}, errNotTrusted.WithCause(why)
}
