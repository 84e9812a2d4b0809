package licensespring

import (
	"context"
	"errors"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/services/license/internal/catalog"
	"github.com/latchkey-dev/latchkey/services/license/internal/integration"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

var (
	errLicenseRequired = invalid("active_license_required",
		"only devices with an active license are told of versions")
	errNoVersion = invalid("version_not_found", "the product has no such version for this environment and channel")
)

// maxVersions is how many releases are looked at, the newest first.
const maxVersions = 100

// versionBody is a release in the list.
type versionBody struct {
	Version     string  `json:"version"`
	ReleaseDate *string `json:"release_date"`
}

// installationBody is a release as a file to install.
type installationBody struct {
	ID               int64   `json:"id"`
	Version          string  `json:"version"`
	InstallationFile string  `json:"installation_file"`
	ReleaseDate      *string `json:"release_date"`
	HashMD5          string  `json:"hash_md5"`
	Environment      string  `json:"environment"`
	EULALink         string  `json:"eula_link"`
	ReleaseNotesLink string  `json:"release_notes_link"`
	Size             int64   `json:"size"`
	RequiresVersion  string  `json:"requires_version"`
	Channel          string  `json:"channel"`
	Company          company `json:"company"`
}

// latestVersion is the newest release as a check shows it.
type latestVersion struct {
	Version          string  `json:"version"`
	InstallationFile string  `json:"installation_file"`
	ReleaseDate      *string `json:"release_date"`
	HashMD5          string  `json:"hash_md5"`
	RequiresVersion  string  `json:"requires_version"`
	Environment      string  `json:"environment"`
	EULALink         string  `json:"eula_link"`
	ReleaseNotesLink string  `json:"release_notes_link"`
	Size             int64   `json:"size"`
	Channel          string  `json:"channel"`
}

// latest is nil where no release is out.
func (d *Dialect) latest(ctx context.Context, product string, sent *request) (*latestVersion, error) {
	releases, err := d.releases(ctx, product, sent)
	if err != nil || len(releases) == 0 {
		return nil, err
	}
	r := releases[0]
	v := &latestVersion{
		Version:          r.Version,
		InstallationFile: r.URL,
		ReleaseDate:      stamp(r.ReleasedAt),
		HashMD5:          r.MD5,
		RequiresVersion:  r.RequiresVersion,
		Environment:      r.Environment,
		EULALink:         r.EULAURL,
		ReleaseNotesLink: r.ReleaseNotesURL,
		Channel:          r.Channel,
	}
	if r.Size != nil {
		v.Size = *r.Size
	}
	return v, nil
}

// versions lists the releases of the product that are out, for an environment and a channel where they are named.
func (d *Dialect) versions(c *gin.Context, s *subject) error {
	releases, err := d.licensedReleases(c, s)
	if err != nil {
		return err
	}
	list := []versionBody{} // never null
	for _, r := range releases {
		list = append(list, versionBody{r.Version, stamp(r.ReleasedAt)})
	}
	return d.answer(c, list)
}

// installationFile is the release that is named, or the newest.
func (d *Dialect) installationFile(c *gin.Context, s *subject) error {
	releases, err := d.licensedReleases(c, s)
	if err != nil {
		return err
	}
	for _, r := range releases {
		if s.sent.Version == "" || r.Version == s.sent.Version {
			return d.answerRelease(c, r)
		}
	}
	return errNoVersion
}

func (d *Dialect) answerRelease(c *gin.Context, r catalog.Release) error {
	n, err := d.Numbers.Numbers(c.Request.Context(), integration.NumberQuery{Release: r.ID})
	if err != nil {
		return err
	}
	b := installationBody{
		ID:               n.Release,
		Version:          r.Version,
		InstallationFile: r.URL,
		ReleaseDate:      stamp(r.ReleasedAt),
		HashMD5:          r.MD5,
		Environment:      r.Environment,
		EULALink:         r.EULAURL,
		ReleaseNotesLink: r.ReleaseNotesURL,
		RequiresVersion:  r.RequiresVersion,
		Channel:          r.Channel,
		Company:          company{companyID},
	}
	if r.Size != nil {
		b.Size = *r.Size
	}
	return d.answer(c, b)
}

// licensedReleases are the releases for a device that may use its license.
func (d *Dialect) licensedReleases(c *gin.Context, s *subject) ([]catalog.Release, error) {
	v, err := d.Seats.Validate(c.Request.Context(), s.key, s.client)
	var refused *licensing.RefusedError
	if errors.As(err, &refused) || err == nil && !v.Valid {
		return nil, errLicenseRequired
	}
	if err != nil {
		return nil, err
	}
	return d.releases(c.Request.Context(), s.product.Code, s.sent)
}

func (d *Dialect) releases(ctx context.Context, product string, r *request) ([]catalog.Release, error) {
	page, err := d.Products.Releases(ctx, product, licensing.Span{Page: 1, PerPage: maxVersions})
	var found []catalog.Release
	for _, release := range page.Items {
		if release.Enabled && !release.ReleasedAt.After(d.Clock.Now()) &&
			fits(r.Env, release.Environment) && fits(r.Channel, release.Channel) {
			found = append(found, release)
		}
	}
	return found, err
}

// fits reports whether a release that is for something is one for what is asked; empty is any.
func fits(asked, of string) bool { return asked == "" || of == "" || asked == of }
