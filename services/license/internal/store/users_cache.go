package store

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"github.com/latchkey-dev/latchkey/pkg/cache"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/event"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
	"github.com/latchkey-dev/latchkey/services/license/internal/user"
)

// usersKept is how many users a process keeps in memory.
const usersKept = 20_000

// Users implements licensing.Users: those who signed in are in memory.
type Users struct {
	db    *db.DB
	users *cache.Cache[string, *licensing.User]
}

// NewUsers returns users that are read when somebody asks. link reports whether changes of them arrive.
func NewUsers(d *db.DB, c clock.Clock, link cache.Link) *Users {
	options := cache.Options{
		Capacity: usersKept, TTL: validFor, Unlinked: cache.UnlinkedFor, Link: link, Apart: d.InTx,
	}
	return &Users{db: d, users: cache.New[string, *licensing.User](options, c)}
}

// User implements licensing.Users.
func (u *Users) User(ctx context.Context, id string) (*licensing.User, error) {
	found, _, err := u.users.Fetch(ctx, id, func(ctx context.Context) (*licensing.User, error) {
		read, err := findUser(u.db.Read(ctx), u.db.Read(ctx), id)
		return &read.User, err
	})
	if errors.Is(err, user.ErrNotFound) {
		return nil, nil
	}
	return found, err
}

// OnEvent forgets a user who changed.
func (u *Users) OnEvent(e event.Event) {
	if e.Type == eventsv1.TypeCustomerErased { // it took the users of the customer with it
		u.users.DropAll()
	}
	if !strings.HasPrefix(e.Type, "user.") {
		return
	}
	var change struct {
		User struct {
			UserID string `json:"user_id"`
		} `json:"user"`
	}
	if json.Unmarshal(e.Data, &change) != nil {
		u.users.DropAll()
		return
	}
	u.users.Drop(change.User.UserID)
}

// OnGap forgets all users: changes may have been missed.
func (u *Users) OnGap() { u.users.DropAll() }
