package guard

import (
	"net/http"
	"testing"
)

func TestBearer(t *testing.T) {
	for header, want := range map[string]string{
		"Bearer abc": "abc", "bearer abc": "abc", "Bearer  abc ": "abc", "": "", "Bearer": "", "Bearer ": "",
		"Basic abc": "", "abc": "",
	} {
		h := http.Header{}
		if header != "" {
			h.Set("Authorization", header)
		}
		got, err := Bearer(h)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: got %q, %v", header, got, err)
		}
	}
	if got, err := Bearer(http.Header{"Authorization": {"Bearer abc", "Bearer def"}}); err == nil {
		t.Errorf("two headers: got %q", got)
	}
}
