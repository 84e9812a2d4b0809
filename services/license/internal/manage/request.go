package manage

import (
	"context"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/httpx/jsonbody"
	"github.com/latchkey-dev/latchkey/pkg/idempotency"
	"github.com/latchkey-dev/latchkey/pkg/rpc"
	"github.com/latchkey-dev/latchkey/pkg/uid"
	"github.com/latchkey-dev/latchkey/services/license/internal/catalog"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// maxText is the longest name or identifier, in characters.
const maxText = 255

// licenseID reads the id of the path. What is no UUID becomes one that no license has: a bad member (400) is told
// before a missing license (404), and the rules find the former.
func licenseID(c *gin.Context) string { return pathID(c, "license_id") }

func pathID(c *gin.Context, name string) string {
	id, ok := uid.Parse(c.Param(name))
	if !ok {
		return uid.Nil
	}
	return id
}

// canonicalID is how an id is written by ourselves. What is none stays as it is: the rules say so.
func canonicalID(text string) string {
	if id, ok := uid.Parse(text); ok {
		return id
	}
	return text
}

// code reads the code of the path. What is none becomes empty, which nothing has as its code.
func code(c *gin.Context) string {
	if text := c.Param("code"); catalog.IsCode(text) {
		return text
	}
	return ""
}

// releaseVersion reads the version of the path.
func releaseVersion(c *gin.Context) string { return jsonbody.Identifier(c.Param("version")) }

// change makes a change in the name of who asks, once per Idempotency-Key of theirs.
func change[T any](m *Manage, c *gin.Context, fn func(ctx context.Context, by *rpc.Actor) (T, error)) (T, error) {
	by := rpc.ActorOf(c)
	return idempotency.Answer(c, m.Idempotency, by.GetId(), func(ctx context.Context) (T, error) { return fn(ctx, by) })
}

var entityTag = regexp.MustCompile(`^(?:W/)?"([^",]*)"$`)

// ifVersion reads If-Match: nil when it is absent or "*", else the versions of its tags, any of which will do. A tag
// that we never gave is version 0, which no license has. Weak tags count, because proxies that compress answers weaken
// them.
func ifVersion(c *gin.Context) (licensing.Versions, error) {
	sent := strings.Join(c.Request.Header.Values("If-Match"), ",")
	if _, given := c.Request.Header["If-Match"]; !given || strings.TrimSpace(sent) == "*" {
		return nil, nil
	}
	wanted := licensing.Versions{}
	for text := range strings.SplitSeq(sent, ",") {
		text = strings.TrimSpace(text)
		tag := entityTag.FindStringSubmatch(text)
		switch {
		case text == "": // RFC 9110, section 5.6.1: an empty element counts as none
			continue
		case tag == nil:
			return nil, badTags
		}
		version, err := strconv.Atoi(tag[1])
		if err != nil || strconv.Itoa(version) != tag[1] {
			version = -1 // which nothing has; also for "+1" and "01": tags are compared as text
		}
		wanted = append(wanted, version)
	}
	if len(wanted) == 0 {
		return nil, badTags
	}
	return wanted, nil
}

var badTags = apierr.InvalidField("If-Match",
	`must be the ETag of what is changed, for example "3", or a list of ETags`)

// versioned are the paths of what has a version, which its GET announces as its ETag, and of what belongs to a license,
// of which that of the license is the only one.
var versioned = regexp.MustCompile(
	`^/api/v1/admin/(licenses/:license_id|(customers|groups|users|products|policies)/:\w+(/erase)?$)`)

// besideLicense are the paths of what changes without a look at the version of its license.
var besideLicense = regexp.MustCompile(`/counters/:name/|/leases/`)

// conditional has every change obey If-Match: a license, and what belongs to it, changes only while the license has the
// version; the handlers of what else has one read the header themselves. Where nothing has a version the header is
// refused, because who sends it relies on it.
func conditional(c *gin.Context) error {
	path := c.FullPath()
	if !versioned.MatchString(path) || besideLicense.MatchString(path) {
		return httpx.NoIfMatch(c)
	}
	if c.Request.Method == http.MethodGet || c.Request.Method == http.MethodHead || c.Param("license_id") == "" {
		return nil
	}
	version, err := ifVersion(c)
	if err != nil || version == nil {
		return err
	}
	c.Request = c.Request.WithContext(licensing.Expecting(c.Request.Context(), version))
	return nil
}

// bindChange reads the body of a change, and the version that it is for.
func bindChange(c *gin.Context, body any) (version licensing.Versions, err error) {
	if err := httpx.BindOptional(c, body); err != nil {
		return nil, err
	}
	return ifVersion(c)
}

// show answers with something that has a version, which the ETag announces.
func show(c *gin.Context, status, version int, body any) error {
	c.Header("ETag", `"`+strconv.Itoa(version)+`"`)
	c.PureJSON(status, body)
	return nil
}
