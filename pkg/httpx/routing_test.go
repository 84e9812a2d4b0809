package httpx

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
)

func routingRig(t *testing.T) *rig {
	r := newRig(t, func(o *Options) {
		o.Service = "things"
		o.Elsewhere = func(path string) (string, int) {
			if strings.HasPrefix(path, "/orders/") {
				return "orders", 5009
			}
			return "", 0
		}
	})
	r.Use(func(c *gin.Context) { c.Header("X-Path", c.Request.URL.Path) })
	r.GET("/things", ok)
	r.POST("/things", ok)
	r.GET("/things/:id/parts", func(c *gin.Context) { c.String(http.StatusTeapot, c.Param("id")) })
	r.GET("/metrics", gin.WrapF(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("x")) }))
	return r
}

// HEAD is answered wherever GET is, and a slash at the end of a path does no harm. Anyone who looks at the path on
// the way sees the one that is served.
func TestHeadAndSlashes(t *testing.T) {
	r := routingRig(t)
	for _, tt := range []struct {
		method, path string
		status       int
		seen         string
	}{
		{"HEAD", "/things", 200, "/things"}, {"GET", "/things/", 200, "/things"},
		{"HEAD", "/things///", 200, "/things"},
		{"POST", "/things/", 200, "/things"}, {"HEAD", "/metrics", 200, "/metrics"},
		{"GET", "/metrics/", 200, "/metrics"},
		{"HEAD", "/things/5/parts/", 418, "/things/5/parts"},
	} {
		w := r.do(t, tt.method, tt.path, "")
		seen := w.Header()["X-Path"]
		if w.Code != tt.status || seen[len(seen)-1] != tt.seen || w.Header().Get("Location") != "" ||
			w.Header().Get("Allow") != "" {
			t.Errorf("%s %s: got %d %v", tt.method, tt.path, w.Code, w.Header())
		}
	}
	wantError(t, r.do(t, "DELETE", "/things/", ""), 405, "METHOD_NOT_ALLOWED")
	wantError(t, r.do(t, "GET", "/nothing/", ""), 404, "NOT_FOUND")
	wantError(t, r.do(t, "GET", strings.Repeat("/", 10_000), ""), 404, "NOT_FOUND")
	lines := r.lines(t)
	if len(lines) != 10 || lines[0]["method"] != "HEAD" || lines[0]["route"] != "/things" {
		t.Errorf("%d lines, the first %v", len(lines), lines[0])
	}
}

// TestEscapedPaths: an escaped slash belongs to an id, and what is escaped without need is what it is.
func TestEscapedPaths(t *testing.T) {
	r := routingRig(t)
	for path, id := range map[string]string{
		"/things/a%2Fb/parts": "a/b", "/things/a%2Fb/parts//": "a/b", "/things/a+b%2F%2520/parts": "a+b/%20",
		"/things/a%20b+c/parts": "a b+c", "/things/a%40b/parts": "a@b", "/th%69ngs/%41/p%61rts/": "A",
	} {
		if w := r.do(t, "GET", path, ""); w.Code != http.StatusTeapot || w.Body.String() != id {
			t.Errorf("%s: %d %q, want %q", path, w.Code, w.Body, id)
		}
	}
	wantError(t, r.do(t, "GET", "/things/a/b/parts", ""), 404, "NOT_FOUND")
	for _, path := range []string{
		"/things/a%2Fb", "/things/a%2Fparts", "/things/%2f", "/things%2fa/parts", "/%2Fthings/a/parts",
	} {
		wantError(t, r.do(t, "GET", path, ""), 404, "NOT_FOUND")
	}
}

func TestHeadHasNoBody(t *testing.T) {
	server := httptest.NewServer(routingRig(t))
	defer server.Close()
	res, err := http.Head(server.URL + "/things")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != JSONType {
		t.Errorf("got %d %v", res.StatusCode, res.Header)
	}
}

