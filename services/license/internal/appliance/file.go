package appliance

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/audit"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	file "github.com/latchkey-dev/latchkey/proto/licensefile"
)

// File is a license file that was uploaded.
type File struct {
	Text       []byte
	UploadedAt time.Time
	// product is that of the license, and signer the root behind it; nil for none that is trusted.
	product string
	signer  ed25519.PublicKey
	// ownIssuer says that this installation itself is the issuer.
	ownIssuer bool
}

// Trust says which license files are accepted.
type Trust struct {
	// Roots are the root keys of the issuers.
	Roots func(ctx context.Context) ([]ed25519.PublicKey, error)
	// Own says that Roots is the root of this installation. Its files are there to try it out: they never make it
	// refuse anything.
	Own bool
	// Product, when not empty, is the code of the only product whose licenses are accepted.
	Product string
}

// findIssuer finds the root behind a file.
func (t *Trust) findIssuer(ctx context.Context, f *File) error {
	roots, err := t.Roots(ctx)
	if err != nil {
		return err
	}
	for _, root := range roots {
		if opened, err := file.Open(root, f.Text); err == nil {
			f.signer, f.product, f.ownIssuer = root, cmp.Or(t.Product, opened.Certificate.Product), t.Own
		}
	}
	return nil
}

// Read is what the file says, and whether a machine may use it at a time; see licensefile.Verify. One for any machine
// licenses no installation.
func (f *File) Read(machineID string, now time.Time) (*file.Payload, error) {
	said, err := file.Verify(f.Text, file.Check{Root: f.signer, Product: f.product, HardwareID: machineID, Now: now})
	if err == nil && said.Machines == nil {
		err = file.ErrMachine
	}
	return said, err
}

func (f *File) status(machineID string, now time.Time) Status {
	switch _, err := f.Read(machineID, now); {
	case err == nil:
		return Valid
	case errors.Is(err, file.ErrExpired):
		return Expired
	case errors.Is(err, file.ErrMachine):
		return Unlicensed
	}
	return Invalid
}

// Upload puts a license file on this installation, in the place of the license that it has. Errors: VALIDATION_ERROR,
// errChanged.
func (a *Appliance) Upload(ctx context.Context, by *audit.Actor, text []byte) error {
	return a.inTurn(ctx, func() error { return a.upload(ctx, by, mailed(text)) })
}

// mailed is a file without what mail programs do to it: other ends of lines, blanks at its end, a byte order mark.
func mailed(text []byte) []byte {
	text = bytes.ReplaceAll(bytes.TrimPrefix(text, []byte("\ufeff")), []byte("\r\n"), []byte("\n"))
	return append(bytes.TrimSpace(text), '\n')
}

func (a *Appliance) upload(ctx context.Context, by *audit.Actor, text []byte) error {
	now := a.now()
	before, _, err := a.Current(ctx)
	if err != nil {
		return err
	}
	f := &File{Text: text, UploadedAt: now}
	if err := a.Trust.findIssuer(ctx, f); err != nil {
		return err
	}
	if f.signer == nil {
		return a.untrusted(ctx)
	}
	said, err := f.Read(before.MachineID, clock.Later(now, before.SeenAt))
	if err != nil {
		return refuseFile(err)
	}
	return a.change(ctx, before.MachineID, func(i *Installation) proto.Message {
		i.license(f, nil, now)
		return audit.Entry(by, "appliance.upload_license", nil, map[string]any{
			"machine_id": i.MachineID, "file_id": said.FileID, "license_id": said.License.LicenseID,
			"expires_at": said.ExpiresAt,
		})
	})
}

// untrusted refuses a file that no trusted root stands behind.
func (a *Appliance) untrusted(ctx context.Context) error {
	roots, err := a.Trust.Roots(ctx)
	if err != nil {
		return err
	}
	if len(roots) == 0 {
		return apierr.InvalidField("file", "cannot be accepted: this installation trusts no issuer; set "+
			"LATCHKEY_EDGE_ROOTS to the issuer's root key, which it shows as public_key_pem at /api/v1/license/keys")
	}
	return apierr.InvalidField("file",
		"is not a license file of a trusted issuer, or was altered; "+
			"set LATCHKEY_EDGE_ROOTS to accept an issuer. Without it only files of this installation itself are "+
			"accepted, to try it out")
}

// problems are what a refused upload says.
var problems = map[error]string{
	file.ErrKind:    "is not a license file",
	file.ErrProduct: "is for another product",
	file.ErrMachine: "is for other machines; ask for one that names the machine id of this installation",
	file.ErrExpired: "has expired; ask for a new one",
	file.ErrEarly:   "is from the future; set the clock of this installation",
	file.ErrKey:     "is encrypted; ask for one that is not",
}

func refuseFile(err error) error {
	for known, problem := range problems {
		if errors.Is(err, known) {
			return apierr.InvalidField("file", problem)
		}
	}
	return apierr.InvalidField("file", "is not a license file, or was altered")
}
