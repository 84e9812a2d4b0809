package licensefile

import (
	"context"
	"encoding/json"
	"time"

	file "github.com/latchkey-dev/latchkey/proto/licensefile"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// Statement signs what a validation said of a license and the seat that was found, for anyone who made the nonce.
func (s *Files) Statement(ctx context.Context, v *licensing.Validation, nonce string) (string, error) {
	l := v.License
	key, _, err := s.Signers.Fetch(ctx, l.Product, func(ctx context.Context) (*Key, error) {
		return s.Keys.signer(ctx, file.UseLicenses, l.Product)
	})
	if err != nil {
		return "", err
	}
	payload, err := json.Marshal(file.Statement{
		Format:      file.StatementFormat,
		Nonce:       nonce,
		HardwareID:  v.HardwareID,
		LicenseID:   l.ID,
		Product:     l.Product,
		LicenseType: l.LicenseType(),
		Status:      string(v.Status),
		IssuedAt:    s.Clock.Now().Truncate(time.Second),
		ExpiresAt:   l.ExpiresAt,
		UsableUntil: l.UsableUntil(),
	})
	if err != nil {
		return "", err
	}
	return string(key.fileSigner().Sign(file.KindStatement, payload)), nil
}
