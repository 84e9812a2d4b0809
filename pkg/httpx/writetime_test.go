package httpx

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
)

// connection notes until when it may be written to.
type connection struct {
	*httptest.ResponseRecorder
	until time.Time
}

// SetWriteDeadline is what http.ResponseController looks for.
func (c *connection) SetWriteDeadline(t time.Time) error {
	c.until = t
	return nil
}

// TestTheConnectionLastsAsLongAsTheRequest: servers cut connections after WriteTimeout, so a request that may end later
// has its connection cut later.
func TestTheConnectionLastsAsLongAsTheRequest(t *testing.T) {
	r := newRig(t, nil)
	r.POST("/short", ok)
	r.POST("/peers", Timeout(MaxTimeout), ok)
	r.POST("/report", Timeout(time.Minute), ok)
	r.POST("/export", func(c *gin.Context) {
		requestFrom(c.Request.Context()).start = time.Now().Add(-time.Hour) // all parts but the last took an hour
		Renew(c, time.Minute)
		if deadline, _ := c.Request.Context().Deadline(); time.Until(deadline) < 50*time.Second {
			t.Errorf("the last part has %v", time.Until(deadline))
		}
	})
	r.POST("/slow-body", Timeout(20*time.Second), Wrap(func(c *gin.Context) error {
		requestFrom(c.Request.Context()).start = time.Now().Add(-14 * time.Second) // as if the body had taken so long
		_, err := Body(c)
		return err
	}))
	for path, least := range map[string]time.Duration{
		"/short": 0, "/peers": 0, "/report": time.Minute, "/export": time.Minute, "/slow-body": 20 * time.Second,
	} {
		before, conn := time.Now(), &connection{ResponseRecorder: httptest.NewRecorder()}
		r.ServeHTTP(conn, httptest.NewRequest("POST", path, strings.NewReader("{}")))
		if lasts := conn.until.Sub(before); least == 0 && !conn.until.IsZero() ||
			least > 0 && (lasts < least+sendTime || lasts > least+time.Hour) {
			t.Errorf("%s: the connection lasts %v, the request %v", path, lasts, least)
		}
	}
}

// TestLongRequestsOutlastTheServersTime has a server that cuts connections at once.
func TestLongRequestsOutlastTheServersTime(t *testing.T) {
	r := newRig(t, nil)
	r.GET("/short", ok)
	r.GET("/report", Timeout(time.Minute), ok)
	server := httptest.NewUnstartedServer(r)
	server.Config.WriteTimeout = time.Nanosecond
	server.Start()
	defer server.Close()
	get := func(path string) error {
		res, err := http.Get(server.URL + path)
		if err == nil {
			err = res.Body.Close()
		}
		return err
	}
	if err := get("/short"); err == nil {
		t.Error("the server cuts no connection, so this test shows nothing")
	}
	if err := get("/report"); err != nil {
		t.Errorf("the answer of a long request was not written: %v", err)
	}
}
