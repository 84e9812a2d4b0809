package event

import (
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// FuzzPlain demands that the short way reads what the general decoder reads, and nothing that it refuses.
func FuzzPlain(f *testing.F) {
	const head = `{"specversion":"1.0","id":"0197a3c1-0000-7000-8000-000000000001","source":"latchkey/license","type":"a.b"`
	const data = `,"datacontenttype":"application/json","data":`
	at := `,"time":"2026-01-02T03:04:05.678901Z"`
	for _, seed := range []string{
		head + at + data + `{}}`, head + `,"subject":"s"` + at + `,"traceparent":"t"` + data + `{"a":{"b":"}}"}}}`,
		head + `,"subject":"a\"b"` + at + data + `{}}`, head + `,"subject":""` + at + data + `{}}`, head + at + data + `{},"id":"x"}}`,
		head + at + data + `{}}}`, head + at + data + `{"a":1},"data":{}}`, head + at + data + `[]}`, head + at + data + `{} }`,
		head + `,"time":"now"` + data + `{}}`, head + ",\"subject\":\"\n\"" + at + data + `{}}`, head + at + data + `}}`,
		head + at + data + "{}}\n", head + at + `,"data":{}}`,
		"[" + head + at + data + `{"a":"{\"}"}},` + head + at + data + `{}}]`, "[" + head + at + data + `{}},`, "[" + head + at + data + `{}}`,
		"[" + head + at + data + `{}},]`, "[" + head + at + data + `{}}]]`, "[", "[]", "[ ]", "",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if _, ok := plainAll(raw); !ok || !utf8.Valid(raw) {
			return
		}
		got, err := Decode(raw)
		want, wantErr := decode(raw)
		if diff := cmp.Diff(want, got); diff != "" || (err == nil) != (wantErr == nil) {
			t.Errorf("%q: %v, the general decoder %v:\n%s", raw, err, wantErr, diff)
		}
	})
}

// What Encode writes must take the short way, or it would be of no use.
func TestEncodedIsPlain(t *testing.T) {
	for _, e := range []Event{
		{ID: "0197a3c1-0000-7000-8000-000000000001", Type: "a.b", Source: "latchkey/license", Time: time.Unix(0, 0), Data: []byte(`{}`)},
		{ID: "0197a3c1-0000-7000-8000-000000000001", Type: "a.b", Source: "latchkey/license", Subject: "s", Time: time.Unix(0, 1000), Trace: "t", Data: []byte(`{"a":"}\"{"}`)},
	} {
		encoded, err := e.Encode()
		if err != nil {
			t.Fatal(err)
		}
		batch, err := EncodeBatch([]Event{e, e})
		if err != nil {
			t.Fatal(err)
		}
		for n, message := range [][]byte{encoded, batch} {
			if all, ok := plainAll(message); !ok || len(all) != n+1 {
				t.Errorf("%s takes the long way", message)
			}
		}
	}
}
