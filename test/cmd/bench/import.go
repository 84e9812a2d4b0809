//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Goals: the share of the rate of bulk creation that imports reach.
const (
	importFloor = 0.2
	importAim   = 0.5
)

// importedAtOnce is how many licenses a call brings. Each has a device, of which a call may have as many.
const importedAtOnce = 500

// imports measures imports of licenses with a device each, and the repetition of the same import, against bulk creation
// of as many licenses without devices.
func (b *bench) imports(ctx context.Context) error {
	ratio := b.ratio("import of bulk creation", importFloor, importAim)
	again := b.info("  repeated import of the first", "")
	imported, created := b.info("  licenses imported", "/s"), b.info("  licenses created in bulk", "/s")
	for round := range b.rounds {
		rows, plain := make([]any, importedAtOnce), make([]any, importedAtOnce)
		for i := range rows {
			key := fmt.Sprintf("BENCH-IMPORT-%04d-%04d-0000", round, i)
			device := map[string]any{"hardware_id": fmt.Sprintf("imported-%d-%d", round, i)}
			rows[i] = map[string]any{
				"license_key": key, "customer_id": "import", "max_devices": 5, "devices": []any{device},
			}
			plain[i] = map[string]any{"customer_id": "bulk", "max_devices": 5}
		}
		var took [3]float64
		for i, call := range []struct {
			path string
			body any
		}{
			{"/import", map[string]any{"licenses": rows, "dry_run": false}},
			{"/import", map[string]any{"licenses": rows, "dry_run": false}},
			{"/bulk-create", map[string]any{"licenses": plain}},
		} {
			var err error
			if took[i], err = b.change(ctx, call.path, call.body); err != nil {
				return err
			}
		}
		ratio.add(took[2] / took[0])
		again.add(took[0] / took[1])
		imported.add(importedAtOnce / took[0])
		created.add(importedAtOnce / took[2])
	}
	return nil
}

// change is how long admin takes for a POST below its licenses, in seconds.
func (b *bench) change(ctx context.Context, path string, body any) (float64, error) {
	sent, err := json.Marshal(body)
	if err != nil {
		return 0, err
	}
	took, status, answer, err := b.askAdmin(ctx, http.MethodPost, path, bytes.NewReader(sent))
	if err == nil && (status/100 != 2 || status == http.StatusMultiStatus) {
		err = fmt.Errorf("%s answered %d %.300s", path, status, answer)
	}
	return took.Seconds(), err
}

// askAdmin makes a call below admin's licenses. took is until the answer was read.
func (b *bench) askAdmin(
	ctx context.Context, method, path string, body io.Reader,
) (took time.Duration, status int, answer []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, method, b.suite.AdminURL+"/api/v1/admin/licenses"+path, body)
	if err != nil {
		return 0, 0, nil, err
	}
	req.Header.Set("X-Admin-API-Key", b.suite.AdminAPIKey)
	req.Header.Set("Content-Type", "application/json")
	began := time.Now()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, 0, nil, err
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(resp.Body)
	return time.Since(began), resp.StatusCode, answer, err
}
