package license_test

import (
	"net/http"
	"net/url"
	"slices"
	"testing"
)

// TestSearchFindsKeysAsTheyAreShown: our own in letters of either case, others as they were imported.
func TestSearchFindsKeysAsTheyAreShown(t *testing.T) {
	eachWorld(t, func(w *world) {
		own, key := w.create(1, 0)
		for imported, key := range map[string]string{"small": "gf32-xr78-ja2k-lybu", "capital": "GH77-xr78-ja2k-lybu"} {
			row := `{"license_key":"` + key + `","customer_id":"` + imported + `"}`
			w.want(w.importing(row, forReal), http.StatusOK, "")
		}
		for search, want := range map[string]string{
			key[:8]: own, "lic-" + key[4:6]: own,
			"gf32": "small", "gf": "small", "GF32": "", "GH77": "capital", "gh77": "capital",
		} {
			ids, _ := w.list(url.Values{"search": {search}})
			var got []string
			for _, id := range ids {
				customer := w.get(id)["customer_id"].(string)
				got = append(got, id, customer)
			}
			if want == "" && len(got) > 0 || want != "" && (len(ids) != 1 || !slices.Contains(got, want)) {
				t.Errorf("search %s finds %v, want %q", search, got, want)
			}
		}
	})
}
