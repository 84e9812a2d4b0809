package importer

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/pkg/app"
)

// api answers imports, and keeps what it was asked.
type api struct {
	*httptest.Server
	calls []request
	// answers are what it says of a license by its key; others are created.
	answers map[string]string
	// busy is how many calls it turns away first.
	busy int
}

func newAPI(t *testing.T) *api {
	a := &api{answers: map[string]string{}}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if a.busy > 0 && r.Method == http.MethodPost {
			a.busy--
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		if r.Header.Get("X-Admin-API-Key") != "good" {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, `{"error":"no admin key","details":{}}`)
			return
		}
		if r.Method == http.MethodGet {
			_, _ = io.WriteString(w, `{"products":[{"code":"editor","name":"The Editor"}],"next_cursor":null}`)
			return
		}
		var asked request
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
			t.Error(err)
		}
		a.calls = append(a.calls, asked)
		var results []string
		for _, l := range asked.Licenses {
			answer := a.answers[fmt.Sprint(l["license_key"])]
			if answer == "" {
				answer = `{"outcome":"created"}`
			}
			results = append(results, answer)
		}
		fmt.Fprintf(w, `{"results":[%s]}`, strings.Join(results, ","))
	}))
	t.Cleanup(a.Close)
	return a
}

// sent are the licenses that were sent, as JSON.
func (a *api) sent() (licenses []string) {
	for _, c := range a.calls {
		for _, l := range c.Licenses {
			b, _ := json.Marshal(l)
			licenses = append(licenses, string(b))
		}
	}
	return licenses
}

// imports runs the command on a file, and returns what it said and what its report says.
func (a *api) imports(t *testing.T, content string, args ...string) (said, report string, err error) {
	t.Helper()
	t.Setenv("LATCHKEY_ADMIN_API_KEY", "good")
	file := filepath.Join(t.TempDir(), "licenses.csv")
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	err = Run(t.Context(), "latchkey", append([]string{"--url", a.URL, file}, args...), &out, io.Discard)
	raw, _ := os.ReadFile(file + ".refused.csv")
	return out.String(), string(raw), err
}

// Files come as spreadsheets, databases and systems write them.
func TestFiles(t *testing.T) {
	const one = `{"customer_id":"Müller, \"A\"","license_key":"KEY-00001","max_devices":3}`
	for name, test := range map[string]struct{ file, want string }{
		"commas":          {"license_key,customer_id,max_devices\nKEY-00001,\"Müller, \"\"A\"\"\",3\n", one},
		"semicolons":      {"license_key;customer_id;max_devices\nKEY-00001;\"Müller, \"\"A\"\"\";3\n", one},
		"tabs":            {"license_key\tcustomer_id\tmax_devices\nKEY-00001\t\"Müller, \"\"A\"\"\"\t3\n", one},
		"CRLF":            {"license_key,customer_id,max_devices\r\nKEY-00001,\"Müller, \"\"A\"\"\",3\r\n", one},
		"byte order mark": {"\ufefflicense_key,customer_id,max_devices\nKEY-00001,\"Müller, \"\"A\"\"\",3", one},
		"blanks, case": {" License_Key , customer_id,MAX_DEVICES\n KEY-00001 ,\"Müller, \"\"A\"\"\", 3 \n\n,,\n",
			one},
		"a formula": {"license_key,customer_id\nKEY-00001,=HYPERLINK(1)\n",
			`{"customer_id":"=HYPERLINK(1)","license_key":"KEY-00001"}`},
		"a line break within": {"license_key,customer_name\nKEY-00001,\"a\nb\"\n",
			`{"customer":{"name":"a\nb"},"license_key":"KEY-00001"}`},
		"none and never": {"license_key,max_devices,expires_at\nKEY-00001,Unlimited,never\n",
			`{"expires_at":null,"license_key":"KEY-00001","max_devices":null}`},
		"times": {"license_key,expires_at,starts_at\nKEY-00001,2027-01-31,2026-01-31 14:00:00+02:00\n",
			`{"expires_at":"2027-01-31","license_key":"KEY-00001","starts_at":"2026-01-31T12:00:00Z"}`},
		"times without a zone": {"license_key,expires_at,starts_at\n" +
			"KEY-00001,2027-01-31 9:00:00,2026-01-31T14:00:00.5\n",
			`{"expires_at":"2027-01-31T09:00:00Z","license_key":"KEY-00001","starts_at":"2026-01-31T14:00:00.5Z"}`},
		"metadata": {"license_key,metadata.Order No\nKEY-00001,0042\n",
			`{"license_key":"KEY-00001","metadata":{"Order No":"0042"}}`},
		"lists": {"license_key,features,is_trial,floating_slots\nKEY-00001,pdf | cloud,YES,5.0\n",
			`{"features":["pdf","cloud"],"floating":{"slots":5},"is_trial":true,"license_key":"KEY-00001"}`},
		"several lines": {"license_key,max_devices,hardware_id,device_active,counter,counter_limit,counter_used\n" +
			"KEY-00001,3,a,,x,10,4\nKEY-00001,,b,0,y,unlimited,\nKEY-00001,3,a,,x,10,4\n",
			`{"counters":[{"limit":10,"name":"x"},{"limit":null,"name":"y"}],"devices":[{"hardware_id":"a"},` +
				`{"hardware_id":"b","is_active":false}],"license_key":"KEY-00001","max_devices":3,"used":{"x":4}}`},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAPI(t)
			said, report, err := a.imports(t, test.file)
			if diff := cmp.Diff([]string{test.want}, a.sent()); diff != "" || err != nil || report != "" {
				t.Errorf("%v %s (-want +got):\n%s", err, report, diff)
			}
			if said != "done: 1 created, 0 updated, 0 unchanged, 0 here and different, 0 refused\n" {
				t.Error(said)
			}
		})
	}
}

