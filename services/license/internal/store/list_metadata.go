package store

import (
	"context"
	"encoding/json"
	"maps"
	"regexp"
	"slices"

	"gorm.io/gorm/clause"

	"github.com/latchkey-dev/latchkey/pkg/db"
)

// havingMetadata selects the licenses whose metadata has all of these members, once for a page and once for the total.
// SQLite reads the metadata of the licenses that the other filters leave.
//
// PostgreSQL has an index, which knows no order and must gather all that it finds; a sample tells how many that are. A
// page of a value that many licenses have is full sooner when all are gone through, newest first, unless only old ones
// have it. The total is counted sooner by the index, unless a large share of all licenses has the value.
func (s *Store) havingMetadata(
	ctx context.Context, wanted map[string]string,
) (page, total clause.Expression, err error) {
	if s.db.Engine() == db.SQLite {
		read := members(wanted, sqliteMember)
		return read, read, nil
	}
	// What is shorter than any member is not read. "<> '{}'" would have the planner go through the index first, which
	// is of those licenses, and "@>" as well.
	read := members(wanted,
		postgresMember("octet_length(metadata) > 2 AND jsonb_contains(metadata_document(metadata), ?::jsonb)"))
	// The index is of the licenses that have metadata.
	indexed := members(wanted, postgresMember("metadata <> '{}' AND metadata_document(metadata) @> ?::jsonb"))
	sampled, err := s.sampled(ctx, read)
	if err != nil {
		return nil, nil, err
	}
	if sampled.Found <= manySampled {
		var ids []string
		err := s.db.Read(ctx).Table("licenses").Where(indexed).Limit(fewFound+1).Pluck("id", &ids).Error
		if len(ids) <= fewFound {
			few := clause.IN{Column: clause.Column{Name: "id"}, Values: anys(ids)}
			return few, few, err
		}
		return indexed, indexed, err
	}
	page, total = indexed, indexed
	if sampled.evenly() {
		page = read
	}
	if sampled.Found > mostSampled {
		total = read
	}
	return page, total, nil
}

// sample is of a thousandth of all licenses: how many there are, how many of them a condition holds for, and how many
// are newer than the newest of those.
type sample struct{ Licenses, Found, Newer int }

const (
	// More than manySampled stand for more licenses than the index should gather for a page, more than mostSampled for
	// so many that going through all counts licensing.MaxTotal sooner than the index does.
	manySampled = 5
	mostSampled = 250
)

// evenly tells that the newest is not much further away than it would be if those that were found were spread evenly.
func (s sample) evenly() bool { return s.Newer*s.Found <= 5*s.Licenses }

func (s *Store) sampled(ctx context.Context, condition clause.Expression) (found sample, err error) {
	const query = `WITH sample AS MATERIALIZED (
			SELECT created_at, ? AS found FROM licenses TABLESAMPLE SYSTEM (0.1)
		) SELECT count(*) AS licenses, count(*) FILTER (WHERE found) AS found,
			count(*) FILTER (WHERE created_at > (SELECT max(created_at) FROM sample WHERE found)) AS newer FROM sample`
	err = s.db.Read(ctx).Raw(query, condition).Scan(&found).Error
	return found, err
}

// members holds for the licenses of which member, which takes a name and a value, holds for all that are wanted.
func members(wanted map[string]string, member func(key, value string) clause.Expression) clause.Expression {
	var all []clause.Expression
	for _, key := range slices.Sorted(maps.Keys(wanted)) {
		all = append(all, member(key, wanted[key]))
	}
	return clause.And(all...)
}

// unquoted is what may be a number or a truth value that metadata has without quotes. Numbers of more digits are not
// the same in all programs.
var unquoted = regexp.MustCompile(`^(true|false|-?(0|[1-9][0-9]{0,14}))$`)

// postgresMember makes conditions that hold for the licenses whose metadata has a member: contains is the one for a
// document. A document costs ten times what searching its text does, so what the text cannot have is searched first: a
// text of JSON is there as it is, or with a backslash.
func postgresMember(contains string) func(key, value string) clause.Expression {
	has := func(key string, value any, text string) clause.Expression {
		document, err := json.Marshal(map[string]any{key: value})
		if err != nil {
			panic(err) // texts and checked numbers always become JSON
		}
		return clause.Expr{
			SQL:  `(strpos(metadata, ?) > 0 OR strpos(metadata, '\') > 0) AND ` + contains,
			Vars: []any{text, string(document)},
		}
	}
	return func(key, value string) clause.Expression {
		if unquoted.MatchString(value) {
			return clause.Or(has(key, value, value), has(key, json.RawMessage(value), key)) // 5 may be written as 5.0
		}
		return has(key, value, value)
	}
}

// sqliteMember holds for the licenses whose metadata has a member.
func sqliteMember(key, value string) clause.Expression {
	is := "type = 'text' AND value = ?"
	vars := []any{key, value}
	if unquoted.MatchString(value) {
		is += " OR type IN ('true', 'false') AND type = ? OR type IN ('integer', 'real') AND value = CAST(? AS integer)"
		vars = append(vars, value, value)
	}
	return clause.Expr{
		SQL: "EXISTS (SELECT 1 FROM json_each(licenses.metadata) WHERE key = ? AND (" + is + "))", Vars: vars,
	}
}
