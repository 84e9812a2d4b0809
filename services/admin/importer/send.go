package importer

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/clock"
)

// Attempts and pauses of a call while the service is busy or away.
const (
	tries     = 8
	firstWait = 250 * time.Millisecond
	callTime  = 30 * time.Second
)

// target is the admin API.
type target struct {
	url, key string
	client   *http.Client
}

// request is the body of a call.
type request struct {
	Licenses []map[string]any `json:"licenses"`
	DryRun   bool             `json:"dry_run"`
	Existing string           `json:"existing"`
}

// result is what the API answers of a row.
type result struct {
	Outcome   string   `json:"outcome"`
	Changed   []string `json:"changed"`
	ErrorCode string   `json:"error_code"`
	Error     string   `json:"error"`
	// SkippedDevices got no seat.
	SkippedDevices []struct {
		Index     int    `json:"index"`
		ErrorCode string `json:"error_code"`
		Error     string `json:"error"`
	} `json:"skipped_devices"`
	Details struct {
		Fields map[string]string `json:"fields"`
	} `json:"details"`
}

// send imports rows. A call that is not answered is made again: what it did is not done twice.
func (t *target) send(ctx context.Context, r request) ([]result, error) {
	body, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	for try, wait := 1, firstWait; ; try, wait = try+1, 2*wait {
		results, again, err := t.call(ctx, body)
		if err == nil && len(results) != len(r.Licenses) {
			err = fmt.Errorf("%s answered %d rows of %d", t.url, len(results), len(r.Licenses))
		}
		if err == nil || !again || try == tries {
			return results, err
		}
		if err := clock.Sleep(ctx, wait); err != nil {
			return nil, err
		}
	}
}

// call makes one call; again tells that another may go better.
func (t *target) call(ctx context.Context, body []byte) (results []result, again bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.url+"/api/v1/admin/licenses/import",
		bytes.NewReader(body))
	if err != nil {
		return nil, false, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Admin-API-Key", t.key)
	res, err := t.client.Do(req)
	if err != nil {
		// a certificate that is refused is refused again
		return nil, !errors.As(err, new(*tls.CertificateVerificationError)), err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(res.Body, 64<<20))
	if err != nil {
		return nil, true, err
	}
	if to := res.Header.Get("Location"); to != "" {
		return nil, false, fmt.Errorf("%s answers with a redirect to %s; name that by --url if the key is for it",
			t.url, to)
	}
	if res.StatusCode != http.StatusOK && res.StatusCode != http.StatusMultiStatus {
		again = res.StatusCode == http.StatusServiceUnavailable || res.StatusCode == http.StatusTooManyRequests
		return nil, again, statusError(res.Status, raw)
	}
	var answer struct {
		Results []result `json:"results"`
	}
	err = json.Unmarshal(raw, &answer)
	return answer.Results, false, err
}

// statusError is what the API says against a whole call.
func statusError(status string, raw []byte) error {
	var e struct {
		Error   string                     `json:"error"`
		Details map[string]json.RawMessage `json:"details"`
	}
	if json.Unmarshal(raw, &e) != nil || e.Error == "" {
		return fmt.Errorf("the admin service answered %s", status)
	}
	err := fmt.Errorf("the admin service answered %s: %s", status, e.Error)
	if len(e.Details) > 0 {
		details, _ := json.Marshal(e.Details) // was JSON
		err = fmt.Errorf("%w %s", err, details)
	}
	return err
}
