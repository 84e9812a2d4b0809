package httpx

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
)

// TestErrorsOfAGroup has a group of paths answer in its own form, whoever refuses; the paths beside it are not
// touched.
func TestErrorsOfAGroup(t *testing.T) {
	text := func(c *gin.Context, e *apierr.Error) { c.String(http.StatusTeapot, "%s|%d", e.Code, e.Kind.Status()) }
	r := newRig(t, func(o *Options) { o.Errors = map[string]ErrorWriter{"/v4": text}; o.MaxBody = 100 })
	refuse := Wrap(func(*gin.Context) error {
		return apierr.New(apierr.RateLimited, "SLOW_DOWN", "later").WithRetryAfter(time.Minute)
	})
	read := Wrap(func(c *gin.Context) error {
		var in struct {
			N int `json:"n"`
		}
		return Bind(c, &in)
	})
	for _, group := range []string{"/v4", "/v40"} {
		r.POST(group+"/guarded", refuse, ok)
		r.POST(group+"/read", read)
		r.GET(group+"/late", Wrap(func(*gin.Context) error {
			return fmt.Errorf("read a license: %w", context.DeadlineExceeded)
		}))
		r.GET(group+"/busy", Wrap(func(*gin.Context) error {
			return apierr.ErrUnavailable.WithRetryAfter(time.Second)
		}))
		r.GET(group+"/boom", func(*gin.Context) { panic("the secret plan") })
	}
	for name, test := range map[string]struct {
		method, path, body, contentType string
		want                            string
	}{
		"guard":           {method: "POST", path: "/guarded", want: "SLOW_DOWN|429"},
		"panic":           {method: "GET", path: "/boom", want: "INTERNAL_ERROR|500"},
		"deadline":        {method: "GET", path: "/late", want: "SERVICE_UNAVAILABLE|503"},
		"overload":        {method: "GET", path: "/busy", want: "SERVICE_UNAVAILABLE|503"},
		"unknown path":    {method: "GET", path: "/nothing", want: "NOT_FOUND|404"},
		"the group alone": {method: "GET", path: "", want: "NOT_FOUND|404"},
		"its slash":       {method: "GET", path: "/", want: "NOT_FOUND|404"},
		"method":          {method: "DELETE", path: "/read", want: "METHOD_NOT_ALLOWED|405"},
		"body":            {method: "POST", path: "/read", body: `{"n":"x"}`, want: "VALIDATION_ERROR|400"},
		"large body": {method: "POST", path: "/read", body: `{"n":` + strings.Repeat("1", 200) + `}`,
			want: "PAYLOAD_TOO_LARGE|413"},
		"content type": {method: "POST", path: "/read", body: `n=1`, contentType: "text/csv",
			want: "UNSUPPORTED_MEDIA_TYPE|415"},
		"slash at an end": {method: "POST", path: "/guarded/", want: "SLOW_DOWN|429"},
	} {
		t.Run(name, func(t *testing.T) {
			header := []string{"Content-Type", "application/json"}
			if test.contentType != "" {
				header[1] = test.contentType
			}
			w := r.do(t, test.method, "/v4"+test.path, test.body, header...)
			if w.Code != http.StatusTeapot || w.Body.String() != test.want {
				t.Errorf("got %d %s, want %s", w.Code, w.Body, test.want)
			}
			var status int
			code, _, _ := strings.Cut(test.want, "|")
			if _, err := fmt.Sscanf(test.want, code+"|%d", &status); err != nil {
				t.Fatal(err)
			}
			beside := r.do(t, test.method, "/v40"+test.path, test.body, header...)
			wantError(t, beside, status, code)
			if got, want := w.Header().Get("Retry-After"), beside.Header().Get("Retry-After"); got != want {
				t.Errorf("Retry-After %q, beside it %q", got, want)
			}
		})
	}
}
