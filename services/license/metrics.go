package license

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/latchkey-dev/latchkey/services/license/internal/appliance"
)

// countSeatsEvery is how old the metric of seatUse may be: it looks at every license.
const countSeatsEvery = 5 * time.Minute

// seatUse makes the metric of the licenses that run out of seats.
func seatUse(r prometheus.Registerer) *prometheus.GaugeVec {
	v := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "latchkey_license_seats_near_limit",
		Help: "Usable licenses for two devices or more of which all seats are taken (full), or 9 of 10 " +
			"(nearly_full); counted every 5 minutes.",
	}, []string{"seats"})
	r.MustRegister(v)
	return v
}

func (s *Service) countSeats(ctx context.Context) error {
	full, nearly, err := s.store.NearSeatLimit(ctx, s.Clock.Now())
	if err != nil {
		return err
	}
	s.seatUse.WithLabelValues("full").Set(float64(full))
	s.seatUse.WithLabelValues("nearly_full").Set(float64(nearly))
	return nil
}

// applianceStatus makes the metric of the license of this installation itself.
func applianceStatus(r prometheus.Registerer) *prometheus.GaugeVec {
	v := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "latchkey_license_appliance_status",
		Help: "The status of the license of this installation itself: 1 for the one that it has, 0 for the others; " +
			"none where it needs no license.",
	}, []string{"status"})
	r.MustRegister(v)
	return v
}

func (s *Service) showStatus(has appliance.Status) {
	if !s.appliance.Bound() {
		return
	}
	for _, status := range appliance.Statuses {
		value := 0.0
		if status == has {
			value = 1
		}
		s.applianceStatus.WithLabelValues(string(status)).Set(value)
	}
}
