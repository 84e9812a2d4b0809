package db_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gorm.io/gorm"

	"github.com/latchkey-dev/latchkey/pkg/apierr"
	"github.com/latchkey-dev/latchkey/pkg/db"
)

func TestStatement(t *testing.T) {
	eachEngine(t, func(t *testing.T, d *db.DB) {
		tries := 0
		err := d.Statement(t.Context(), func(ctx context.Context, tx *gorm.DB) error {
			if tries++; tries == 1 {
				return errConflict
			}
			return add(1, nil)(ctx, tx)
		})
		if err != nil || tries != 2 {
			t.Fatalf("alone: %v after %d tries", err, tries)
		}
		err = d.Tx(t.Context(), func(ctx context.Context, _ *gorm.DB) error {
			return errors.Join(d.Statement(ctx, add(2, nil)), errRefused)
		})
		if !errors.Is(err, errRefused) {
			t.Fatalf("joined: %v", err)
		}
		if diff := cmp.Diff([]int64{1}, seqs(t, d)); diff != "" {
			t.Fatal(diff)
		}
		err = d.Statement(t.Context(), func(context.Context, *gorm.DB) error { return context.DeadlineExceeded })
		if !errors.Is(err, apierr.ErrUnavailable) {
			t.Fatalf("outage: %v", err)
		}
	})
}
