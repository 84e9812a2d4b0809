package license

import (
	"time"

	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/pkg/cache"
	"github.com/latchkey-dev/latchkey/pkg/token"
	"github.com/latchkey-dev/latchkey/proto/claims"
	"github.com/latchkey-dev/latchkey/proto/openapi"
	"github.com/latchkey-dev/latchkey/services/license/internal/api"
	"github.com/latchkey-dev/latchkey/services/license/internal/block"
	"github.com/latchkey-dev/latchkey/services/license/internal/catalog"
	"github.com/latchkey-dev/latchkey/services/license/internal/customer"
	"github.com/latchkey-dev/latchkey/services/license/internal/delegation"
	"github.com/latchkey-dev/latchkey/services/license/internal/group"
	"github.com/latchkey-dev/latchkey/services/license/internal/integration"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensefile"
	"github.com/latchkey-dev/latchkey/services/license/internal/licenseimport"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
	"github.com/latchkey-dev/latchkey/services/license/internal/manage"
	"github.com/latchkey-dev/latchkey/services/license/internal/rpc"
	"github.com/latchkey-dev/latchkey/services/license/internal/user"
)

// routes puts the surfaces on the public and the internal port.
func (s *Service) routes(cfg Config) {
	files := &licensefile.Files{
		Store: s.store, Seats: s.seats, Keys: s.fileKeys, Signers: licensefile.NewSigners(s.Clock), Clock: s.Clock,
	}
	signIns := s.signIns(user.NewPasswords())
	dialects := s.dialects(cfg, signIns)
	public := s.PublicEngine(app.Public{
		OpenAPI: openapi.License, CORSOrigins: cfg.CORSOrigins, Errors: errorWriters(dialects),
	})
	api.New(s.apiDeps(cfg, files, signIns)).Routes(s.whileLicensed(public))
	for _, d := range dialects {
		if d.name == spectraAnalyze { // licenses this installation
			d.routes(public)
			continue
		}
		d.routes(s.whileLicensed(public))
	}
	manage.New(s.manageDeps(files, signIns)).Routes(s.InternalEngine())
	s.Mount(rpc.NewHandler(s.rpcDeps(signIns.Tokens), s.ForPeers(rpc.Callers)...))
}

func (s *Service) apiDeps(cfg Config, files *licensefile.Files, signIns *user.SignIns) api.Deps {
	return api.Deps{
		Seats:         s.seats,
		Counters:      s.counters,
		SignIns:       signIns,
		Offline:       &licensing.Offline{Seats: s.seats, Store: s.store, Signer: s.auth.Signer, Clock: s.Clock},
		Leases:        s.leases,
		Files:         files,
		Revocations:   &licensefile.Revocations{Store: s.revoked, Keys: files.Keys, Clock: s.Clock, Log: s.Log},
		FileKeys:      cache.New[struct{}, []licensefile.Key](cache.Options{Capacity: 1, TTL: time.Second}, s.Clock),
		Idempotency:   s.Idempotency,
		Families:      s.auth.Families,
		Clock:         s.Clock,
		Tokens:        token.NewVerifier(s.auth.SigningKeys, s.Clock, claims.AudienceAccess),
		OfflineTokens: token.NewVerifier(s.auth.SigningKeys, s.Clock, claims.AudienceOffline),
		TokenAttempts: app.NewClientAttempts(s.Core),
		TokenQuota:    app.NewTokenQuota(s.Core, cfg.TokenLimit),
		Refusals:      app.NewRefusals(s.Core, s.telemetry, "heartbeat, offline-token and validate-offline"),
		RequireAPIKey: s.guard.Require(),
	}
}

func (s *Service) manageDeps(files *licensefile.Files, signIns *user.SignIns) manage.Deps {
	customers := &customer.Customers{Store: s.store, Clock: s.Clock}
	users := &user.Users{Store: s.store, Licenses: s.licenses, Passwords: signIns.Passwords, Clock: s.Clock}
	return manage.Deps{
		Licenses:      s.licenses,
		Seats:         s.seats,
		Reads:         s.store,
		Leases:        s.leases,
		Counters:      s.counters,
		Blocks:        &block.Blocks{Store: s.store, Clock: s.Clock},
		Customers:     customers,
		Users:         users,
		SignIns:       signIns,
		Groups:        &group.Groups{Store: s.store, Licenses: s.licenses, Clock: s.Clock},
		Products:      &catalog.Products{Store: s.store, Clock: s.Clock},
		Policies:      &catalog.Policies{Store: s.store, Clock: s.Clock, ShortLeases: s.licenses.ShortLeases},
		Files:         files,
		WhileLicensed: s.requireLicense,
		Admit:         s.admit(),
		DelegatedKeys: s.delegation(),
		Delegation: &delegation.Organisations{
			Store: s.store, Licenses: s.licenses, Catalog: s.store, Tokens: s.fileKeys, Clock: s.Clock,
		},
		Integrations: &integration.Integrations{Store: s.store, Responses: s.responses, Clock: s.Clock},
		Imports: &licenseimport.Imports{
			Store: s.store, Licenses: s.licenses, Reads: s.store, Customers: customers, Users: users,
			Counters: s.counters, Blocks: s.blocks, Clock: s.Clock,
		},
		Idempotency:  s.Idempotency,
		Log:          s.Log,
		Clock:        s.Clock,
		RequireActor: s.RequireActor(),
	}
}

// signIns are the use cases of users. Their attempts are counted over all replicas, also where calls with API keys are
// not.
func (s *Service) signIns(passwords *user.Passwords) *user.SignIns {
	return &user.SignIns{
		Store:     s.store,
		Passwords: passwords,
		Tokens:    &user.Tokens{Ring: s.ring, Lookup: s.users, Clock: s.Clock},
		Telemetry: s.telemetry,
		Limiter:   app.NewSharedLimiter(s.Core),
		Ring:      s.ring,
		Clock:     s.Clock,
	}
}

func (s *Service) rpcDeps(tokens *user.Tokens) rpc.Deps {
	return rpc.Deps{Seats: s.seats, Reads: s.store, UserTokens: tokens, Clock: s.Clock, Admit: s.admit()}
}
