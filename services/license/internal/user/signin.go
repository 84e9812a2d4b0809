package user

import (
	"context"
	"encoding/hex"
	"errors"
	"net/netip"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/keyring"
	"github.com/latchkey-dev/latchkey/pkg/ratelimit"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// Guesses that may fail before the next has to wait: five in a minute and twenty in an hour of one address at one
// account, and more of all strange addresses together, so that a stranger who fails on purpose does not keep the user
// out who signed in from elsewhere before.
var (
	ofAddress = ratelimit.Limit{PerMinute: 5, PerHour: 20}
	ofAccount = ratelimit.Limit{PerMinute: 20, PerHour: 200}
)

// maxKnown is how many addresses of a user are known.
const maxKnown = 5

// SignIns are the use cases of users: they sign in, and change their passwords.
type SignIns struct {
	Store     Store
	Passwords *Passwords
	Tokens    *Tokens
	Telemetry licensing.Telemetry
	Limiter   ratelimit.Limiter
	Ring      *keyring.Ring
	Clock     clock.Clock
}

// Attempt is who says to be a user.
type Attempt struct {
	Product, Email, Password string
	// CustomerID tells users of one e-mail apart; it may be empty.
	CustomerID string
	// IP is the address that the call came from.
	IP string
}

// Session is a user who has just signed in.
type Session struct {
	User      User
	Token     string
	ExpiresAt time.Time
}

// SignIn proves a user by the password. Errors: ErrSignIn, licensing.ErrUserLocked, ratelimit.ErrExceeded,
// apierr.ErrUnavailable.
func (s *SignIns) SignIn(ctx context.Context, a Attempt) (Session, error) {
	u, err := s.prove(ctx, a)
	if err != nil {
		return Session{}, err
	}
	from := s.network(a.IP)
	u, err = s.Store.ChangeUser(ctx, u.ID, func(now *User) ([]proto.Message, error) {
		if now.Credentials != u.Credentials {
			return nil, ErrSignIn // the password has changed meanwhile
		}
		now.know(from, s.Clock.Now())
		return nil, nil
	})
	if err != nil {
		return Session{}, lost(err)
	}
	s.Telemetry.Record(licensing.Source, u.ID, s.Clock.Now(), &eventsv1.UserSignedIn{User: snapshot(&u), Ip: a.IP})
	return s.session(u), nil
}

// ChangePassword replaces the password of a user who knows it, and signs the user in; tokens of before are void.
// Errors: those of SignIn, VALIDATION_ERROR.
func (s *SignIns) ChangePassword(ctx context.Context, a Attempt, password string) (Session, error) {
	p := apierr.Fields{}
	if checkPassword(p, "new_password", password, a.Email); password == a.Password {
		p.Add("new_password", "must be another than before")
	}
	if err := p.Err(); err != nil {
		return Session{}, err
	}
	u, err := s.prove(ctx, a)
	if err != nil {
		return Session{}, err
	}
	hash, err := s.Passwords.Hash(ctx, password)
	if err != nil {
		return Session{}, err
	}
	from := s.network(a.IP)
	u, err = s.Store.ChangeUser(ctx, u.ID, func(now *User) ([]proto.Message, error) {
		if now.Credentials != u.Credentials {
			return nil, ErrSignIn
		}
		now.setPassword(hash, false, s.Clock.Now())
		now.know(from, s.Clock.Now())
		return []proto.Message{&eventsv1.UserPasswordChanged{User: snapshot(now), By: "user"}}, nil
	})
	if err != nil {
		return Session{}, lost(err)
	}
	return s.session(u), nil
}

func (s *SignIns) session(u User) Session {
	token, end := s.Tokens.Issue(&u)
	return Session{User: u, Token: token, ExpiresAt: end}
}

// lost is ErrSignIn for a user who was deleted meanwhile.
func lost(err error) error {
	if errors.Is(err, ErrNotFound) {
		return ErrSignIn
	}
	return err
}

// prove is the user whose password it is. The cost and the answer are the same whether somebody has the e-mail or not.
func (s *SignIns) prove(ctx context.Context, a Attempt) (User, error) {
	found, err := s.Store.Named(ctx, a.Product, Fold(a.Email), a.CustomerID)
	if err != nil {
		return User{}, err
	}
	var u User
	if len(found) == 1 {
		u = found[0]
	}
	passed, err := s.admit(ctx, &u, a)
	if err != nil {
		return User{}, err
	}
	good, err := s.Passwords.Matches(ctx, u.PasswordHash, a.Password)
	if err != nil {
		passed()
		return User{}, err
	}
	if !good {
		return User{}, ErrSignIn
	}
	passed()
	if u.IsLocked {
		return User{}, licensing.ErrUserLocked
	}
	return u, nil
}

// admit counts an attempt, before its outcome is known so that many at once are no way around, and takes it back by
// passed.
func (s *SignIns) admit(ctx context.Context, u *User, a Attempt) (passed func(), err error) {
	account := s.hash("account", a.Product+"\x00"+Fold(a.Email))
	address := ratelimit.Quota{Limiter: s.Limiter, Limit: ofAddress}
	all := ratelimit.Quota{Limiter: s.Limiter, Limit: ofAccount}
	from := s.network(a.IP)
	pair := "sign-in|" + account + "|" + from
	if err := address.Admit(ctx, pair); err != nil {
		return nil, err
	}
	if slices.Contains(u.KnownAddresses, from) {
		return func() { address.Refund(ctx, pair) }, nil
	}
	if err := all.Admit(ctx, "sign-in|"+account); err != nil {
		address.Refund(ctx, pair)
		return nil, err
	}
	return func() {
		address.Refund(ctx, pair)
		all.Refund(ctx, "sign-in|"+account)
	}, nil
}

// network is a hash of the address that a call came from: of IPv6 it is that of the network of 64 bits, which one
// customer has.
func (s *SignIns) network(ip string) string {
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return ""
	}
	if addr = addr.Unmap(); addr.Is6() {
		network, _ := addr.WithZone("").Prefix(64)
		addr = network.Addr()
	}
	return s.hash("address", addr.String())
}

func (s *SignIns) hash(of, text string) string {
	mac := s.Ring.MAC("sign-in", []byte(of+"\x00"+text))
	return hex.EncodeToString(mac.Sum[:16])
}

// know notes where the user signed in from.
func (u *User) know(from string, now time.Time) {
	u.SignedInAt = now
	if from == "" {
		return
	}
	known := []string{from}
	for _, other := range u.KnownAddresses {
		if other != from && len(known) < maxKnown {
			known = append(known, other)
		}
	}
	u.KnownAddresses = known
}
