package trial

import (
	"context"

	"github.com/latchkey-dev/latchkey/services/license/internal/catalog"
)

// Store keeps who has a trial of what. E-mail addresses are folded.
type Store interface {
	// FindTrial is the id of the license that an e-mail address has of a product, empty for none.
	FindTrial(ctx context.Context, productID, email string) (licenseID string, err error)
	// MakeTrial keeps the id of the license that give makes, in one transaction with what give writes by its ctx,
	// unless the e-mail address has one: then that is the license. give may run more than once.
	MakeTrial(ctx context.Context, productID, email string,
		give func(ctx context.Context) (licenseID string, err error)) (
		licenseID string, made bool, err error)
	// KeyRotated reports whether a license ever got another key.
	KeyRotated(ctx context.Context, licenseID string) (bool, error)
	// TrialPolicy is the trial policy of a product that has the code, or the first by code where that is empty; nil for
	// none.
	TrialPolicy(ctx context.Context, productID, code string) (*catalog.Policy, error)
}
