package catalog

import (
	"context"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/audit"
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// Release is a version of a product that was published.
type Release struct {
	// ID is a UUID.
	ID string
	// Version never changes.
	Version string
	ReleaseTerms
	CreatedAt time.Time
}

// ReleaseTerms are the members of a release that may change. Texts are empty where nothing was said.
type ReleaseTerms struct {
	ReleasedAt time.Time
	// Channel is such as "beta", Environment such as "windows-x64".
	Channel, Environment string
	URL                  string
	// Size is in bytes, nil where it is not known.
	Size        *int64
	SHA256, MD5 string
	// RequiresVersion is the version from which on an update to this one is possible.
	RequiresVersion          string
	ReleaseNotesURL, EULAURL string
	Enabled                  bool
}

// ReleaseChange changes the members that are not nil; a size that is null is unknown.
type ReleaseChange struct {
	ReleasedAt      *time.Time
	Channel         *string
	Environment     *string
	URL             *string
	Size            licensing.Optional[int64]
	SHA256          *string
	MD5             *string
	RequiresVersion *string
	ReleaseNotesURL *string
	EULAURL         *string
	Enabled         *bool
}

// CreateRelease adds a release to a product; without a date it was released now. Errors: VALIDATION_ERROR,
// ErrProductNotFound, ErrReleaseExists.
func (s *Products) CreateRelease(
	ctx context.Context, by *licensing.Actor, product, version string, n ReleaseChange,
) (Release, error) {
	now := s.Clock.Now()
	r := Release{
		ID:           newID(),
		Version:      version,
		ReleaseTerms: ReleaseTerms{ReleasedAt: now, Enabled: true},
		CreatedAt:    now,
	}
	r.apply(&n)
	problems := map[string]string{}
	if strings.TrimSpace(version) == "" {
		problems["version"] = "is required"
	} else if strings.ContainsAny(version, "/?#%") || version == "." || version == ".." {
		problems["version"] = "must not have / ? # or %, because it stands in paths"
	}
	checkText(problems, "version", version, maxVersion)
	if r.problems(problems); len(problems) > 0 {
		return Release{}, apierr.InvalidFields(problems)
	}
	err := s.Store.ChangeReleases(ctx, product, version,
		func(p *Product, old *Release) (*Release, []proto.Message, error) {
			if old != nil {
				return nil, nil, ErrReleaseExists
			}
			return &r, r.changed(p, audited(by, "release.create", nil, withCode(r.auditView(), "product", p.Code))), nil
		})
	return r, err
}

// UpdateRelease changes a release. A change that changes nothing publishes nothing. Errors: VALIDATION_ERROR,
// ErrProductNotFound, ErrReleaseNotFound.
func (s *Products) UpdateRelease(
	ctx context.Context, by *licensing.Actor, product, version string, change ReleaseChange,
) (Release, error) {
	tried, problems := Release{}, map[string]string{}
	tried.ReleasedAt = s.Clock.Now()
	tried.apply(&change)
	if tried.problems(problems); len(problems) > 0 {
		return Release{}, apierr.InvalidFields(problems)
	}
	var out Release
	err := s.Store.ChangeReleases(ctx, product, version,
		func(p *Product, old *Release) (*Release, []proto.Message, error) {
			if old == nil {
				return nil, nil, ErrReleaseNotFound
			}
			out = *old
			out.apply(&change)
			was, is := audit.Changes(old.auditView(), out.auditView())
			if len(is) == 0 {
				return old, nil, nil
			}
			is = withCode(withCode(is, "product", p.Code), "version", out.Version)
			return &out, out.changed(p, audited(by, "release.update", was, is)), nil
		})
	return out, err
}

// DeleteRelease removes a release; its version is then one that is not known, which every license covers. Errors:
// ErrProductNotFound, ErrReleaseNotFound.
func (s *Products) DeleteRelease(ctx context.Context, by *licensing.Actor, product, version string) error {
	return s.Store.ChangeReleases(ctx, product, version,
		func(p *Product, old *Release) (*Release, []proto.Message, error) {
			if old == nil {
				return nil, nil, ErrReleaseNotFound
			}
			return nil, old.changed(p, audited(by, "release.delete", withCode(old.auditView(), "product", p.Code),
				nil)), nil
		})
}

// changed are the events of a change of the release.
func (r *Release) changed(p *Product, entry proto.Message) []proto.Message {
	return []proto.Message{&eventsv1.ProductUpdated{Product: p.snapshot(), Changed: []string{"releases"}}, entry}
}

func (r *Release) apply(c *ReleaseChange) {
	set(&r.ReleasedAt, c.ReleasedAt)
	set(&r.Channel, c.Channel)
	set(&r.Environment, c.Environment)
	set(&r.URL, c.URL)
	set(&r.SHA256, c.SHA256)
	set(&r.MD5, c.MD5)
	set(&r.RequiresVersion, c.RequiresVersion)
	set(&r.ReleaseNotesURL, c.ReleaseNotesURL)
	set(&r.EULAURL, c.EULAURL)
	set(&r.Enabled, c.Enabled)
	if c.Size.Present {
		r.Size = nil
	}
	if c.Size.Present && !c.Size.Null {
		r.Size = &c.Size.Value
	}
}

const maxSize = 1<<53 - 1

var hexForm = regexp.MustCompile(`^[0-9a-fA-F]*$`)

// problems notes what is wrong with the members that may change, by their public names.
func (r *Release) problems(problems map[string]string) {
	checkText(problems, "channel", r.Channel, maxVersion)
	checkText(problems, "environment", r.Environment, maxVersion)
	checkText(problems, "requires_version", r.RequiresVersion, maxVersion)
	for name, text := range map[string]string{
		"url": r.URL, "release_notes_url": r.ReleaseNotesURL, "eula_url": r.EULAURL,
	} {
		if at, err := url.Parse(text); text != "" &&
			(err != nil || at.Host == "" || at.Scheme != "https" && at.Scheme != "http") {
			problems[name] = "must be a URL that begins with https:// or http://"
		}
		checkText(problems, name, text, maxURL)
	}
	checkDigest(problems, "sha256", r.SHA256, 64)
	checkDigest(problems, "md5", r.MD5, 32)
	if r.Size != nil && (*r.Size < 0 || *r.Size > maxSize) {
		problems["size"] = fmt.Sprintf("must be from 0 to %d", int64(maxSize))
	}
	if year := r.ReleasedAt.Year(); year < 1970 || year > 9999 {
		problems["released_at"] = "must be from 1970 to 9999"
	}
}

func checkDigest(problems map[string]string, name, value string, digits int) {
	if value != "" && (len(value) != digits || !hexForm.MatchString(value)) {
		problems[name] = fmt.Sprintf("must have %d hexadecimal digits", digits)
	}
}

// auditView is what the audit log shows of a release, in the form of the public API.
func (r *Release) auditView() map[string]any {
	view := map[string]any{
		"version": r.Version, "released_at": r.ReleasedAt.UTC().Format(time.RFC3339Nano),
		"channel":     textValue(r.Channel),
		"environment": textValue(r.Environment), "url": textValue(r.URL), "size": nil, "sha256": textValue(r.SHA256),
		"md5": textValue(r.MD5), "requires_version": textValue(r.RequiresVersion),
		"release_notes_url": textValue(r.ReleaseNotesURL), "eula_url": textValue(r.EULAURL), "enabled": r.Enabled,
	}
	if r.Size != nil {
		view["size"] = *r.Size
	}
	return view
}
