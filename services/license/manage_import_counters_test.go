package license_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// counting is a row of an import with so many counters, each of which has counted to its number.
func counting(key string, counters int) string {
	var terms, used []string
	for i := range counters {
		terms = append(terms, fmt.Sprintf(`{"name":"c%d"}`, i))
		used = append(used, fmt.Sprintf(`"c%d":%d`, i, i))
	}
	return fmt.Sprintf(`{"license_key":%q,"customer_id":"a","counters":[%s],"used":{%s}}`, key,
		strings.Join(terms, ","), strings.Join(used, ","))
}

// What counters have counted takes its place in a transaction: others have their turn after a few licenses with many.
// Each part of an import keeps its answer.
func TestImportsOfManyCountersComeInParts(t *testing.T) {
	eachStillWorld(t, func(w *world) {
		rows := []string{counting("many-1-key", 20), counting("many-2-key", 20), counting("few-1-key", 2),
			counting("few-2-key", 2)}
		w.want(w.importing(strings.Join(rows, ","), forReal, "Idempotency-Key", "import"), http.StatusOK, "")
		var parts int64
		err := w.db.Read(t.Context()).Table("idempotency_keys").Count(&parts).Error
		if err != nil || parts != 3 {
			t.Errorf("%d parts, want 3: %v", parts, err)
		}
	})
}

// All counters of a license are raised at once, and none is lowered.
func TestImportRaisesCounters(t *testing.T) {
	eachStillWorld(t, func(w *world) {
		id := firstImported(w.importing(counting("some-key", 4), forReal))
		update := forReal + `,"existing":"update"`
		row := `{"license_key":"some-key","used":{"c0":7,"c1":0,"c3":3}}`
		w.wantImported(w.importing(row, update), "updated used")
		w.wantImported(w.importing(row, update), "unchanged")
		w.wantImported(w.importing(`{"license_key":"some-key","used":{"c2":9,"c8":1}}`, update),
			"failed VALIDATION_ERROR used.c8")
		for name, want := range map[string]int{"c0": 7, "c1": 1, "c2": 2, "c3": 3} {
			w.wantUsed(id, name, want)
		}
	})
}
