package user

import (
	"context"

	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// Import is the user of a product and customer who has an e-mail, made where there is none: without a password, so that
// nobody can sign in before an administrator resets it. Errors: those of Create.
func (s *Users) Import(ctx context.Context, by *licensing.Actor, n NewUser) (User, error) {
	u, p := n.user(s.Clock.Now())
	if err := p.Err(); err != nil {
		return User{}, err
	}
	known, err := s.Store.Named(ctx, u.Product, Fold(u.Email), u.CustomerID)
	if err != nil || len(known) > 0 {
		return firstOf(known), err
	}
	return u, s.Store.CreateUser(ctx, u, createdEvents(by, &u))
}

func firstOf(users []User) User {
	if len(users) == 0 {
		return User{}
	}
	return users[0]
}
