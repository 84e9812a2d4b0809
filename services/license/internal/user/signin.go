package user

import (
	"context"
	"errors"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/keyring"
	"github.com/latchkey-dev/latchkey/pkg/ratelimit"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

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

// SignIn proves a user by the password. What wrong ones cost is in guesses.go. Errors: ErrSignIn,
// licensing.ErrUserLocked, ratelimit.ErrExceeded, apierr.ErrUnavailable.
func (s *SignIns) SignIn(ctx context.Context, a Attempt) (Session, error) {
	proved, err := s.prove(ctx, a)
	if err != nil {
		return Session{}, err
	}
	from := s.network(a.IP)
	u, err := s.Store.ChangeUser(ctx, proved.ID, func(now *User) ([]proto.Message, error) {
		if now.Credentials != proved.Credentials {
			return nil, ErrSignIn // the password has changed meanwhile
		}
		now.know(from, s.Clock.Now())
		return nil, nil
	})
	if errors.Is(err, apierr.ErrMaintenance) {
		u, err = proved, nil // only the network is not remembered
	}
	if err != nil {
		return Session{}, lost(err)
	}
	s.Telemetry.Record(licensing.Source, u.ID, s.Clock.Now(), &eventsv1.UserSignedIn{User: snapshot(&u), Ip: a.IP})
	return s.session(u), nil
}

// ChangePassword replaces the password of a user who knows it, and signs the user in; earlier tokens are void.
// Errors: those of SignIn, VALIDATION_ERROR.
func (s *SignIns) ChangePassword(ctx context.Context, a Attempt, password string) (Session, error) {
	p := apierr.Fields{}
	p.Require("new_password", password)
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
	var u User // stays nobody where several have the e-mail
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
