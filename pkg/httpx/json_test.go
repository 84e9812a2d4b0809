package httpx

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/google/go-cmp/cmp"
)

func FuzzAppendStringIsWhatJSONWrites(f *testing.F) {
	for _, s := range []string{"", "plain", `"quoted" \`, "<a href='x'>&</a>", "\x00\x1f\x7f\n\t", "äöü €",
		"\u2028\u2029", "\xff cut \xc3", "😀"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		want, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if got := AppendString([]byte("before"), s); string(got) != "before"+string(want) {
			t.Errorf("%q: got %s, want %s", s, got, want)
		}
	})
}

func TestWriteJSONAnswersAsGinDoes(t *testing.T) {
	r := newRig(t, nil)
	r.GET("/gin", func(c *gin.Context) { c.JSON(http.StatusCreated, gin.H{"a": 1}) })
	r.GET("/ours", func(c *gin.Context) { WriteJSON(c, http.StatusCreated, []byte(`{"a":1}`)) })
	want, got := r.do(t, "GET", "/gin", "", HeaderRequestID, "same"), r.do(t, "GET", "/ours", "", HeaderRequestID,
		"same")
	if got.Code != want.Code || got.Body.String() != want.Body.String() {
		t.Errorf("got %d %s, want %d %s", got.Code, got.Body, want.Code, want.Body)
	}
	if diff := cmp.Diff(want.Header(), got.Header()); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
}
