// Package refusal reports refused tokens: each counts in a metric, and those of tokens with our signature become
// events, so many a minute that neither who makes tokens up nor who presents an ended one again and again can fill a
// table.
package refusal

import (
	"errors"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/token"
	"github.com/latchkey-dev/latchkey/proto/claims"
)

// Token is what was presented, and from where.
type Token struct {
	// Chain names what is limited together: the token's family, or the license and device of a token without one. It is
	// empty for a token that is not known to be ours; its refusal only counts in the metric.
	Chain                 string
	LicenseID, HardwareID string
	Origin
}

// Origin is where a token was presented.
type Origin struct {
	IP string
	// ViaProxy says that IP may be the address of a proxy which nobody named.
	ViaProxy bool
}

// Signed is the token raw, whose signature was seen to be good.
func Signed(raw string, from Origin) Token {
	var c claims.Access // an offline token has the same claims, except the family
	if _, _, err := jwt.NewParser().ParseUnverified(raw, &c); err != nil {
		return Token{Origin: from}
	}
	t := Token{Chain: c.FamilyID, LicenseID: c.Subject, HardwareID: c.HardwareID, Origin: from}
	if t.Chain == "" {
		t.Chain = t.LicenseID + "|" + t.HardwareID
	}
	return t
}

// Verified is the token raw that err of package token refused: nothing is believed of it unless it carries our
// signature.
func Verified(err error, raw string, from Origin) Token {
	if !token.Ours(err) {
		return Token{Origin: from}
	}
	return Signed(raw, from)
}

// Refusal is what an event reports.
type Refusal struct {
	Token
	ErrorCode string
	At        time.Time
	// Count is how many refusals of the chain this one stands for: itself, and those since the last that was published.
	Count int
}

// Options are what a Recorder works with.
type Options struct {
	Clock clock.Clock
	// Count counts a refusal by its reason: see Counter.
	Count func(reason string)
	// Publish makes an event. It must not block.
	Publish func(Refusal)
}

// Recorder notes refusals. It is safe for concurrent use. Each process limits by itself.
type Recorder struct {
	opts   Options
	chains chains
}

// New makes a recorder.
func New(opts Options) *Recorder { return &Recorder{opts: opts} }

// Note records a token refused with err, and returns err. A nil err and internal failures are not refusals.
func (r *Recorder) Note(err error, t Token) error {
	var e *apierr.Error
	if !errors.As(err, &e) || !refuses(e.Kind) {
		return err
	}
	reason, ok := e.Details["reason"].(string)
	if !ok {
		reason = e.Code
	}
	r.opts.Count(strings.ToLower(reason))
	if t.Chain == "" {
		return err
	}
	now := r.opts.Clock.Now()
	if count := r.chains.publish(t.LicenseID, t.Chain, now); count > 0 {
		r.opts.Publish(Refusal{Token: t, ErrorCode: e.Code, At: now, Count: count})
	}
	return err
}

func refuses(k apierr.Kind) bool {
	return k == apierr.Unauthenticated || k == apierr.Forbidden || k == apierr.NotFound
}

// Counter registers latchkey_<service>_refused_tokens_total and returns what counts in it. calls names the calls, for
// its help. Most refusals are seen nowhere else.
func Counter(r prometheus.Registerer, service, calls string) func(reason string) {
	refused := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "latchkey_" + service + "_refused_tokens_total",
		Help: "Calls of " + calls + " that were refused, by reason.",
	}, []string{"reason"})
	r.MustRegister(refused)
	return func(reason string) { refused.WithLabelValues(reason).Inc() }
}
