package openapitest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"testing"
)

// withBody is a copy of r to be validated. A missing Content-Type counts as JSON with us.
func withBody(r *http.Request, body []byte) *http.Request {
	c := r.Clone(r.Context())
	c.Body = io.NopCloser(bytes.NewReader(body))
	c.ContentLength = int64(len(body))
	if c.Header.Get("Content-Type") == "" && len(body) > 0 {
		c.Header.Set("Content-Type", "application/json")
	}
	return c
}

func readAll(t testing.TB, r io.ReadCloser) []byte {
	t.Helper()
	if r == nil {
		return nil
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("read a body: %v", err)
	}
	return b
}

func decode(body []byte) (value any, err error) {
	err = json.Unmarshal(body, &value)
	return value, err
}
