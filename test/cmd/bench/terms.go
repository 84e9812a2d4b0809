//go:build unix

package main

import (
	"context"
	"os"
)

// Goals of the issue: how much of the rate of a plain license one with more terms reaches.
const (
	termsFloor = 0.90
	termsAim   = 0.97
)

// plainLicenses is how many of the licenses, those with the lowest numbers, stay plain.
const plainLicenses = licenses / 2

// moreTerms gives the others three entitlements, and has them in their grace period.
const moreTerms = `UPDATE license.licenses SET features = '["` + feature + `", "export"]',
	entitlements = '[{"code": "export", "name": "Export", "metadata": {"formats": ["pdf", "svg"]}},
		{"code": "ocr", "name": "Text recognition", "expires_at": "2098-01-01T00:00:00Z"},
		{"code": "cloud", "expires_at": "2098-06-01T00:00:00Z"}]',
	grace_hours = 720, expires_at = now() - interval '1 hour', usable_until = now() + interval '719 hours',
	plain_terms = false, needs_checks = true, announced = 'in_grace'
	WHERE id > $1`

// lessTerms makes them as they were.
const lessTerms = `UPDATE license.licenses l SET features = p.features, entitlements = p.entitlements,
	grace_hours = p.grace_hours, expires_at = p.expires_at, usable_until = p.usable_until,
	plain_terms = p.plain_terms, needs_checks = p.needs_checks, announced = p.announced
	FROM license.licenses p WHERE p.id = $1 AND l.id > $1`

// terms compares warm validations of licenses with entitlements, in their grace period, with those of plain ones, on
// one process.
func (b *bench) terms(ctx context.Context, answers tally) error {
	last := licenseID(plainLicenses)
	if _, err := b.database.Exec(ctx, moreTerms, last); err != nil {
		return err
	}
	p, err := b.startLicense(ctx, "license with terms", b.suite.Postgres.URL, b.suite.Process("auth").InternalURL)
	if err != nil {
		return err
	}
	defer p.Kill()
	if err := warm(ctx, p.url, b.suite.APIKey, licenses); err != nil {
		return err
	}
	pids := map[string]int{"server": p.PID(), "load generator": os.Getpid()}
	plain := b.contender("plain license", validation(p.url, b.suite.APIKey), nil, pids)
	plain.next = anyOf(plainLicenses)
	granted := validation(p.url, b.suite.APIKey)
	granted.marks = append(granted.marks, `"cloud"`, `"grace":true`)
	asked := granted
	asked.members = `,"entitlements":["export","ocr","cloud"]`
	asked.marks = append(granted.marks[:3:3], `"granted":true`)
	contenders := []*contender{
		plain,
		b.contender("license with three entitlements, in grace", granted,
			b.ratio("warm validate of a plain license, three entitlements and grace", termsFloor, termsAim), pids),
		b.contender("the same, asked for its entitlements", asked,
			b.info("warm validate of a plain license, asked for three entitlements", ""), pids),
	}
	for _, c := range contenders[1:] {
		c.next = func(conn, i int) (call, bool) {
			c, more := anyOf(plainLicenses)(conn, i)
			return call{c.license + plainLicenses, c.device + plainLicenses}, more
		}
	}
	if err := b.compare(ctx, answers, contenders...); err != nil {
		return err
	}
	_, err = b.database.Exec(ctx, lessTerms, last)
	return err
}
