package store

import (
	"context"
	"slices"
	"time"

	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/services/license/internal/catalog"
	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

type releaseRow struct {
	ID              string
	ProductID       string
	Version         string
	ReleasedAt      time.Time
	Channel         string
	Environment     string
	URL             string `gorm:"column:url"`
	Size            *int64
	SHA256          string `gorm:"column:sha256"`
	MD5             string `gorm:"column:md5"`
	RequiresVersion string
	ReleaseNotesURL string `gorm:"column:release_notes_url"`
	EULAURL         string `gorm:"column:eula_url"`
	Enabled         bool
	CreatedAt       time.Time
}

func newReleaseRow(productID string, r *catalog.Release) releaseRow {
	return releaseRow{
		ID:              r.ID,
		ProductID:       productID,
		Version:         r.Version,
		ReleasedAt:      r.ReleasedAt,
		Channel:         r.Channel,
		Environment:     r.Environment,
		URL:             r.URL,
		Size:            r.Size,
		SHA256:          r.SHA256,
		MD5:             r.MD5,
		RequiresVersion: r.RequiresVersion,
		ReleaseNotesURL: r.ReleaseNotesURL,
		EULAURL:         r.EULAURL,
		Enabled:         r.Enabled,
		CreatedAt:       r.CreatedAt,
	}
}

func (r *releaseRow) release() catalog.Release {
	return catalog.Release{ID: r.ID, Version: r.Version, CreatedAt: r.CreatedAt.UTC(),
		ReleaseTerms: catalog.ReleaseTerms{
			ReleasedAt:      r.ReleasedAt.UTC(),
			Channel:         r.Channel,
			Environment:     r.Environment,
			URL:             r.URL,
			Size:            r.Size,
			SHA256:          r.SHA256,
			MD5:             r.MD5,
			RequiresVersion: r.RequiresVersion,
			ReleaseNotesURL: r.ReleaseNotesURL,
			EULAURL:         r.EULAURL,
			Enabled:         r.Enabled,
		}}
}

// Releases implements catalog.ProductStore.
func (s *Store) Releases(
	ctx context.Context, product string, span licensing.Span,
) (licensing.Page[catalog.Release], error) {
	p, err := s.Product(ctx, product)
	if err != nil {
		return licensing.Page[catalog.Release]{}, err
	}
	all := func() *gorm.DB { return s.db.Read(ctx).Table("releases").Where("product_id = ?", p.ID) }
	latest := newestFirst("released_at", func(r *releaseRow) (time.Time, string) { return r.ReleasedAt, r.ID })
	return readPage(all, allColumns, span, latest, (*releaseRow).release)
}

// ChangeReleases implements catalog.ProductStore. It locks the product.
func (s *Store) ChangeReleases(ctx context.Context, product, version string, decide catalog.ReleaseDecision) error {
	return db.Error(s.db.Tx(ctx, func(ctx context.Context, tx *gorm.DB) error {
		p, err := findProduct(s.db.Lock(tx), product)
		if err != nil {
			return err
		}
		old, err := findRelease(tx, p.ID, version)
		if err != nil {
			return err
		}
		next, events, err := decide(&p, old)
		if err != nil || len(events) == 0 {
			return err
		}
		if err := writeRelease(tx, p.ID, old, next); err != nil {
			return err
		}
		return s.publish(ctx, tx, p.ID, events)
	}))
}

// findRelease finds the release whose version compares equal, nil for none. Older databases may have several: the
// one that is written the same way comes first.
func findRelease(tx *gorm.DB, productID, version string) (*catalog.Release, error) {
	var known []releaseRow
	err := tx.Table("releases").Select("id", "version").Where("product_id = ?", productID).
		Order("released_at, id").Find(&known).Error
	at := slices.IndexFunc(known, func(r releaseRow) bool { return r.Version == version })
	if at < 0 {
		folded := licensing.FoldVersion(version)
		at = slices.IndexFunc(known, func(r releaseRow) bool { return licensing.FoldVersion(r.Version) == folded })
	}
	if err != nil || at < 0 {
		return nil, err
	}
	var row releaseRow
	err = tx.Table("releases").Where("id = ?", known[at].ID).Take(&row).Error
	found := row.release()
	return &found, err
}

func writeRelease(tx *gorm.DB, productID string, old, next *catalog.Release) error {
	if next == nil {
		return tx.Exec("DELETE FROM releases WHERE id = ?", old.ID).Error
	}
	row := newReleaseRow(productID, next)
	if old == nil {
		return tx.Table("releases").Create(&row).Error
	}
	res := tx.Table("releases").Where("id = ?", old.ID).Select("*").
		Omit("id", "product_id", "version", "created_at").UpdateColumns(&row)
	return wroteOne(res, "release")
}

// ReleasedAt implements licensing.Lookup.
func (l *Lookup) ReleasedAt(ctx context.Context, product, version string) (time.Time, error) {
	known, _, err := l.releases.Fetch(ctx, product, func(ctx context.Context) (map[string]time.Time, error) {
		return releaseTimes(l.db.Read(ctx), product)
	})
	return releasedAt(known, version), err
}

// ReleasedAt implements licensing.Reads.
func (s *Store) ReleasedAt(ctx context.Context, product, version string) (time.Time, error) {
	known, err := releaseTimes(s.db.Read(ctx), product)
	return releasedAt(known, version), err
}

// releasedAt is zero for a version that is not known. One that is written as a release is counts before those that
// compare equal.
func releasedAt(known map[string]time.Time, version string) time.Time {
	if at, ok := known[version]; ok || len(known) == 0 {
		return at
	}
	return known[licensing.FoldVersion(version)]
}

// releaseTimes are when the releases of a product came out, by their versions and by what these compare equal to.
func releaseTimes(tx *gorm.DB, product string) (map[string]time.Time, error) {
	var rows []releaseRow
	err := tx.Table("releases").Select("version", "released_at").
		Where("product_id = (SELECT id FROM products WHERE code = ?)", product).
		Order("released_at DESC, id DESC").Find(&rows).Error
	known := make(map[string]time.Time, 2*len(rows))
	for _, row := range rows { // the first release of several counts
		known[licensing.FoldVersion(row.Version)] = row.ReleasedAt.UTC()
	}
	for _, row := range rows {
		known[row.Version] = row.ReleasedAt.UTC()
	}
	return known, db.Error(err)
}
