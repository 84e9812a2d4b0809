package sqlite

import (
	"slices"
	"testing"

	"gorm.io/gorm"
)

// TestALimitIsPartOfTheStatement: one that is bound would have SQLite compile the statement at each use.
func TestALimitIsPartOfTheStatement(t *testing.T) {
	pool, _ := open(t)
	g, err := gorm.Open(Dialector{Conn: pool}, &gorm.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		limit, offset int
		sql           string
		want          []int
	}{
		{2, 0, `SELECT n FROM "t" ORDER BY n LIMIT 2`, []int{1, 2}},
		{2, 1, `SELECT n FROM "t" ORDER BY n LIMIT 2 OFFSET ?`, []int{2, 3}},
		{-1, 0, `SELECT n FROM "t" ORDER BY n `, []int{1, 2, 3}},
	} {
		var got []int
		read := func(dry bool) *gorm.DB {
			return g.Session(&gorm.Session{DryRun: dry}).Table("t").Select("n").Order("n").
				Limit(tt.limit).Offset(tt.offset).Find(&got)
		}
		said, err := read(true).Statement.SQL.String(), read(false).Error
		if err != nil || said != tt.sql || !slices.Equal(got, tt.want) {
			t.Errorf("%s gave %v, %v; want %s and %v", said, got, err, tt.sql, tt.want)
		}
	}
}
