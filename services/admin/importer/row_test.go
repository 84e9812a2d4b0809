package importer

import "testing"

// TestOrigin: what is said of a member with several cells is reported at the same cell each time.
func TestOrigin(t *testing.T) {
	r := &row{line: 7, origins: map[string]cell{
		"metadata.team": {line: 7, column: "metadata.team"}, "metadata.site": {line: 7, column: "metadata.site"},
		"metadata.unit": {line: 8, column: "metadata.unit"}, "max_devices": {line: 7, column: "seats"},
	}}
	for range 100 {
		if got := r.origin("metadata"); got.column != "metadata.site" {
			t.Fatalf("got the column %s", got.column)
		}
	}
}