// A path that nobody serves here is told where it may have been meant for.
func TestHintsForPathsOfOtherServices(t *testing.T) {
	r := routingRig(t)
	for path, want := range map[string]string{
		"/orders/5": "this is the things service; this path is served by the orders " +
			"service, usually on port 5009",
		"/thing":                              "did you mean /things?",
		"/Things":                             "did you mean /things?",
		"/things/7/part":                      "did you mean /things/7/parts?",
		"/things/a<b/par":                     "did you mean /things/a\\u003cb/parts?",
		"//things/7//part":                    "did you mean /things/7/parts?", // of a base URL with a slash at its end
		"//things":                            "did you mean /things?",
		"/orders//5":                          "usually on port 5009",
		"/x":                                  "/openapi.json lists what there is",
		"/" + strings.Repeat("things/", 1000): "/openapi.json lists what there is",
	} {
		w := r.do(t, "GET", path, "")
		wantError(t, w, 404, "NOT_FOUND")
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("%.40s: got %s", path, w.Body)
		}
	}
}

// The refusal of a media type says what came.
func TestMediaTypeIsNamed(t *testing.T) {
	r := bindRig(t)
	for name, value := range map[string]string{
		"Content-Type":     "application/x-www-form-urlencoded",
		"Content-Encoding": "gzip",
	} {
		w := r.do(t, "POST", "/bind", "{}", name, value)
		wantError(t, w, 415, "UNSUPPORTED_MEDIA_TYPE")
		if !strings.Contains(w.Body.String(), name+` was \"`+value+`\"; send`) {
			t.Errorf("got %s", w.Body)
		}
	}
	for wrong, headers := range map[string][]string{
		`Content-Type was \"application/json, application/json\"`: {"Content-Type", "application/json", "Content-Type",
			"application/json"},
		`Content-Type was \"application/json, text/plain\"`: {"Content-Type", "application/json", "Content-Type",
			"text/plain"},
		`Content-Encoding was \"identity, gzip\"`: {"Content-Encoding", "identity", "Content-Encoding", "gzip"},
		`Content-Type was \"text/plain\"`:         {"Content-Encoding", "identity", "Content-Type", "text/plain"},
	} {
		w := r.do(t, "POST", "/bind", "{}", headers...)
		wantError(t, w, 415, "UNSUPPORTED_MEDIA_TYPE")
		if !strings.Contains(w.Body.String(), wrong) {
			t.Errorf("got %s, want %s", w.Body, wrong)
		}
	}
	w := r.do(t, "POST", "/bind", "{}", "Content-Type", strings.Repeat("\xff", 5000))
	wantError(t, w, 415, "UNSUPPORTED_MEDIA_TYPE")
	if w.Body.Len() > 1000 {
		t.Errorf("the answer repeats %d bytes", w.Body.Len())
	}
}

// TestOptionsOfNoPath: OPTIONS * asks of the whole server, which has nothing to say there.
func TestOptionsOfNoPath(t *testing.T) {
	w := newRig(t, nil).do(t, "OPTIONS", "*", "")
	wantError(t, w, 404, "NOT_FOUND")
	if w.Header().Get("X-Request-ID") == "" {
		t.Error("no X-Request-ID")
	}
}

// TestTextThatNoPathHas names nothing, wherever a route has a parameter; blanks around a name are none of that.
func TestTextThatNoPathHas(t *testing.T) {
	r := routingRig(t)
	for sent, want := range map[string]string{
		"%ff": "", "%c0%af": "", "%ed%a0%80": "", "a%00": "", "a%0Ab": "", "%7f": "", "%c2%85x%c2%85y": "",
		"a%2Fb": "a/b", "%C3%A9": "\u00e9", "a+b": "a+b", "a%0A": "a\n",
	} {
		if w := r.do(t, "GET", "/things/"+sent+"/parts", ""); w.Code != 418 || w.Body.String() != want {
			t.Errorf("%s: %d %q, want %q", sent, w.Code, w.Body, want)
		}
	}
}
