package license_test

import (
	"encoding/binary"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/proto/errcode"
	"github.com/latchkey-dev/latchkey/services/license"
)

// geoNode is a node of the search tree of a MaxMind database: for each value of the next bit of an address another
// node, a country, or neither.
type geoNode struct {
	next    [2]*geoNode
	country string
}

// withCountries writes a database of countries (MaxMind DB format 2.0) for a service.
func withCountries(t testing.TB, networks map[string]string) func(*license.Config) {
	t.Helper()
	root := &geoNode{}
	for network, country := range networks {
		prefix := netip.MustParsePrefix(network)
		node, addr := root, prefix.Addr().AsSlice()
		for bit := range prefix.Bits() {
			way := addr[bit/8] >> (7 - bit%8) & 1
			if node.next[way] == nil {
				node.next[way] = &geoNode{}
			}
			node = node.next[way]
		}
		node.country = country
	}
	file := filepath.Join(t.TempDir(), "countries.mmdb")
	if err := os.WriteFile(file, geoFile(root), 0o600); err != nil {
		t.Fatal(err)
	}
	return func(c *license.Config) { c.GeoIPFile = file }
}

// geoFile is the tree of IPv4 addresses with its data and what describes it.
func geoFile(root *geoNode) []byte {
	nodes, number := []*geoNode{root}, map[*geoNode]int{root: 0}
	for i := 0; i < len(nodes); i++ {
		for _, n := range nodes[i].next {
			if n != nil && n.country == "" {
				number[n] = len(nodes)
				nodes = append(nodes, n)
			}
		}
	}
	var tree, data []byte
	for _, node := range nodes {
		for _, n := range node.next {
			record := len(nodes) // nothing is known
			switch {
			case n != nil && n.country != "":
				record = len(nodes) + 16 + len(data)
				data = append(data, geoMap("country", geoMap("iso_code", geoText(n.country)))...)
			case n != nil:
				record = number[n]
			}
			tree = append(tree, byte(record>>16), byte(record>>8), byte(record))
		}
	}
	file := append(append(tree, make([]byte, 16)...), data...)
	file = append(file, "\xab\xcd\xefMaxMind.com"...)
	return append(file, geoMap(
		"binary_format_major_version", geoNumber(2), "binary_format_minor_version", geoNumber(0),
		"database_type", geoText("Country"), "ip_version", geoNumber(4), "record_size", geoNumber(24),
		"node_count", geoNumber(uint32(len(nodes))))...)
}

func geoText(text string) []byte { return append([]byte{2<<5 | byte(len(text))}, text...) }

func geoNumber(n uint32) []byte { return binary.BigEndian.AppendUint32([]byte{6<<5 | 4}, n) }

// geoMap is a map of names and encoded values.
func geoMap(pairs ...any) []byte {
	raw := []byte{7<<5 | byte(len(pairs)/2)}
	for i := 0; i < len(pairs); i += 2 {
		raw = append(append(raw, geoText(pairs[i].(string))...), pairs[i+1].([]byte)...)
	}
	return raw
}

// from makes the calls to a handler come from an address.
func from(address string, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.RemoteAddr = address
		h.ServeHTTP(w, r)
	})
}

// TestCountries: rules about countries ask the database for the address of a call; an address that it does not know has
// no country.
func TestCountries(t *testing.T) {
	const german, french, unknown, mapped = "192.0.2.1:1", "198.51.100.7:1", "[2001:db8::1]:1", "[::ffff:192.0.2.9]:1"
	eachEngine(t, func(t *testing.T, d *db.DB) {
		w := newStillWorld(t, d, withCountries(t, map[string]string{"192.0.2.0/24": "DE", "198.51.100.0/25": "FR"}))
		w.build()
		for terms, allowed := range map[string][]string{
			`{"allow":["de"]}`:               {german, mapped},
			`{"deny":["DE"]}`:                {french, unknown},
			`{"allow":["DE","FR"]}`:          {german, mapped, french},
			`{"allow":["FR"],"deny":["FR"]}`: nil,
		} {
			id, key := w.with(`"max_devices":9,"countries":` + terms)
			for _, address := range []string{german, french, unknown, mapped} {
				got := w.ask(from(address, w.public), http.MethodPost, "/api/v1/license/activate", device(key, address),
					"X-API-Key", w.auth.apiKey)
				if slices.Contains(allowed, address) {
					w.want(got, http.StatusCreated, "")
					continue
				}
				w.want(got, http.StatusForbidden, errcode.EnvironmentForbidden)
				if rule := got.body["details"].(map[string]any)["rule"]; rule != "countries" {
					t.Errorf("%s from %s: %v", terms, address, rule)
				}
			}
			w.inUse(id, len(allowed))
		}
	})
}
