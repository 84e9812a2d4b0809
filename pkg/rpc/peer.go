package rpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
)

// PeerPath is where a service tells another, on its internal port, that it knows its key.
const PeerPath = "/peer"

// meeting is the answer at PeerPath.
type meeting struct {
	Service string `json:"service"`
}

// Meet answers at PeerPath for the service audience: it admits peers with a service token, whichever they are.
func Meet(audience string, peers Peers) gin.HandlerFunc {
	tokens := newVerifier(audience, peers, clock.System{})
	return httpx.Wrap(func(c *gin.Context) error {
		if _, err := tokens.verify(c.Request.Header["Authorization"]); err != nil {
			return apierr.New(apierr.Unauthenticated, "UNAUTHENTICATED", err.Error())
		}
		c.JSON(http.StatusOK, meeting{audience})
		return nil
	})
}

// What Visit finds wrong.
var (
	// ErrNotThere is for an address where another program or service answers.
	ErrNotThere = errors.New("another program answers there")
	// ErrNotKnown is for a peer that does not take this service's key.
	ErrNotKnown = errors.New("it does not know the key of this service")
)

// Visit asks the peer service at address whether it takes the calls of id, and returns the peer's time, to the second.
// Errors: ErrNotThere, ErrNotKnown, and failures of the network.
func Visit(ctx context.Context, id Identity, peer, address string, client *http.Client) (time.Time, error) {
	var version meeting
	if _, err := visit(ctx, client, address+"/version", "", &version); err != nil {
		return time.Time{}, err
	}
	if version.Service != peer {
		return time.Time{}, fmt.Errorf("%w: %q", ErrNotThere, version.Service)
	}
	token, err := newSigner(id, peer, clock.System{}).token()
	if err != nil {
		return time.Time{}, err
	}
	return visit(ctx, client, address+PeerPath, token, &version)
}

func visit(ctx context.Context, client *http.Client, url, token string, into *meeting) (at time.Time, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return at, err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := client.Do(req)
	if err != nil {
		return at, err
	}
	defer res.Body.Close()
	at, _ = http.ParseTime(res.Header.Get("Date"))
	switch {
	case res.StatusCode == http.StatusUnauthorized:
		return at, ErrNotKnown
	case res.StatusCode != http.StatusOK, !strings.HasPrefix(res.Header.Get("Content-Type"), "application/json"):
		return at, ErrNotThere
	}
	if json.NewDecoder(io.LimitReader(res.Body, 1<<16)).Decode(into) != nil {
		return at, ErrNotThere
	}
	return at, nil
}
