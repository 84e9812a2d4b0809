package jsonbody

import (
	"encoding/json"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
)

type osInfo struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

type embedded struct {
	Session string `json:"session"`
}

type sample struct {
	embedded
	Text     string              `json:"text"`
	Maybe    *string             `json:"maybe"`
	Nullable *string             `json:"nullable" null:"ok"`
	Flag     bool                `json:"flag"`
	Count    int                 `json:"count"`
	Small    int8                `json:"small"`
	Ratio    float64             `json:"ratio"`
	OS       *osInfo             `json:"os_info"`
	List     []string            `json:"list" max:"3"`
	Rows     []json.RawMessage   `json:"rows"`
	Objects  []osInfo            `json:"objects"`
	Meta     Object              `json:"meta"`
	Raw      json.RawMessage     `json:"raw"`
	Free     map[string]any      `json:"free"`
	Numbers  map[string]int      `json:"numbers"`
	At       time.Time           `json:"at"`
	Until    Optional[time.Time] `json:"until" null:"ok"`
	Limit    Optional[int]       `json:"limit"`
	Patch    Optional[osInfo]    `json:"patch" null:"ok"`
	Patched  Optional[Object]    `json:"patched"`
	Hidden   string
}

// fieldsOf is details.fields of a VALIDATION_ERROR, nil of no error.
func fieldsOf(t *testing.T, err error) map[string]string {
	t.Helper()
	if err == nil {
		return nil
	}
	var e *apierr.Error
	if !errors.As(err, &e) || e.Code != "VALIDATION_ERROR" || e.Kind != apierr.Invalid {
		t.Fatalf("got %v, want a VALIDATION_ERROR", err)
	}
	fields, ok := e.Details["fields"].(map[string]string)
	if !ok {
		t.Fatalf("details are %v", e.Details)
	}
	return fields
}

