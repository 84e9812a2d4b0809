package guard

import (
	"net/http"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
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
		got, err := Bearer(h, "lease_token")
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: got %q, %v", header, got, err)
		}
		refused := apierr.From(err)
		if refused != nil && !strings.HasPrefix(refused.Message, "send the lease_token once") {
			t.Errorf("%q: %s", header, refused.Message)
		}
	}
	if got, err := Bearer(http.Header{"Authorization": {"Bearer abc", "Bearer def"}}, "lease_token"); err == nil {
		t.Errorf("two headers: got %q", got)
	}
}
