package manage

import (
	"cmp"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/httpx"
	"github.com/latchkey-dev/latchkey/pkg/httpx/jsonbody"
	"github.com/latchkey-dev/latchkey/pkg/rpc"
	"github.com/latchkey-dev/latchkey/pkg/uid"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// filters are the parameters of the list.
var filters = []string{
	"customer_id", "hardware_id", "license_key", "status", "is_active", "is_test", "created_after", "created_before",
	"expires_after", "expires_before", "product", "policy", "group_id", "license_type", "is_trial", "search", "page",
	"per_page", "cursor",
}

const (
	// metadataFilter begins the names of parameters that each name a member of the metadata.
	metadataFilter = "metadata."
	// maxMetadataFilters bounds the work of a list.
	maxMetadataFilters = 3
)

var types = []string{
	licensing.TypePerpetual, licensing.TypeTimeLimited, licensing.TypeSubscription, licensing.TypeConsumption,
}

var statuses = []string{
	string(licensing.StatusActive), string(licensing.StatusInGrace), string(licensing.StatusExpired),
	string(licensing.StatusNotStarted), string(licensing.StatusSuspended), string(licensing.StatusInactive),
}

type licensesBody struct {
	Licenses []licenseBody `json:"licenses"`
	pageBody
}

func (m *Manage) listLicenses(c *gin.Context) error {
	span, err := querySpan(c, inTime)
	if err != nil {
		return err
	}
	f, err := queryFilter(c)
	if err != nil {
		return err
	}
	return m.answerList(c, span, f)
}

// searchLicenses finds a license by its key, which stays out of URLs and logs. The audit log notes who asked.
func (m *Manage) searchLicenses(c *gin.Context) error {
	var in struct {
		LicenseKey string `json:"license_key" text:"key"`
	}
	if err := httpx.Bind(c, &in); err != nil {
		return err
	}
	bad := apierr.Fields{}
	bad.Require("license_key", in.LicenseKey)
	bad.MaxLen("license_key", in.LicenseKey, maxText)
	if err := bad.Err(); err != nil {
		return err
	}
	return m.answerList(c, licensing.Span{Page: 1, PerPage: 50}, licensing.Filter{Key: &in.LicenseKey})
}

func (m *Manage) answerList(c *gin.Context, span licensing.Span, f licensing.Filter) error {
	f.Page, f.PerPage, f.After = span.Page, span.PerPage, span.After
	page, err := m.Licenses.List(c.Request.Context(), rpc.ActorOf(c), f)
	if err != nil {
		return err
	}
	now := m.Clock.Now()
	show := func(l licensing.License) licenseBody { return newLicenseBody(&l, now) }
	body := licensesBody{bodies(page.Items, show), newPageBody(span, page)}
	c.PureJSON(http.StatusOK, body)
	return nil
}

// query reads parameters and keeps the first error.
type query struct {
	c   *gin.Context
	err error
}

func queryFilter(c *gin.Context) (licensing.Filter, error) {
	q := query{c: c}
	f := licensing.Filter{
		CustomerID:    q.identifier("customer_id"),
		HardwareID:    q.identifier("hardware_id"),
		Key:           q.identifier("license_key"),
		Status:        licensing.Status(q.oneOf("status", statuses)),
		LicenseType:   q.oneOf("license_type", types),
		Product:       q.identifier("product"),
		Policy:        q.identifier("policy"),
		GroupID:       q.uuid("group_id"),
		Search:        q.identifier("search"),
		IsActive:      read(&q, "is_active", httpx.QueryBool),
		IsTest:        read(&q, "is_test", httpx.QueryBool),
		CreatedAfter:  read(&q, "created_after", httpx.QueryTime),
		CreatedBefore: read(&q, "created_before", httpx.QueryTime),
		ExpiresAfter:  read(&q, "expires_after", httpx.QueryTime),
		ExpiresBefore: read(&q, "expires_before", httpx.QueryTime),
		IsTrial:       read(&q, "is_trial", httpx.QueryBool),
		Metadata:      q.metadata(),
	}
	return f, q.err
}

// onlyFilters refuses parameters that the list does not take.
func onlyFilters(c *gin.Context) error {
	return httpx.KnownQuery(c, append(metadataParameters(c), filters...)...)
}

// metadataParameters are the parameters of a request that name members of the metadata.
func metadataParameters(c *gin.Context) []string {
	var names []string
	for name := range c.Request.URL.Query() {
		if len(name) > len(metadataFilter) && strings.HasPrefix(name, metadataFilter) {
			names = append(names, name)
		}
	}
	return names
}

func (q *query) metadata() map[string]string {
	wanted := map[string]string{}
	for _, name := range metadataParameters(q.c) {
		if q.err == nil && len(wanted) <= maxMetadataFilters {
			wanted[strings.TrimPrefix(name, metadataFilter)], q.err = httpx.QueryText(q.c, name, maxText)
		}
	}
	if bad := (apierr.Fields{}); q.err == nil {
		checkMetadata(bad, "metadata", wanted)
		q.err = bad.Err()
	}
	return wanted
}

// checkMetadata notes what is wrong with members of the metadata that are searched for, under the name of the filter.
func checkMetadata(bad apierr.Fields, filter string, wanted map[string]string) {
	if len(wanted) > maxMetadataFilters {
		bad.Add(filter, fmt.Sprintf("must name at most %d members of the metadata", maxMetadataFilters))
	}
	for key, value := range wanted {
		if problem := jsonbody.TextProblem(key); problem != "" || len(key) > maxText {
			bad.Add(filter, cmp.Or(problem, "must name members of at most 255 bytes"))
		}
		bad.Require(filter+"."+key, value)
		bad.MaxLen(filter+"."+key, value, maxText)
	}
}

func read[T bool | time.Time](q *query, name string, parse func(*gin.Context, string) (*T, error)) *T {
	if q.err != nil {
		return nil
	}
	value, err := parse(q.c, name)
	q.err = err
	return value
}

func (q *query) identifier(name string) *string {
	if q.err != nil {
		return nil
	}
	value, err := httpx.QueryIdentifier(q.c, name, maxText)
	q.err = err
	return httpx.TextOrNull(value)
}

// uuid reads a parameter that is the id of something.
func (q *query) uuid(name string) *string {
	value := q.identifier(name)
	if value == nil {
		return nil
	}
	id, ok := uid.Parse(*value)
	if !ok {
		q.err = apierr.InvalidField(name, "must be a UUID")
	}
	return &id
}

// oneOf reads a parameter that has one of the allowed values, or is absent.
func (q *query) oneOf(name string, allowed []string) string {
	if q.err != nil {
		return ""
	}
	value, err := httpx.QueryText(q.c, name, maxText)
	if q.err = err; value == "" || err != nil {
		return ""
	}
	bad := apierr.Fields{}
	bad.OneOf(name, value, allowed...)
	q.err = bad.Err()
	return value
}
