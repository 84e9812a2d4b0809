package httpx

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/proto/errcode"
)

func TestQuery(t *testing.T) {
	readers := map[string]func(*gin.Context) (string, error){
		"int": func(c *gin.Context) (string, error) {
			n, err := QueryInt(c, "q", 7, 1, 100)
			return fmt.Sprint(n), err
		},
		"bool": func(c *gin.Context) (string, error) {
			b, err := QueryBool(c, "q")
			if b == nil {
				return "nil", err
			}
			return fmt.Sprint(*b), err
		},
		"time": func(c *gin.Context) (string, error) {
			at, err := QueryTime(c, "q")
			if at == nil {
				return "nil", err
			}
			return at.Format(time.RFC3339Nano), err
		},
		"text": func(c *gin.Context) (string, error) { return QueryText(c, "q", 5) },
	}
	tests := []struct{ kind, query, want string }{ // want "" = refused
		{"int", "", "7"}, {"int", "q=1", "1"}, {"int", "q=100", "100"}, {"int", "other=x", "7"},
		{"int", "q=0", ""}, {"int", "q=101", ""}, {"int", "q=-1", ""}, {"int", "q=1.5", ""}, {"int", "q=1e1", ""},
		{"int", "q=x", ""},
		{"int", "q=", ""}, {"int", "q=1&q=2", ""}, {"int", "q=99999999999999999999", ""}, {"int", "q=%zz", ""},
		{"int", "q=+1", ""}, {"int", "q=%20" + "1", ""},
		{"bool", "", "nil"}, {"bool", "q=true", "true"}, {"bool", "q=false", "false"}, {"bool", "q=1", ""},
		{"bool", "q=TRUE", ""}, {"bool", "q=", ""},
		{"time", "", "nil"}, {"time", "q=2026-01-31", "2026-01-31T00:00:00Z"},
		{"time", "q=2026-01-31T02:00:00%2B02:00", "2026-01-31T00:00:00Z"},
		{"time", "q=2026-01-31T02:00:00.1234567Z", "2026-01-31T02:00:00.123456Z"},
		{"time", "q=2026-01-31T02:00:00+02:00", ""}, {"time", "q=2026-13-01", ""}, {"time", "q=yesterday", ""},
		{"time", "q=2026-01-31T02:00:00", ""}, {"time", "q=0000-01-01", ""},
		{"text", "q=abc", "abc"}, {"text", "q=%C3%A9%C3%A9%C3%A9%C3%A9%C3%A9", "ééééé"},
		{"text", "q=abcdef", ""}, {"text", "q=a%00", ""}, {"text", "q=a%0a", ""}, {"text", "q=%ff", ""},
		{"text", "q=%ed%a0%80", ""},
	}
	for _, tt := range tests {
		t.Run(tt.kind+" "+tt.query, func(t *testing.T) {
			c, _ := gin.CreateTestContext(httptest.NewRecorder())
			c.Request = httptest.NewRequest("GET", "/?"+tt.query, nil)
			got, err := readers[tt.kind](c)
			if tt.want == "" {
				if e := apierr.From(err); e == nil || e.Code != errcode.ValidationError ||
					len(e.Details["fields"].(map[string]string)) != 1 {
					t.Errorf("got %q, %v", got, err)
				}
				return
			}
			if err != nil || got != tt.want {
				t.Errorf("got %q %v, want %q", got, err, tt.want)
			}
		})
	}
}

func TestStrictEngineRefusesUnknownParameters(t *testing.T) {
	for _, strict := range []bool{false, true} {
		r := newRig(t, func(o *Options) { o.StrictMembers = strict })
		r.POST("/", Wrap(func(c *gin.Context) error { return BindOptional(c, &struct{}{}) }))
		want := map[bool]int{false: http.StatusOK, true: http.StatusBadRequest}[strict]
		if w := r.do(t, "POST", "/", `{"x":1}`); w.Code != want {
			t.Errorf("strict %v: got %d %s", strict, w.Code, w.Body)
		}
	}
}

func TestUnknownQueryParameters(t *testing.T) {
	r := newRig(t, nil)
	r.GET("/", Wrap(func(c *gin.Context) error { return KnownQuery(c, "customer_id", "per_page") }))
	for query, want := range map[string]string{
		"": "", "?per_page=1&customer_id=a": "", "?": "",
		"?perpage=1":    `"perpage":"is unknown; did you mean per_page?"`,
		"?limit=1":      `"limit":"is unknown; known are customer_id, per_page"`,
		"?a=1&per_page": `"a":"is unknown; known are customer_id, per_page"`,
		"?%zz=1":        `"query":"is not a well-formed query string"`,
		"?%ff=1":        "is unknown",
	} {
		w := r.do(t, "GET", "/"+query, "")
		if want == "" && w.Code != http.StatusOK ||
			want != "" && (w.Code != 400 || !strings.Contains(w.Body.String(), want)) {
			t.Errorf("%s: got %d %s", query, w.Code, w.Body)
		}
	}
}

// TestABodyIsCheckedBeforeTheQuery: the size and type of a body come before the names in the query; a GET has no body.
func TestABodyIsCheckedBeforeTheQuery(t *testing.T) {
	r := newRig(t, func(o *Options) { o.MaxBody = 64 })
	unread := func(c *gin.Context) error { return KnownQuery(c) }
	r.POST("/", Wrap(unread))
	r.GET("/", Wrap(unread))
	large := strings.Repeat("x", 65)
	for _, tt := range []struct {
		method, body, media string
		status              int
		code                string
	}{
		{"POST", `{}`, "application/json", 400, "VALIDATION_ERROR"},
		{"POST", `{}`, "text/plain", 415, "UNSUPPORTED_MEDIA_TYPE"},
		{"POST", large, "application/json", 413, "PAYLOAD_TOO_LARGE"},
		{"GET", `{}`, "text/plain", 400, "VALIDATION_ERROR"},
		{"GET", large, "application/json", 400, "VALIDATION_ERROR"},
	} {
		wantError(t, r.do(t, tt.method, "/?foo=1", tt.body, "Content-Type", tt.media), tt.status, tt.code)
	}
}

func TestQueryIdentifier(t *testing.T) {
	r := newRig(t, nil)
	r.GET("/", Wrap(func(c *gin.Context) error {
		id, err := QueryIdentifier(c, "id", 3)
		c.Header("X-Seen", id)
		return err
	}))
	for query, want := range map[string]string{"": "", "?id=abc%0d%0a": "abc", "?id=%20a%EF%BB%BF": "a"} {
		if w := r.do(t, "GET", "/"+query, ""); w.Code != http.StatusOK || w.Header().Get("X-Seen") != want {
			t.Errorf("%s: got %d %q", query, w.Code, w.Header().Get("X-Seen"))
		}
	}
	for _, query := range []string{"?id=", "?id=%20", "?id=a%00b", "?id=%ff", "?id=abcd", "?id=a&id=b"} {
		wantError(t, r.do(t, "GET", "/"+query, ""), 400, "VALIDATION_ERROR")
	}
}
