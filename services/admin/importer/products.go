package importer

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// products are the codes and names of the products that there are.
func (t *target) products(ctx context.Context) (map[string]bool, error) {
	known, query := map[string]bool{"default": true}, url.Values{"per_page": {"100"}}
	for {
		var page struct {
			Products []struct{ Code, Name string } `json:"products"`
			Next     string                        `json:"next_cursor"`
		}
		if err := t.get(ctx, "/api/v1/admin/products?"+query.Encode(), &page); err != nil {
			return nil, err
		}
		for _, p := range page.Products {
			known[p.Code], known[p.Name] = true, true
		}
		if page.Next == "" {
			return known, nil
		}
		query.Set("cursor", page.Next)
	}
}

func (t *target) get(ctx context.Context, path string, out any) error {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, t.url+path, nil)
	if err != nil {
		return err
	}
	req.Header.Set("X-Admin-API-Key", t.key)
	res, err := t.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(res.Body, 64<<20))
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return statusError(res.Status, raw)
	}
	if err := json.Unmarshal(raw, out); err != nil {
		return fmt.Errorf("the admin service answers no JSON: %w", err)
	}
	return nil
}
