//go:build unix

package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// listLimit is how long a list may take at a million licenses, in milliseconds.
const listLimit = 50

// listed are the licenses that lists are measured with: of many customers, products and policies, in every status, each
// with a device. What is rare among them is so on purpose: the few of a status are the hardest to find.
const (
	listedLicenses = `INSERT INTO license.licenses (id, key_hash, key_sealed, master_key, masked_key, customer_id,
			product_id, policy, license_type, max_devices, current_devices, max_offline_hours, is_active, is_test,
			features,
			metadata, version, grace_hours, starts_at, expires_at, usable_until, suspended_at, plain_terms,
			needs_checks,
			expiry_notice, created_at, updated_at, deactivation_reason, deactivated_version, announced, is_trial)
		SELECT md5('license' || n)::uuid, decode(md5('key' || n), 'hex'), '', $2,
			'LIST-' || lpad((n % 9973)::text, 4, '0') || '********', 'customer-' || n / 10, (SELECT id
			FROM license.products LIMIT 1), 'policy-' || n % 50,
			CASE WHEN n % 1000 = 0 THEN 'consumption' WHEN n % 3 = 0 THEN 'subscription' ELSE 'standard' END,
			5, 1, 720, n % 20 > 0, n % 5000 = 4, '[]', CASE WHEN n % 3 = 0 THEN '{"channel": "web"}'
				WHEN n % 75 = 1 THEN '{"channel": "partner"}' WHEN n % 1000 = 2 THEN '{"order": "A-' || n || '"}'
				ELSE '{}' END, 1,
			CASE WHEN n % 2 = 0 THEN 48 ELSE 0 END,
			CASE WHEN n % 5000 = 1 THEN now() + interval '30 days' END,
			at + interval '1 year',
			at + interval '1 year' + CASE WHEN n % 2 = 0 THEN interval '48 hours' ELSE interval '0' END,
			CASE WHEN n % 5000 = 2 THEN now() END, true, n % 2 = 0, 0, at, at, '', 0,
			CASE WHEN n % 20 > 0 AND at + interval '1 year' + CASE WHEN n % 2 = 0 THEN interval '48 hours'
				ELSE interval '0' END <= now() - interval '1 minute' THEN 'expired' ELSE '' END, n % 5000 = 3
		FROM (SELECT n, now() - n * interval '1 minute' AS at FROM generate_series(1, $1) AS n) AS made`
	listedDevices = `INSERT INTO license.devices (id, license_id, hardware_id, name, os_name, os_version, app_version,
			is_active, activated_at, activated_version)
		SELECT md5('device' || n)::uuid, md5('license' || n)::uuid, 'machine-' || n, 'Desk ' || n, '', '', '',
			true, now(), 1
		FROM generate_series(1, $1) AS n`
)

// listQueries are the queries; each is asked for one page.
var listQueries = []struct{ name, query string }{
	{"the first page", ""},
	{"page 100", "page=100"},
	{"a customer", "customer_id=customer-4711"},
	{"a device", "hardware_id=machine-815000"},
	{"a policy", "policy=policy-7"},
	{"a product", "product=bench"},
	{"a common type", "license_type=subscription"},
	{"a rare type", "license_type=consumption"},
	{"active", "status=active"},
	{"in grace", "status=in_grace"},
	{"expired", "status=expired"},
	{"inactive", "status=inactive"},
	{"suspended, which few are", "status=suspended"},
	{"not started, which few are", "status=not_started"},
	{"suspended of a policy", "status=suspended&policy=policy-2"},
	{"trials, which few are", "is_trial=true"},
	{"tests, which few are", "is_test=true"},
	{"no trials", "is_trial=false"},
	{"a rare value of the metadata", "metadata.order=A-815002"},
	{"a common value of the metadata", "metadata.channel=web"},
	{"a value of the metadata that one in a hundred has", "metadata.channel=partner"},
	{"a value that no metadata has", "metadata.order=A-0"},
	{"search for a customer", "search=customer-9999"},
	{"search for what all customers begin with", "search=customer-"},
	{"search for a device's id", "search=machine-815000"},
	{"search for a device's name", "search=" + url.QueryEscape("Desk 815000")},
	{"search for a key", "search=LIST-0815"},
	{"search for nothing that is there", "search=nowhere"},
}

// lists measures how long the lists of licenses take when there are a million. It is the last measurement but those of
// other builds, because the licenses stay.
func (b *bench) lists(ctx context.Context) error {
	many := 1_000_000
	if b.quick {
		many = 20_000
	}
	made, err := newRows(b.setting("MASTER_KEY"))
	if err != nil {
		return err
	}
	b.say("making %d licenses", many)
	for _, statement := range []struct {
		sql  string
		args []any
	}{
		{listedLicenses, []any{many, made.ring.Name()}}, {listedDevices, []any{many}},
		{"VACUUM ANALYZE license.licenses, license.devices", nil},
	} {
		if _, err := b.database.Exec(ctx, statement.sql, statement.args...); err != nil {
			return err
		}
	}
	one, err := b.askList(ctx, "/"+licenseID(1))
	if err != nil {
		return err
	}
	b.info("ms for one license by its id", "ms").add(one)
	for _, list := range listQueries {
		limit := b.atMost(row{Name: "ms for the list of " + list.name, Unit: "ms", Floor: new(float64(listLimit))})
		for range b.rounds + 1 { // the first reads from the disk
			took, err := b.askList(ctx, "?"+list.query)
			if err != nil {
				return fmt.Errorf("%s: %w", list.name, err)
			}
			limit.add(took)
		}
		limit.Values = limit.Values[1:]
	}
	return nil
}

// askList is how long admin takes for a GET below its licenses, in milliseconds.
func (b *bench) askList(ctx context.Context, path string) (float64, error) {
	took, status, answer, err := b.askAdmin(ctx, http.MethodGet, path, nil)
	// Out of time, after two seconds, is a value, too.
	if err == nil && status != http.StatusOK && status != http.StatusServiceUnavailable {
		err = fmt.Errorf("answered %d %s", status, strings.TrimSpace(string(answer)))
	}
	return float64(took.Microseconds()) / 1000, err
}
