package api

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/idempotency"
	"github.com/latchkey-dev/latchkey/proto/errcode"
	"github.com/latchkey-dev/latchkey/services/admin/internal/adminkey"
)

var errLicenseNotFound = apierr.New(apierr.NotFound, errcode.LicenseNotFound, "no license has this id")

// licenseID reads the id of the path. An id that is no UUID names no license.
func licenseID(c *gin.Context) (string, error) {
	id, ok := canonicalUUID(c.Param("license_id"))
	if !ok {
		return "", errLicenseNotFound
	}
	return id, nil
}

// licenseIDOrNone is licenseID for changes whose members the license service judges: it must see them even where the path names
// no license, because a bad member (400) is told before a missing license (404). Then the id is one that no license has.
func licenseIDOrNone(c *gin.Context) string {
	id, err := licenseID(c)
	if err != nil {
		return uuid.Nil.String()
	}
	return id
}

// keyID reads the id of an admin key from the path.
func keyID(c *gin.Context) (string, error) {
	id, ok := canonicalUUID(c.Param("key_id"))
	if !ok {
		return "", adminkey.ErrNotFound
	}
	return id, nil
}

// apiKeyID reads the id of an API key from the path. Auth judges the members of a change before it looks for the key, so an id
// that is no UUID becomes one that no key has.
func apiKeyID(c *gin.Context) string {
	id, ok := canonicalUUID(c.Param("key_id"))
	if !ok {
		return uuid.Nil.String()
	}
	return id
}

// canonicalUUID accepts the 36-character form only; uuid.Parse alone would also take braces and URNs.
func canonicalUUID(s string) (string, bool) {
	id, err := uuid.Parse(s)
	return id.String(), err == nil && len(s) == 36
}

// noBody is for changes that take no members: what is sent nevertheless must be JSON.
func noBody(c *gin.Context) error { return httpx.BindOptional(c, &struct{}{}) }

// idempotencyKey reads the caller's Idempotency-Key, bound to his admin key.
func idempotencyKey(c *gin.Context) (idempotency.Key, error) {
	body, err := httpx.Body(c)
	if err != nil {
		return idempotency.Key{}, err
	}
	return idempotency.FromRequest(c.Request, caller(c).ID, body)
}

// forwarded is the key as the service that makes the change gets it: of fixed length, and of no other caller. Empty stays empty.
func forwarded(k idempotency.Key) string {
	if k.Key == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(k.Scope + "\n" + k.Key))
	return hex.EncodeToString(sum[:])
}

var entityTag = regexp.MustCompile(`^(?:W/)?"([^",]*)"$`)

// ifVersion reads If-Match: nil when it is absent or "*". A tag that we never gave is version 0, which no license has. Weak
// tags count, because proxies that compress answers weaken them.
func ifVersion(c *gin.Context) (*int32, error) {
	sent := c.Request.Header.Values("If-Match")
	if len(sent) == 0 || len(sent) == 1 && strings.TrimSpace(sent[0]) == "*" {
		return nil, nil
	}
	if len(sent) > 1 {
		return nil, apierr.InvalidField("If-Match", "must be sent once")
	}
	tag := entityTag.FindStringSubmatch(strings.TrimSpace(sent[0]))
	if tag == nil {
		return nil, apierr.InvalidField("If-Match", `must be the ETag of a license, for example "3"`)
	}
	version, err := strconv.ParseInt(tag[1], 10, 32)
	if err != nil {
		version = 0
	}
	v := int32(version)
	return &v, nil
}

// setETag announces the version of the license that the answer shows.
func setETag(c *gin.Context, version int32) {
	c.Header("ETag", `"`+strconv.Itoa(int(version))+`"`)
}