// LicenseSpring says some things otherwise.
func TestLicenseSpring(t *testing.T) {
	for name, test := range map[string]struct{ columns, line, want string }{
		"prefixes": {"license__license_key,product__short_code,customer__reference,order__is_test", "K,ed,c-1,0",
			`{"customer_id":"c-1","is_test":false,"license_key":"K","product":"ed"}`},
		"code and name of a product": {"license_key,product,short_code", "K,The Editor,ed",
			`{"license_key":"K","product":"ed"}`},
		"customer": {"license_key,customer__email,customer__first_name,customer__last_name,customer__country",
			"K,a@b.c,Ada,B,de", `{"customer":{"address":{"country":"DE"},"email":"a@b.c","name":"Ada B"},` +
				`"customer_id":"a@b.c","license_key":"K"}`},
		"a country by name": {"license_key,customer__company_name,customer__country", "K,Acme,Germany",
			`{"customer":{"company":"Acme"},"customer_id":"Acme","license_key":"K",` +
				`"metadata":{"customer_country":"Germany"}}`},
		"unlimited": {"license_key,max_activations,allow_unlimited_activations,max_transfers", "K,5,1,0",
			`{"license_key":"K","max_devices":null}`},
		"duration": {"license_key,license__valid_duration", "K,2y",
			`{"duration_months":24,"license_key":"K","starts":"first_activation"}`},
		"duration with an end": {"license_key,valid_duration,validity_period", "K,30d,2030-01-01",
			`{"expires_at":"2030-01-01","license_key":"K"}`},
		"maintenance, grace": {
			"license_key,enable_maintenance_period,maintenance_period,allow_grace_period,grace_period",
			"K,false,2030-01-01,true,48", `{"grace_hours":48,"license_key":"K"}`},
		"floating": {"license_key,is_floating_cloud,floating_users,floating_timeout", "K,true,5,10",
			`{"floating":{"activation":"none","lease_seconds":600,"slots":5},"license_key":"K"}`},
		"a timeout of a spreadsheet": {"license_key,is_floating,floating_users,floating_timeout", "K,1,5,10.0",
			`{"floating":{"activation":"none","lease_seconds":600,"slots":5},"license_key":"K"}`},
		"not floating": {"license_key,is_floating_cloud,floating_users", "K,0,5", `{"license_key":"K"}`},
		"consumption": {"license_key,license_type,max_consumptions,total_consumptions,allow_overages,max_overages," +
			"reset_consumption,consumption_period", "K,Consumption,100,40,1,0,1,Monthly",
			`{"counters":[{"limit":100,"name":"consumptions","overage":null,"reset":"monthly"}],"license_key":"K",` +
				`"license_type":"consumption","used":{"consumptions":40}}`},
		"no consumption": {"license_key,license_type,max_consumptions", "K,Perpetual,0",
			`{"license_key":"K","license_type":"perpetual"}`},
		"feature": {"license_key,code,max_consumption,total_consumptions,expiry_date,reset_consumption",
			"K,scan,10,3,2031-01-01,0", `{"counters":[{"limit":10,"name":"scan"}],"entitlements":[{"code":"scan",` +
				`"counter":"scan","expires_at":"2031-01-01"}],"license_key":"K","used":{"scan":3}}`},
		"device": {"license_key,hardware_id,hostname", "K,hw,desk",
			`{"devices":[{"device_name":"desk","hardware_id":"hw"}],"license_key":"K"}`},
		"user": {"license_key,email,first_name", "K,a@b.c,Ada",
			`{"license_key":"K","users":[{"email":"a@b.c","name":"Ada"}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAPI(t)
			_, report, err := a.imports(t, test.columns+"\n"+test.line+"\n", "--from", "licensespring")
			if diff := cmp.Diff([]string{test.want}, a.sent()); diff != "" || err != nil || report != "" {
				t.Errorf("%v %s (-want +got):\n%s", err, report, diff)
			}
		})
	}
}

// A truth value that cannot be read is told, as it is in columns of ours: a floating license must not become another.
func TestLicenseSpringTruth(t *testing.T) {
	for name, truth := range springsRules {
		if !truth {
			continue
		}
		a := newAPI(t)
		_, report, err := a.imports(t, "license_key,Order__"+name+"\nK-1,on\nK-2,no\nK-3,\n", "--from", "licensespring")
		if err == nil || !strings.Contains(report, "2,Order__"+name+",FILE,must be true or false\n") ||
			len(a.sent()) != 2 {
			t.Errorf("%s: %v %q\n%s", name, err, a.sent(), report)
		}
		_, _, err = a.imports(t, "license_key,"+name+"\nK-4,on\n", "--from", "licensespring", "--map", name+"=")
		if err != nil {
			t.Errorf("%s left out: %v", name, err)
		}
	}
}

// What is wrong is told by line and column, and the rest goes on.
func TestReport(t *testing.T) {
	a := newAPI(t)
	a.answers["KEY-00006"] = `{"outcome":"failed","error_code":"VALIDATION_ERROR","error":"bad",` +
		`"details":{"fields":{"devices[1].hardware_id":"is a placeholder"}}}`
	a.answers["KEY-00008"] = `{"outcome":"failed","error_code":"LICENSE_KEY_EXISTS","error":"taken","details":{}}`
	a.answers["KEY-00009"] = `{"outcome":"differs","changed":["max_devices"]}`
	a.answers["KEY-00010"] = `{"outcome":"created","skipped_devices":[{"index":0,"hardware_id":"a",` +
		`"error_code":"DEVICE_BLOCKED","error":"is blocked"}]}`
	said, report, err := a.imports(t, "license_key,max_devices,Machine\n"+
		"KEY-00002,many,\n"+"KEY-00003,1,,,x\n"+",1,\n"+"KEY-00005,\"1\"2,\n"+"KEY-00006,2,pc\n"+"KEY-00006,,None\n"+
		"KEY-00008,1,\n"+"KEY-00009,1,\n"+"KEY-00010,1,a\n"+"KEY-00010,1,b\n"+"KEY-00012,1,\n"+"KEY-00013,1,\n"+
		"key-00012,1,\n"+"KEY-00015,1,\xff\n", "--map", "Machine=hardware_id")
	want := `line,column,error_code,reason
2,max_devices,FILE,"must be a whole number, or ""unlimited"""
3,,FILE,"has 5 cells, the first line names 3 columns"
4,license_key,FILE,is missing
5,,FILE,"cannot be read: extraneous or missing "" in quoted-field"
12,license_key,FILE,line 14 of the same license is refused
14,license_key,FILE,"an earlier line has this license_key; sort the file by license_key, or import it with --update"
15,Machine,FILE,is not in UTF-8; save the file as CSV in UTF-8
7,Machine,VALIDATION_ERROR,is a placeholder
8,,LICENSE_KEY_EXISTS,taken
9,max_devices,DIFFERS,the license is here and stays as it is; --update would change these
10,Machine,DEVICE_BLOCKED,is blocked
`
	if diff := cmp.Diff(want, report); diff != "" || err == nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if said != "done: 2 created, 0 updated, 0 unchanged, 1 here and different, 9 refused\n" {
		t.Error(said)
	}
}

// A license comes whole, in a call of its own if it has many devices, and a call that is turned away comes again.
func TestCalls(t *testing.T) {
	a := newAPI(t)
	a.busy = 2
	file := "license_key,hardware_id\n"
	for i := range 450 {
		file += fmt.Sprintf("KEY-%05d,\n", i)
	}
	large := func(key string, n int) {
		for i := range n {
			file += fmt.Sprintf("%s,pc-%d\n", key, i)
		}
	}
	large("KEY-large", maxSize-1)
	large("KEY-too-large", maxSize)
	_, report, err := a.imports(t, file+"KEY-after,\n", "--dry-run")
	if err == nil || strings.Count(report, "\n") != 2 || !strings.Contains(report, "from a file of their own") {
		t.Error(err, report)
	}
	devices := 0
	var calls []string
	for _, c := range a.calls {
		size := 0
		for _, l := range c.Licenses {
			list, _ := l["devices"].([]any)
			size += 1 + len(list)
			devices += len(list)
		}
		calls = append(calls, fmt.Sprint(len(c.Licenses), " ", size <= maxSize, " ", c.Existing, " ", c.DryRun))
	}
	want := []string{
		"200 true keep true", "200 true keep true", "50 true keep true", "1 true keep true", "1 true keep true",
	}
	if diff := cmp.Diff(want, calls); diff != "" || devices != maxSize-1 {
		t.Errorf("%d devices (-want +got):\n%s", devices, diff)
	}
}

// A key that comes again is sent in another call.
func TestUpdateOfALicenseTwice(t *testing.T) {
	a := newAPI(t)
	if _, report, err := a.imports(t, "license_key,max_devices\nKEY-1,1\nKEY-2,1\nkey-1,2\n", "--update"); err != nil {
		t.Fatal(err, report)
	}
	if len(a.calls) != 2 || len(a.calls[0].Licenses) != 2 || a.calls[1].Existing != "update" {
		t.Errorf("%+v", a.calls)
	}
}

// A file or an option that cannot be meant so ends the command before anything is sent.
func TestWrongFiles(t *testing.T) {
	for name, test := range map[string]struct {
		file, want string
		args       []string
	}{
		"empty":                           {"", "the file is empty", nil},
		"UTF-16":                          {"\xff\xfel\x00i\x00", "UTF-16", nil},
		"typing error":                    {"license_key,max_device\n", `"max_device" (max_devices?)`, nil},
		"a heading that a terminal obeys": {"license_key,\x1b[2J\n", `unknown columns: "\x1b[2J"`, nil},
		"a mapped column beside its own": {"license_key,max_devices,Seats\n", "say the same",
			[]string{"--map", "Seats=max_devices"}},
		"two mapped columns": {"license_key,a,b\n", "say the same",
			[]string{"--map", "a=max_devices", "--map", "b=max_devices"}},
		"two columns":   {"license_key,LICENSE_KEY\n", "say the same", nil},
		"no column":     {"license_key\n", "does not have", []string{"--map", "x=license_key"}},
		"no such name":  {"license_key,x\n", "there is no column y here", []string{"--map", "x=y"}},
		"one meaning":   {"license_key,email,user__email\n", "say the same", []string{"--from", "licensespring"}},
		"no address":    {"license_key\n", "--url must be", []string{"--url", "ftp://x"}},
		"an open quote": {"license_key,product\nKEY-00001,\"" + strings.Repeat("a,b\n", 1<<19), "longer than", nil},
		"other formats": {"license_key\n", "--from is", []string{"--from", "xml"}},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAPI(t)
			if _, _, err := a.imports(t, test.file, test.args...); err == nil ||
				!strings.Contains(err.Error(), test.want) || len(a.calls) > 0 {
				t.Errorf("%v, %d calls", err, len(a.calls))
			}
		})
	}
}

// A dry run names the products that an import would make, for example of a typing error.
func TestProductsThatAreNotThere(t *testing.T) {
	a := newAPI(t)
	a.answers["KEY-00005"] = `{"outcome":"failed","error_code":"VALIDATION_ERROR","error":"bad"}`
	file := "license_key,product\nKEY-00001,editor\nKEY-00002,The Editor\nKEY-00003,\"ed, itro\"\n" +
		"KEY-00004,default\nKEY-00005,refused\nKEY-00006,editro\n"
	for args, want := range map[string]bool{"--dry-run": true, "--dry-run=false": false} {
		said, _, err := a.imports(t, file, args)
		if err == nil || errors.As(err, new(*app.ArgumentError)) ||
			strings.Contains(said, "would be made: \"ed, itro\", \"editro\"\n") != want {
			t.Errorf("%s: %v %s", args, err, said)
		}
	}
}

// What the command is told wrong is told apart from what the file has wrong.
func TestWrongArguments(t *testing.T) {
	a := newAPI(t)
	for _, args := range [][]string{
		{}, {"a.csv", "b.csv"}, {"--dryrun", "a.csv"}, {"--map", "foo", "a.csv"}, {"--from", "x", "a.csv"},
		{"--url", "x", "a.csv"}, {"/nowhere/a.csv", "--url", a.URL},
	} {
		t.Setenv("LATCHKEY_ADMIN_API_KEY", "good")
		if err := Run(t.Context(), "latchkey", args, io.Discard, io.Discard); !errors.As(err, new(*app.ArgumentError)) {
			t.Errorf("%q: %v", args, err)
		}
	}
	err := Run(t.Context(), "latchkey", []string{"--url", a.URL, t.TempDir()}, io.Discard, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "is a folder") {
		t.Errorf("a folder: %v", err)
	}
	t.Setenv("LATCHKEY_ADMIN_API_KEY", "bad")
	file := filepath.Join(t.TempDir(), "a.csv")
	if err := os.WriteFile(file, []byte("license_key\nKEY-00001\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	err = Run(t.Context(), "latchkey", []string{"--url", a.URL, file}, io.Discard, io.Discard)
	if err == nil || !strings.HasSuffix(err.Error(), "no admin key") {
		t.Errorf("%v", err)
	}
}

// A certificate that is not trusted is not tried again.
func TestRefusedCertificate(t *testing.T) {
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	var shaken atomic.Int32
	s.TLS = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		shaken.Add(1)
		return nil, nil
	}}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	to := target{url: s.URL, key: "good", client: http.DefaultClient}
	if _, err := to.send(t.Context(), request{}); err == nil || shaken.Load() != 1 {
		t.Errorf("%v after %d calls", err, shaken.Load())
	}
}

// Nobody else gets the admin key.
func TestRedirect(t *testing.T) {
	other := newAPI(t)
	a := httptest.NewServer(http.RedirectHandler(other.URL+"/api/v1/admin/licenses/import",
		http.StatusTemporaryRedirect))
	t.Cleanup(a.Close)
	_, _, err := other.imports(t, "license_key\nKEY-00001\n", "--url", a.URL+"/")
	if err == nil || !strings.Contains(err.Error(), "redirect to "+other.URL) || len(other.calls) > 0 {
		t.Errorf("%v, %d calls", err, len(other.calls))
	}
}

func FuzzFile(f *testing.F) {
	f.Add("license_key,max_devices\nKEY-00001,3\n", false)
	f.Add("license__license_key;license__valid_duration\r\n\"a\";1y\r\n", true)
	f.Fuzz(func(t *testing.T, file string, springs bool) {
		from := Generic
		if springs {
			from = LicenseSpring
		}
		r, err := newReader(strings.NewReader(file), from, nil)
		for err == nil {
			var next *row
			if next, err = r.read(); next != nil && next.same == "" && len(next.wrong) == 0 {
				t.Errorf("line %d has no key and is not refused", next.line)
			}
		}
	})
}
