package jsonbody

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

type named struct {
	Key   string           `json:"license_key" text:"identifier"`
	Maybe *string          `json:"maybe" text:"identifier"`
	Code  Optional[string] `json:"code" text:"identifier"`
	Codes []string         `json:"codes" text:"identifier"`
	Name  string           `json:"name"`
}

func TestIdentifiersAreTrimmed(t *testing.T) {
	for given, want := range map[string]string{
		`K`: "K", `K\r\n`: "K", `\nK`: "K", `\tK\u000b`: "K", ` K `: "K", "\u00a0K\u3000": "K",
		"\u200bK\ufeff": "K", `\ufeffK\u200e`: "K", "K\u2060\u00ad": "K", "\u2028K\u0085": "K",
		`a b`: "a b", "a\u200db": "a\u200db", `e\u0301`: "é", "\u212b": "\u00c5", `\u0020`: "", `\r\n`: "",
	} {
		var got named
		in := `{"license_key":"` + given + `","maybe":"` + given + `","code":"` + given + `","codes":["` + given + `"]}`
		if err := Decode([]byte(in), &got); err != nil {
			t.Errorf("%q: %v", given, fieldsOf(t, err))
			continue
		}
		for _, got := range []string{got.Key, *got.Maybe, got.Code.Value, got.Codes[0], Identifier(got.Key)} {
			if got != want {
				t.Errorf("%q: got %q, want %q", given, got, want)
			}
		}
	}
}

func TestOtherTextIsNotTrimmed(t *testing.T) {
	var got named
	if err := Decode([]byte(`{"name":" x\u200b"}`), &got); err != nil || got.Name != " x\u200b" {
		t.Errorf("got %q, %v", got.Name, err)
	}
	want := map[string]string{"license_key": badControl, "name": badControl, "codes[0]": badControl}
	fields := fieldsOf(t, Decode([]byte(`{"license_key":"a\nb","name":"x\n","codes":["\u0000x"]}`), &got))
	if diff := cmp.Diff(want, fields); diff != "" {
		t.Error(diff)
	}
}

func TestEmptyIsNotAbsent(t *testing.T) {
	type optional struct {
		Product string `json:"product" text:"identifier" empty:"no"`
	}
	for in, want := range map[string]map[string]string{
		`{}`: nil, `{"product":null}`: nil, `{"product":"a"}`: nil,
		`{"product":""}`: {"product": EmptyText}, `{"product":" \u200b"}`: {"product": EmptyText},
	} {
		var got optional
		err := Decode([]byte(in), &got)
		if want == nil && err != nil || want != nil && !cmp.Equal(want, fieldsOf(t, err)) {
			t.Errorf("%s: %v", in, err)
		}
	}
}

// TestTimesAreThoseOfTheRFC: time.Parse alone takes more than RFC 3339, and years that the databases do not.
func TestTimesAreThoseOfTheRFC(t *testing.T) {
	for given, want := range map[string]string{
		"2026-01-31T09:08:07Z": "2026-01-31T09:08:07Z", "2026-01-31T09:08:07.5Z": "2026-01-31T09:08:07.5Z",
		"2026-01-31T09:08:07.123456789Z": "2026-01-31T09:08:07.123456Z",
		"2026-01-31T09:08:07+00:00":      "2026-01-31T09:08:07Z", "2026-01-31T09:08:07-00:00": "2026-01-31T09:08:07Z",
		"2026-01-31T09:08:07+23:59": "2026-01-30T09:09:07Z", "2026-01-31T09:08:07.5-23:59": "2026-02-01T09:07:07.5Z",
		"2028-02-29": "2028-02-29T00:00:00Z", "0001-01-01T00:00:00Z": "0001-01-01T00:00:00Z",
		"9999-12-31T23:59:59Z": "9999-12-31T23:59:59Z",
		// Hours of one digit, commas and offsets that time.Parse takes.
		"2026-01-31T9:08:07Z": "", "2026-01-31T9:08:07+01:00": "", "2026-01-31T9:08:07.5Z": "",
		"2026-01-31T09:08:07,5Z": "", "2026-01-31T09:08:07,5+01:00": "", "2026-01-31T09:08:07+24:00": "",
		"2026-01-31T09:08:07-24:00": "", "2026-01-31T09:08:07+23:60": "", "2026-01-31T09:08:07+00:60": "",
		"2026-01-31T09:08:07+24:60": "", "2026-01-31T09:08:07.5+24:00": "",
		// Years that are none in UTC.
		"0000-12-31T23:59:59Z": "", "0001-01-01T00:30:00+01:00": "", "9999-12-31T23:30:00-01:00": "", "0000-01-01": "",
		// What is no time either way.
		"2026-01-31t09:08:07z": "", "2026-01-31 09:08:07Z": "", "2026-01-31T09:08Z": "", "2026-01-31T09:08:07": "",
		"2026-01-31T09:08:07+0100": "", "2026-01-31T09:08:07+01": "", "2026-01-31T24:00:00Z": "",
		"2026-01-31T09:08:60Z": "", "2026-02-29T09:08:07Z": "", "2026-1-31": "", "2026-02-29": "", "2026-01-31Z": "",
		"2026-01-31T09:08:07.Z": "", " 2026-01-31": "", "1767225600": "", "Z": "", "": "",
	} {
		var got struct {
			At  time.Time  `json:"at"`
			End *time.Time `json:"end" time:"end"`
		}
		parsed, ok := ParseTime(given)
		err := Decode([]byte(`{"at":"`+given+`"}`), &got)
		if ok != (want != "") || ok && parsed.Format(time.RFC3339Nano) != want || (err == nil) != ok ||
			ok && !got.At.Equal(parsed) {
			t.Errorf("%q: %v, %t, %v", given, parsed, ok, err)
		}
		if _, isEnd := ParseEnd(given); isEnd != ok {
			t.Errorf("%q as an end: %t", given, isEnd)
		}
	}
}

