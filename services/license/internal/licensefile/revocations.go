package licensefile

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/clock"
	file "github.com/latchkey-dev/latchkey/proto/licensefile"
)

// nextUpdate is how long a revocation list counts as new.
const nextUpdate = 24 * time.Hour

// Revocations are the use cases of the revocation list: the licenses that are suspended or deactivated, and the devices
// that left their seats, while somebody may still go on without the server. What is on it is one query,
// store/revocation_list.go.
type Revocations struct {
	Store RevocationStore
	Keys  *Keys
	Clock clock.Clock
	Log   *slog.Logger
	// lastLogged is the number of the last list that was logged as large.
	lastLogged atomic.Int64
}

// List is the revocation list, or what changed on it after the list with the number since, with its signed form; nil
// when nothing has. Of a number that is too old, or that is not known, the answer is the whole list.
func (s *Revocations) List(ctx context.Context, since int) (list *file.Revocations, signed string, err error) {
	now := s.Clock.Now().Truncate(time.Second)
	number, pruned, entries, err := s.Store.Revocations(ctx, now)
	if err != nil || since == number {
		return nil, "", err
	}
	known := since == pruned || slices.ContainsFunc(entries, func(e Revocation) bool { return e.Number == since })
	if since < pruned || !known {
		// What left the list since was forgotten, or the number is of a time that a restored database does not know:
		// nobody can say what changed.
		since = 0
	}
	list = &file.Revocations{
		Format:     file.RevocationsFormat,
		Number:     int64(number),
		Since:      int64(since),
		IssuedAt:   now,
		NextUpdate: now.Add(nextUpdate),
		Revoked:    []file.Revocation{},
		Reinstated: []file.Revocation{},
	}
	for _, e := range entries {
		shown := file.Revocation{LicenseID: e.LicenseID, Reason: e.Reason, Since: e.ChangedAt}
		if e.HardwareID != "" {
			shown.Device = file.DeviceHash(e.LicenseID, e.HardwareID)
		}
		switch {
		case e.Number <= since:
		case e.Revoked:
			list.Revoked = append(list.Revoked, shown)
		case since > 0:
			list.Reinstated = append(list.Reinstated, shown)
		}
	}
	key, err := s.Keys.signer(ctx, file.UseRevocations, "")
	if err != nil {
		return nil, "", err
	}
	payload, err := json.Marshal(list)
	if err != nil {
		return nil, "", err
	}
	signed = string(key.fileSigner().Sign(file.KindRevocations, payload))
	s.watchSize(list.Number, len(signed))
	return list, signed, nil
}

// watchSize warns before a list is too large for those who check it.
func (s *Revocations) watchSize(number int64, bytes int) {
	if bytes > file.MaxListSize/2 && s.lastLogged.Swap(number) != number {
		s.Log.Warn("the revocation list is close to the largest size that machines read",
			"bytes", bytes, "limit", file.MaxListSize, "number", number)
	}
}