func TestDecodeValues(t *testing.T) {
	text := "x"
	tests := map[string]struct {
		in   string
		want sample
	}{
		"empty object":     {`{}`, sample{}},
		"blanks":           {" \r\n\t{ \"text\" : \"x\" } \n", sample{Text: "x"}},
		"unknown members":  {`{"a":[{"b":[1,-2.5e3,true,false,null,{}]}],"text":"x"}`, sample{Text: "x"}},
		"exact names only": {`{"Text":"a","TEXT":"b","Hidden":"c","hidden":"e"}`, sample{}},
		"last one counts": {`{"text":"a","text":"x","os_info":{"name":"a"},"os_info":{"version":"b"}}`,
			sample{Text: "x", OS: &osInfo{Version: "b"}}},
		"escapes":      {`{"text":"\"\\\/ \u00e9 \ud83d\ude00 <&>"}`, sample{Text: "\"\\/ é 😀 <&>"}},
		"unicode":      {"{\"text\":\"h\u202e\u200bé�\"}", sample{Text: "h\u202e\u200bé�"}},
		"escaped name": {`{"te\u0078t":"x"}`, sample{Text: "x"}},
		"pointers":     {`{"maybe":"x","nullable":null}`, sample{Maybe: &text}},
		"bools":        {`{"flag":true}`, sample{Flag: true}},
		"numbers": {`{"count":-9223372036854775808,"small":-128,"ratio":1.5e-3}`,
			sample{Count: -1 << 63, Small: -128, Ratio: .0015}},
		"embedded": {`{"session":"x"}`, sample{embedded: embedded{Session: "x"}}},
		"list": {`{"list":["a","b"],"objects":[{"name":"a"},{}]}`,
			sample{List: []string{"a", "b"}, Objects: []osInfo{{Name: "a"}, {}}}},
		"empty list": {`{"list":[]}`, sample{List: []string{}}},
		"verbatim": {`{"meta":{ "a" : [1.0, null] },"raw":1e2,"rows":[{"x":1}, null]}`,
			sample{
				Meta: Object(`{ "a" : [1.0, null] }`),
				Raw:  json.RawMessage(`1e2`),
				Rows: []json.RawMessage{json.RawMessage(`{"x":1}`), nil},
			}},
		"maps": {`{"free":{"a":null,"b":[1]},"numbers":{"a":1}}`,
			sample{Free: map[string]any{"a": nil, "b": []any{1.0}}, Numbers: map[string]int{"a": 1}}},
		"time": {`{"at":"2026-01-31T12:00:00.1234567+02:00"}`,
			sample{At: time.Date(2026, 1, 31, 10, 0, 0, 123456000, time.UTC)}},
		"date":          {`{"at":"2026-01-31"}`, sample{At: time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC)}},
		"optional null": {`{"until":null}`, sample{Until: Optional[time.Time]{Present: true, Null: true}}},
		"optional value": {`{"until":"2026-01-31","limit":0}`, sample{
			Until: Optional[time.Time]{Present: true, Value: time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC)},
			Limit: Optional[int]{Present: true},
		}},
		"null within what is replaced whole": {`{"patch":{"name":null,"version":"x"},"patched":{"free":null}}`,
			sample{Patch: Optional[osInfo]{Present: true, Value: osInfo{Version: "x"}},
				Patched: Optional[Object]{Present: true, Value: Object(`{"free":null}`)}}},
		"null is absent": {`{"text":"x","text":null,"maybe":null,"flag":null,"count":null,"os_info":null,` +
			`"list":null,"meta":null,"raw":null,"at":null}`, sample{}},
		"whole numbers": {`{"count":5.0,"small":-1.0E2,"limit":240e-1}`,
			sample{Count: 5, Small: -100, Limit: Optional[int]{Present: true, Value: 24}}},
		"whole and long": {`{"count":9223372036854775807.0,"small":0e40}`, sample{Count: 1<<63 - 1}},
		"as deep as may": {`{"raw":` + strings.Repeat("[", 31) + strings.Repeat("]", 31) + `}`,
			sample{Raw: json.RawMessage(strings.Repeat("[", 31) + strings.Repeat("]", 31))}},
		"large number": {`{"raw":` + strings.Repeat("9", 300) + `}`,
			sample{Raw: json.RawMessage(strings.Repeat("9", 300))}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var got sample
			if err := Decode([]byte(tt.in), &got); err != nil {
				t.Fatalf("refused: %v", fieldsOf(t, err))
			}
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(sample{}, embedded{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDecodeRefuses(t *testing.T) {
	const syntax = "is not valid JSON at byte "
	tests := map[string]struct {
		in   string
		want map[string]string
	}{
		"nothing":        {``, map[string]string{"body": "is empty; send JSON"}},
		"blanks only":    {`  `, map[string]string{"body": "is empty; send JSON"}},
		"list":           {`[]`, map[string]string{"body": "must be an object"}},
		"text":           {`""`, map[string]string{"body": "must be an object"}},
		"truncated":      {`{"text":"a`, map[string]string{"body": syntax + "10"}},
		"truncated list": {`{"list":["a"`, map[string]string{"body": syntax + "12"}},
		"trailing comma": {`{"text":"a",}`, map[string]string{"body": syntax + "11"}},
		"missing comma":  {`{"text":"a" "flag":true}`, map[string]string{"body": syntax + "12"}},
		"missing colon":  {`{"text" "a"}`, map[string]string{"body": syntax + "8"}},
		"trailing data":  {`{} x`, map[string]string{"body": syntax + "2"}},
		"two objects":    {`{}{}`, map[string]string{"body": syntax + "2"}},
		"trailing NUL":   {"{}\x00", map[string]string{"body": syntax + "2"}},
		"byte order mark": {"\ufeff{}", map[string]string{"body": "begins with a byte order mark, which " +
			"JSON does not have (RFC 8259, section 8.1); send plain UTF-8"}},
		"UTF-16":         {"{\x00}\x00", map[string]string{"body": syntax + "1"}},
		"comment":        {`{/**/}`, map[string]string{"body": syntax + "1"}},
		"NaN":            {`{"ratio":NaN}`, map[string]string{"body": syntax + "9"}},
		"leading zero":   {`{"count":01}`, map[string]string{"body": syntax + "10"}},
		"bare minus":     {`{"count":-}`, map[string]string{"body": syntax + "10"}},
		"half a literal": {`{"flag":tru}`, map[string]string{"body": syntax + "11"}},
		"bad escape":     {`{"text":"\x"}`, map[string]string{"body": syntax + "9"}},
		"bad hex":        {`{"text":"\u12g4"}`, map[string]string{"body": syntax + "9"}},
		"syntax wins":    {`{"text":1,"flag":`, map[string]string{"body": syntax + "17"}},
		"wrong types": {`{"text":1,"flag":"a","count":"1","ratio":"1","list":{},"os_info":[],` +
			`"meta":[],"numbers":1,"at":5,"limit":"x"}`,
			map[string]string{"text": "must be text", "flag": "must be true or false", "count": badInt,
				"ratio": "must be a number", "list": "must be a list", "os_info": "must be an object",
				"meta": "must be an object", "numbers": "must be an object", "at": BadTime, "limit": badInt}},
		"inside": {`{"os_info":{"name":1,"x":{"version":2}},"list":["a",1],"objects":[{},` +
			`{"name":true}],"numbers":{"k":"v"}}`, map[string]string{"os_info.name": "must be text",
			"list[1]": "must be text", "objects[1].name": "must be text", "numbers.k": badInt}},
		"nulls": {`{"list":[null],"limit":null,"numbers":{"k":null},"objects":[null]}`,
			map[string]string{"list[0]": "must not be null", "limit": "must not be null",
				"numbers.k": "must not be null", "objects[0]": "must not be null"}},
		"null":                       {`null`, map[string]string{"body": "must not be null"}},
		"fraction":                   {`{"count":1.5}`, map[string]string{"count": badInt}},
		"fraction by exponent":       {`{"count":15e-1}`, map[string]string{"count": badInt}},
		"fraction at the last digit": {`{"count":5.00000000000000000001}`, map[string]string{"count": badInt}},
		"whole but out of range": {`{"count":1e19,"small":1.28e2}`,
			map[string]string{"count": badInt, "small": badInt}},
		"2^63":          {`{"count":9223372036854775808}`, map[string]string{"count": badInt}},
		"128 in 8 bits": {`{"small":128}`, map[string]string{"small": badInt}},
		"400 digits":    {`{"count":` + strings.Repeat("9", 400) + `}`, map[string]string{"count": badInt}},
		"1e400": {`{"count":1e400,"ratio":1e400,"raw":1e400,"meta":{"a":[1e400]}}`,
			map[string]string{"count": badInt, "ratio": badNumber, "raw": badNumber, "meta.a[0]": badNumber}},
		"1e-999999": {`{"ratio":1e-999999,"raw":1e-999999,"more":1e99999999999999999999}`,
			map[string]string{"ratio": badNumber, "raw": badNumber, "more": badNumber}},
		"500 decimals": {`{"raw":0.` + strings.Repeat("0", 500) + `}`,
			map[string]string{"raw": badNumber}},
		"NUL escaped":     {`{"text":"a\u0000"}`, map[string]string{"text": badControl}},
		"NUL raw":         {"{\"text\":\"a\x00\"}", map[string]string{"text": badControl}},
		"newline escaped": {`{"meta":{"note":"a\nb"}}`, map[string]string{"meta.note": badControl}},
		"newline raw":     {"{\"text\":\"a\nb\"}", map[string]string{"text": badControl}},
		"DEL and C1": {"{\"text\":\"\x7f\",\"maybe\":\"\u0085\",\"x\":\"\\u009f\"}",
			map[string]string{"text": badControl, "maybe": badControl, "x": badControl}},
		"control in name":     {`{"os_info":{"a\u0001":1}}`, map[string]string{"os_info": badControl}},
		"invalid UTF-8":       {"{\"text\":\"a\xff\"}", map[string]string{"text": badUTF8}},
		"overlong UTF-8":      {"{\"text\":\"\xc0\xaf\"}", map[string]string{"text": badUTF8}},
		"encoded surrogate":   {"{\"text\":\"\xed\xa0\x80\"}", map[string]string{"text": badUTF8}},
		"lone high surrogate": {`{"text":"\ud83d"}`, map[string]string{"text": badSurrogate}},
		"lone low surrogate":  {`{"text":"\ude00"}`, map[string]string{"text": badSurrogate}},
		"high without low":    {`{"text":"\ud83d\u0041"}`, map[string]string{"text": badSurrogate}},
		"in unknown members":  {`{"x":{"y":["\u0000"]}}`, map[string]string{"x.y[0]": badControl}},
		"too many entries": {`{"list":["a","b","c","d","e"]}`,
			map[string]string{"list": "must have at most 3 entries"}},
		"not a date":                {`{"at":"2026-02-30"}`, map[string]string{"at": BadTime}},
		"no zone":                   {`{"at":"2026-01-31T12:00:00"}`, map[string]string{"at": BadTime}},
		"leap second":               {`{"at":"2026-06-30T23:59:60Z"}`, map[string]string{"at": BadTime}},
		"year 0":                    {`{"at":"0000-01-01T00:00:00Z"}`, map[string]string{"at": BadTime}},
		"year 10000 after the zone": {`{"at":"9999-12-31T23:59:59-14:00"}`, map[string]string{"at": BadTime}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := fieldsOf(t, Decode([]byte(tt.in), &sample{}))
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDecodeDepth(t *testing.T) {
	for _, depth := range []int{32, 100, 20000, 500000} {
		in := `{"raw":` + strings.Repeat(`[`, depth) + strings.Repeat("]", depth) + `}`
		fields := fieldsOf(t, Decode([]byte(in), &sample{}))
		if len(fields) != 1 {
			t.Fatalf("depth %d: got %v", depth, fields)
		}
		for _, problem := range fields {
			if problem != tooDeep {
				t.Errorf("depth %d: got %q", depth, problem)
			}
		}
	}
}

func TestDecodeBoundsTheAnswer(t *testing.T) {
	in := `{"` + strings.Repeat("x", 5000) + `":{"a":"\u0000"},"list":[` + strings.Repeat("1,", 3) + `1],"objects":[` +
		strings.Repeat("1,", 5000) + `1]}`
	fields := fieldsOf(t, Decode([]byte(in), &sample{}))
	if len(fields) > MaxProblems {
		t.Errorf("%d problems are shown", len(fields))
	}
	for name := range fields {
		if len(name) > 300 {
			t.Errorf("a path of %d bytes is shown", len(name))
		}
	}
}

// FuzzDecode compares with encoding/json: what Decode accepts, encoding/json accepts too, and finds the same values in.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`{"text":"a\u00e9","count":1,"ratio":1.5,"flag":true,"maybe":"x","nullable":null,"os_info":{"name":"a"},` +
			`"list":["a"]}`,
		`{"meta":{"a":[1,{"b":null}]},"raw":[1e5],"rows":[{},1],"free":{"a":"b"},"numbers":{"a":1},` +
			`"at":"2026-01-31","until":null,"limit":5}`,
		`{"text":"\ud83d\ude00","TEXT":"x"} `,
		`{"raw":` + strings.Repeat("[", 40), "{\"text\":\"\xff\"}", `[]`, `null`, ``, `{"a":1}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var got sample
		err := Decode(raw, &got)
		if err != nil {
			if fields := fieldsOf(t, err); len(fields) == 0 || len(fields) > MaxProblems {
				t.Fatalf("problems: %v", fields)
			}
			if answer, err := json.Marshal(apierr.From(err).Details); err != nil || !json.Valid(answer) {
				t.Fatalf("the answer is not JSON: %s %v", answer, err)
			}
			return
		}
		var want map[string]json.RawMessage
		if err := json.Unmarshal(raw, &want); err != nil {
			t.Fatalf("accepted what is not JSON: %v", err)
		}
		var text string
		if raw, ok := want["text"]; ok && json.Unmarshal(raw, &text) == nil && text != got.Text {
			t.Fatalf("text is %q, want %q", got.Text, text)
		}
		if raw, ok := want["count"]; ok && string(raw) != "null" {
			if n, ok := new(big.Rat).SetString(string(raw)); !ok || n.Cmp(big.NewRat(int64(got.Count), 1)) != 0 {
				t.Fatalf("count is %d, want %s", got.Count, raw)
			}
		}
		if TextProblem(got.Text) != "" {
			t.Fatalf("let %q through", got.Text)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	raw := []byte(`{"license_key":"LIC-ABCD-EFGH-JKMN","hardware_id":"hw-0123456789abcdef","app_version":"1.2.3",` +
		`"os_info":{"name":"linux","version":"6.1"}}`)
	type body struct {
		LicenseKey string `json:"license_key"`
		HardwareID string `json:"hardware_id"`
		AppVersion string `json:"app_version"`
		OS         osInfo `json:"os_info"`
	}
	b.Run("ours", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var dst body
			if err := Decode(raw, &dst); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encoding/json", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var dst body
			if err := json.Unmarshal(raw, &dst); err != nil {
				b.Fatal(err)
			}
		}
	})
}