func TestDateAsAnEnd(t *testing.T) {
	type dates struct {
		Start time.Time           `json:"starts_at"`
		End   *time.Time          `json:"expires_at" time:"end"`
		Patch Optional[time.Time] `json:"maintenance_until" time:"end" null:"ok"`
	}
	day := time.Date(2028, 2, 29, 0, 0, 0, 0, time.UTC)
	last := day.Add(24*time.Hour - time.Second)
	var got dates
	if err := Decode([]byte(`{"starts_at":"2028-02-29","expires_at":"2028-02-29","maintenance_until":"2028-02-29"}`),
		&got); err != nil {
		t.Fatal(fieldsOf(t, err))
	}
	if !got.Start.Equal(day) || !got.End.Equal(last) || !got.Patch.Value.Equal(last) {
		t.Errorf("got %+v", got)
	}
	noon := day.Add(12 * time.Hour)
	if err := Decode([]byte(`{"expires_at":"2028-02-29T13:00:00+01:00"}`), &got); err != nil || !got.End.Equal(noon) {
		t.Errorf("got %v, %v", got.End, err)
	}
	for _, zero := range []string{"0001-01-01T00:00:00Z", "0001-01-01", "0001-01-01T01:00:00+01:00", "1970-01-01",
		"1999-12-31T23:59:59Z"} {
		fields := fieldsOf(t, Decode([]byte(`{"expires_at":"`+zero+`","maintenance_until":"`+zero+`"}`), &got))
		if fields["expires_at"] != badEnd || fields["maintenance_until"] != badEnd {
			t.Errorf("%s: got %v", zero, fields)
		}
	}
	if got = (dates{}); Decode([]byte(`{"expires_at":null,"maintenance_until":null}`), &got) != nil || got.End != nil ||
		!got.Patch.Null {
		t.Errorf("null: got %+v", got)
	}
}

type settable struct {
	MaxDevices int               `json:"max_devices"`
	CustomerID string            `json:"customer_id"`
	OS         osInfo            `json:"os_info"`
	Rows       []Row[osInfo]     `json:"rows"`
	Meta       Object            `json:"metadata"`
	Free       map[string]string `json:"free"`
}

func (settable) Unsettable() map[string]string {
	return map[string]string{"is_active": "", "expires_in_days": "send expires_at"}
}

func TestUnknownMembers(t *testing.T) {
	for in, want := range map[string]map[string]string{
		`{"max_devices":1,"metadata":{"any":{"thing":1}},"free":{"more":"x"}}`: nil,
		`{"max_device":1}`: {"max_device": "is unknown; did you mean max_devices?"},
		`{"maxDevices":1}`: {"maxDevices": "is unknown; did you mean max_devices?"},
		`{"colour":1}`: {"colour": "is unknown; known are customer_id, free, max_devices, metadata, " +
			"os_info, rows"},
		`{"is_active":false}`:   {"is_active": "cannot be set here"},
		`{"expires_in_days":1}`: {"expires_in_days": "cannot be set here; send expires_at"},
		`{"os_info":{"nam":1}}`: {"os_info.nam": "is unknown; did you mean name?"},
		`{"":1}`: {
			"body": "is unknown; known are customer_id, free, max_devices, metadata, os_info, rows"},
	} {
		if diff := cmp.Diff(want, fieldsOf(t, DecodeStrict([]byte(in), &settable{}))); diff != "" {
			t.Errorf("%s: %s", in, diff)
		}
		if err := Decode([]byte(in), &settable{}); err != nil {
			t.Errorf("%s: refused where unknown members are ignored: %v", in, fieldsOf(t, err))
		}
	}
	var got settable
	if err := DecodeStrict([]byte(`{"rows":[{"name":"a"},{"nme":"b"}]}`), &got); err != nil {
		t.Fatal(fieldsOf(t, err))
	}
	if got.Rows[0].Err() != nil || fieldsOf(t, got.Rows[1].Err())["nme"] == "" {
		t.Errorf("got %+v", got.Rows)
	}
}
