package licensing

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
)

// input spreads fuzzed values over the members that an administrator may set. Text arrives as UTF-8: the edge sees to
// it.
type input struct {
	text, key, feature, metadata string
	features, number, days       int
}

func (in input) valid() bool {
	return utf8.ValidString(in.text) && utf8.ValidString(in.key) && utf8.ValidString(in.feature)
}

func (in input) list() []string {
	list := make([]string, max(0, in.features)%150)
	for i := range list {
		list[i] = in.feature
	}
	return list
}

func seedInputs(f *testing.F) {
	f.Add("acme", "OLIVE-TREE-1", "export", `{"a":1}`, 2, 5, 30)
	f.Add("", "", "", "", 0, 0, 0)
	f.Add(strings.Repeat("ö", 255), strings.Repeat("k", 255), strings.Repeat("x", 64), "{}", 100, 1_000_000, 36_500)
	f.Add(strings.Repeat("x", 256), "short", strings.Repeat("x", 65), "[]", 101, 1_000_001, 36_501)
	f.Add(" \t", "tab\there\x00", "\x00", "null", 1, -1, -1<<62)
	f.Add("a", " lic-7q2m 0v9k-xt4i ", "b", `{"deep":{"er":[1,2,3]}}`, 3, 1<<62, 1<<62)
}

// holds tells what an accepted license must be, whatever was asked for.
func holds(t *testing.T, l *License) {
	t.Helper()
	if strings.TrimSpace(l.CustomerID) == "" || utf8.RuneCountInString(l.CustomerID) > 255 ||
		utf8.RuneCountInString(l.Product) > 255 {
		t.Errorf("customer %q, product %q", l.CustomerID, l.Product)
	}
	if l.MaxDevices < 1 || l.MaxDevices > 1_000_000 || l.MaxOfflineHours < 1 {
		t.Errorf("%d devices, %d hours offline", l.MaxDevices, l.MaxOfflineHours)
	}
	if len(l.Features) > 100 || len(l.Metadata) > 64<<10 {
		t.Errorf("%d features, %d bytes of metadata", len(l.Features), len(l.Metadata))
	}
	for _, f := range l.Features {
		if n := utf8.RuneCountInString(f); n < 1 || n > 64 {
			t.Errorf("feature %q", f)
		}
	}
}

// explained reports whether a refusal names the members that are wrong.
func explained(err error) bool {
	var e *apierr.Error
	if !errors.As(err, &e) || e.Kind != apierr.Invalid {
		return false
	}
	fields, _ := e.Details["fields"].(map[string]string)
	return len(fields) > 0
}

func FuzzNewLicense(f *testing.F) {
	seedInputs(f)
	f.Fuzz(func(t *testing.T, text, key, feature, metadata string, features, number, days int) {
		in := input{text, key, feature, metadata, features, number, days}
		if !in.valid() {
			return // it does not get past the decoding of requests
		}
		n := NewLicense{
			CustomerID: text, Product: text, Key: &key, Metadata: json.RawMessage(metadata), TermsChange: TermsChange{
				MaxDevices: Some(number), MaxOfflineHours: &number, ExpiresInDays: &days, Features: new(in.list()),
			},
		}
		made, err := n.license(nil, noon)
		if err != nil {
			if !explained(err) {
				t.Fatalf("refused without saying why: %v", err)
			}
			return
		}
		l := &made.License
		holds(t, l)
		if !l.ExpiresAt.After(noon) || l.ExpiresAt.After(noon.AddDate(0, 0, 36_500)) || l.Check(noon) != nil {
			t.Errorf("expires at %s after %d days", l.ExpiresAt, days)
		}
		if n := utf8.RuneCountInString(made.Key); n < 8 || n > 255 || strings.Contains(l.MaskedKey, made.Key) {
			t.Errorf("key %q is shown as %q", made.Key, l.MaskedKey)
		}
		_, _ = created(l, noon), audited(&Actor{}, "license.create", l.ID, nil, l.auditView())
	})
}

func FuzzPatch(f *testing.F) {
	seedInputs(f)
	f.Fuzz(func(t *testing.T, text, key, feature, metadata string, features, number, days int) {
		in := input{text, key, feature, metadata, features, number, days}
		if !in.valid() {
			return // it does not get past the decoding of requests
		}
		list, raw, on := in.list(), json.RawMessage(metadata), number%2 == 0
		expires := noon.Add(time.Duration(days))
		ch := license()
		before := ch.License
		p := Patch{
			CustomerID: &text, IsActive: &on, DeactivationReason: &key, Metadata: &raw, TermsChange: TermsChange{
				MaxDevices: Some(number), MaxOfflineHours: &number, ExpiresAt: Some(End{At: expires}), Features: &list,
			},
		}
		if on {
			p.DeactivationReason = nil
		}
		if err := p.check(); err != nil {
			if !explained(err) {
				t.Fatalf("refused without saying why: %v", err)
			}
			return
		}
		if err := ch.patch(&Actor{Id: "a"}, p, noon); err != nil {
			t.Fatal(err)
		}
		holds(t, &ch.License)
		if ch.License.CurrentDevices != before.CurrentDevices ||
			ch.License.Version != before.Version+len(ch.Events())/2 {
			t.Errorf("version %d, %d devices after %d events",
				ch.License.Version, ch.License.CurrentDevices, len(ch.Events()))
		}
		if at := ch.License.LastDeactivation().At; !ch.License.IsActive == at.IsZero() {
			t.Errorf("active %v, deactivated at %s", ch.License.IsActive, at)
		}
	})
}
