package manage

import (
	"context"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/httpx/jsonbody"
	"github.com/latchkey-dev/latchkey/pkg/rpc"
	"github.com/latchkey-dev/latchkey/services/license/internal/catalog"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// releaseBody is a release as the public API shows it.
type releaseBody struct {
	Version         string    `json:"version"`
	ReleasedAt      time.Time `json:"released_at"`
	Channel         *string   `json:"channel"`
	Environment     *string   `json:"environment"`
	URL             *string   `json:"url"`
	Size            *int64    `json:"size"`
	SHA256          *string   `json:"sha256"`
	MD5             *string   `json:"md5"`
	RequiresVersion *string   `json:"requires_version"`
	ReleaseNotesURL *string   `json:"release_notes_url"`
	EULAURL         *string   `json:"eula_url"`
	Enabled         bool      `json:"enabled"`
	CreatedAt       time.Time `json:"created_at"`
}

func newReleaseBody(r catalog.Release) releaseBody {
	return releaseBody{
		Version:         r.Version,
		ReleasedAt:      r.ReleasedAt.UTC(),
		Channel:         httpx.TextOrNull(r.Channel),
		Environment:     httpx.TextOrNull(r.Environment),
		URL:             httpx.TextOrNull(r.URL),
		Size:            r.Size,
		SHA256:          httpx.TextOrNull(r.SHA256),
		MD5:             httpx.TextOrNull(r.MD5),
		RequiresVersion: httpx.TextOrNull(r.RequiresVersion),
		ReleaseNotesURL: httpx.TextOrNull(r.ReleaseNotesURL),
		EULAURL:         httpx.TextOrNull(r.EULAURL),
		Enabled:         r.Enabled,
		CreatedAt:       r.CreatedAt.UTC(),
	}
}

// newRelease is a release to create.
type newRelease struct {
	Version         string                   `json:"version" text:"identifier"`
	ReleasedAt      *time.Time               `json:"released_at"`
	Channel         *string                  `json:"channel" text:"identifier"`
	Environment     *string                  `json:"environment" text:"identifier"`
	URL             *string                  `json:"url" text:"identifier"`
	Size            jsonbody.Optional[int64] `json:"size" null:"ok"`
	SHA256          *string                  `json:"sha256" text:"identifier"`
	MD5             *string                  `json:"md5" text:"identifier"`
	RequiresVersion *string                  `json:"requires_version" text:"identifier"`
	ReleaseNotesURL *string                  `json:"release_notes_url" text:"identifier"`
	EULAURL         *string                  `json:"eula_url" text:"identifier"`
	Enabled         *bool                    `json:"enabled"`
}

// Unsettable implements jsonbody.Unsettable.
func (newRelease) Unsettable() map[string]string { return map[string]string{"created_at": ""} }

func (n newRelease) wanted() catalog.ReleaseChange {
	return catalog.ReleaseChange{
		ReleasedAt:      n.ReleasedAt,
		Channel:         n.Channel,
		Environment:     n.Environment,
		URL:             n.URL,
		Size:            licensing.Optional[int64](n.Size),
		SHA256:          n.SHA256,
		MD5:             n.MD5,
		RequiresVersion: n.RequiresVersion,
		ReleaseNotesURL: n.ReleaseNotesURL,
		EULAURL:         n.EULAURL,
		Enabled:         n.Enabled,
	}
}

// releaseChange is what PATCH takes: only the members that are present change.
type releaseChange struct {
	ReleasedAt      jsonbody.Optional[time.Time] `json:"released_at"`
	Channel         jsonbody.Optional[string]    `json:"channel" null:"ok" text:"identifier"`
	Environment     jsonbody.Optional[string]    `json:"environment" null:"ok" text:"identifier"`
	URL             jsonbody.Optional[string]    `json:"url" null:"ok" text:"identifier"`
	Size            jsonbody.Optional[int64]     `json:"size" null:"ok"`
	SHA256          jsonbody.Optional[string]    `json:"sha256" null:"ok" text:"identifier"`
	MD5             jsonbody.Optional[string]    `json:"md5" null:"ok" text:"identifier"`
	RequiresVersion jsonbody.Optional[string]    `json:"requires_version" null:"ok" text:"identifier"`
	ReleaseNotesURL jsonbody.Optional[string]    `json:"release_notes_url" null:"ok" text:"identifier"`
	EULAURL         jsonbody.Optional[string]    `json:"eula_url" null:"ok" text:"identifier"`
	Enabled         jsonbody.Optional[bool]      `json:"enabled"`
}

// Unsettable implements jsonbody.Unsettable.
func (releaseChange) Unsettable() map[string]string {
	return map[string]string{"version": "it never changes", "created_at": ""}
}

func (r releaseChange) change() catalog.ReleaseChange {
	return catalog.ReleaseChange{
		ReleasedAt:      r.ReleasedAt.Pointer(),
		Channel:         r.Channel.Pointer(),
		Environment:     r.Environment.Pointer(),
		URL:             r.URL.Pointer(),
		Size:            licensing.Optional[int64](r.Size),
		SHA256:          r.SHA256.Pointer(),
		MD5:             r.MD5.Pointer(),
		RequiresVersion: r.RequiresVersion.Pointer(),
		ReleaseNotesURL: r.ReleaseNotesURL.Pointer(),
		EULAURL:         r.EULAURL.Pointer(),
		Enabled:         r.Enabled.Pointer(),
	}
}

func (m *Manage) createRelease(c *gin.Context) error {
	var in newRelease
	if err := httpx.Bind(c, &in); err != nil {
		return err
	}
	body, err := change(m, c, func(ctx context.Context, by *rpc.Actor) (releaseBody, error) {
		r, err := m.Products.CreateRelease(ctx, by, code(c), in.Version, in.wanted())
		return newReleaseBody(r), err
	})
	if err != nil {
		return err
	}
	c.PureJSON(http.StatusCreated, body)
	return nil
}

func (m *Manage) listReleases(c *gin.Context) error {
	span, err := querySpan(c, inTime)
	if err != nil {
		return err
	}
	page, err := m.Products.Store.Releases(c.Request.Context(), code(c), span)
	if err != nil {
		return err
	}
	body := struct {
		Product  string        `json:"product"`
		Releases []releaseBody `json:"releases"`
		pageBody
	}{code(c), bodies(page.Items, newReleaseBody), newPageBody(span, page)}
	c.PureJSON(http.StatusOK, body)
	return nil
}

func (m *Manage) updateRelease(c *gin.Context) error {
	var in releaseChange
	if err := httpx.BindOptional(c, &in); err != nil {
		return err
	}
	r, err := m.Products.UpdateRelease(c.Request.Context(), rpc.ActorOf(c), code(c), releaseVersion(c), in.change())
	if err != nil {
		return err
	}
	c.PureJSON(http.StatusOK, newReleaseBody(r))
	return nil
}

func (m *Manage) deleteRelease(c *gin.Context) error {
	product, version := code(c), releaseVersion(c)
	if err := m.Products.DeleteRelease(c.Request.Context(), rpc.ActorOf(c), product, version); err != nil {
		return err
	}
	c.PureJSON(http.StatusOK, struct {
		Product string `json:"product"`
		Version string `json:"version"`
		Deleted bool   `json:"deleted"`
	}{product, version, true})
	return nil
}
