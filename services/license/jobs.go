package license

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/apikey"
	"github.com/latchkey-dev/latchkey/pkg/event"
	"github.com/latchkey-dev/latchkey/pkg/token"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
	"github.com/latchkey-dev/latchkey/services/license/internal/store"
)

// Watches are the types of the events that change what this service caches, one by one: telemetry must not come to
// every replica.
func Watches() []string {
	return append([]string{
		eventsv1.TypeLicenseActivated, eventsv1.TypeLicenseDeactivated, eventsv1.TypeLicenseReactivated,
		eventsv1.TypeLicenseTransferred, eventsv1.TypeLicenseUpdated, eventsv1.TypeLicenseExpiring,
		eventsv1.TypeLicenseTokenReused, eventsv1.TypeDeviceDeactivated, eventsv1.TypeProductUpdated,
		eventsv1.TypeLicenseStarted, eventsv1.TypeLicenseInGrace, eventsv1.TypeLicenseExpired,
		eventsv1.TypeLicenseRenewed, eventsv1.TypeLicenseSuspended, eventsv1.TypeLicenseReinstated,
		eventsv1.TypeLicenseConverted, eventsv1.TypeLicenseKeyRotated, eventsv1.TypeLicenseEnrollmentKeyDeleted,
		eventsv1.TypeDeviceRebound, eventsv1.TypeDeviceCulled, eventsv1.TypeDeviceBlocked, eventsv1.TypeDeviceUnblocked,
		eventsv1.TypeCustomerErased,
		eventsv1.TypeUserUpdated, eventsv1.TypeUserDeleted, eventsv1.TypeUserPasswordChanged,
		eventsv1.TypeUserAssigned, eventsv1.TypeUserUnassigned,
	}, slices.Concat(apikey.Events(), token.KeyEvents(), store.IntegrationEvents())...)
}

// noteExpiredEvery is how late license.lease.expired may come. The slots are free before.
const noteExpiredEvery = 10 * time.Second

// Run relays events, writes what was batched, listens for changes of state and prunes until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	return s.RunJobs(ctx, append(s.edgeJobs(),
		s.telemetry.Run,
		s.WhileWritable(s.seen.Run), // keeps a bounded number of devices meanwhile
		s.Every(time.Minute, "announce what time alone changes", s.announce),
		s.Watch(Watches(), s.lookup, s.blocks, s.revoked, s.users, s.signers,
			s.auth.Families, s.auth.SigningKeys, s.guard),
		s.Every(noteExpiredEvery, "note expired leases", s.noteExpired),
		s.Every(time.Minute, "free idle seats", s.cull),
		s.Every(time.Hour, "add the customers of licenses", s.addCustomers),
		s.EveryReadOnly(countSeatsEvery, "count the licenses that run out of seats", s.countSeats),
		s.Every(time.Minute, "erase customers from the event log", s.store.ScrubErased),
		s.Prune(s.prune),
	)...)
}

func (s *Service) announce(ctx context.Context) error {
	_, expiring := s.licenses.AnnounceExpiring(ctx)
	_, due := s.licenses.AnnounceDue(ctx)
	return errors.Join(expiring, due)
}

func (s *Service) noteExpired(ctx context.Context) error {
	_, err := s.leases.NoteExpired(ctx)
	return err
}

func (s *Service) cull(ctx context.Context) error {
	_, err := s.seats.Cull(ctx)
	return err
}

func (s *Service) addCustomers(ctx context.Context) error {
	_, err := s.store.AddMissingCustomers(ctx)
	return err
}

func (s *Service) prune(ctx context.Context) error {
	_, errDevices := s.store.PruneDevices(ctx)
	_, errLeases := s.store.PruneLeases(ctx)
	return errors.Join(errDevices, errLeases, s.store.PruneRevocations(ctx), s.store.PruneCounters(ctx),
		s.store.PruneReports(ctx), s.store.PruneOfflineRequests(ctx))
}

// committed drops from memory what a change of this process has made old, before the bus tells of it.
func (s *Service) committed(e event.Event) {
	s.lookup.OnEvent(e)
	s.blocks.OnEvent(e)
	s.revoked.OnEvent(e)
	s.users.OnEvent(e)
	s.signers.OnEvent(e)
}
