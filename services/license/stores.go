package license

import (
	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/pkg/masterkey"
	"github.com/latchkey-dev/latchkey/services/license/internal/integration"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensefile"
	"github.com/latchkey-dev/latchkey/services/license/internal/store"
)

// open makes the stores and the caches before them.
func (s *Service) open(cfg Config, deps app.Deps, keys *masterkey.Register) {
	link := s.Link.From(Name)
	s.lookup = store.NewLookup(deps.DB, keys, deps.Clock, store.CacheOptions{
		Bytes: cfg.cacheBytes(app.MemoryLimit()), Link: link,
	})
	s.ObserveCaches(s.lookup.Counts())
	s.users = store.NewUsers(deps.DB, deps.Clock, link)
	s.signers = store.NewSigners(deps.DB, keys.Ring, deps.Clock, link)
	s.ring = keys.Ring
	s.blocks = store.NewBlocks(deps.DB, keys.Ring, deps.Clock, link)
	s.store = store.New(store.Deps{
		DB: deps.DB, Outbox: s.Outbox, Keys: keys, Clock: deps.Clock, Committed: s.committed,
		Telemetry: s.telemetry,
	})
	s.responses = integration.NewResponseKeys(s.store, deps.Clock)
	s.fileKeys = &licensefile.Keys{Store: s.store, Clock: deps.Clock}
	s.revoked = store.NewRevocations(s.store, deps.Clock)
	s.seen = store.NewSeen(deps.DB, deps.Clock, s.lookup.ForgetDevice, deps.Log)
}
