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

// havingMetadata selects the licenses whose metadata has all of these members. SQLite reads the metadata of the
// licenses that the other filters leave. PostgreSQL has an index, and looks up first how many there are; of a value
// that a large share of all licenses has, the index would gather every one before anything else is asked.
func (s *Store) havingMetadata(ctx context.Context, wanted map[string]string) (clause.Expression, error) {
	if s.db.Engine() == db.SQLite {
		return members(wanted, sqliteMember), nil
	}
	// What is shorter than any member is not read. "<> '{}'" would have the planner go through the index first, which
	// is of those licenses, and "@>" as well.
	scanned := members(wanted,
		postgresMember("octet_length(metadata) > 2 AND jsonb_contains(metadata_document(metadata), ?::jsonb)"))
	var sampled int64
	err := s.db.Read(ctx).Raw("SELECT count(*) FROM licenses TABLESAMPLE SYSTEM (0.1) WHERE ?", scanned).
		Scan(&sampled).Error
	if sampled > manySampled || err != nil {
		return scanned, err
	}
	// The index is of the licenses that have metadata.
	indexed := members(wanted, postgresMember("metadata <> '{}' AND metadata_document(metadata) @> ?::jsonb"))
	var ids []string
	err = s.db.Read(ctx).Table("licenses").Where(indexed).Limit(fewFound+1).Pluck("id", &ids).Error
	if len(ids) <= fewFound {
		return clause.IN{Column: clause.Column{Name: "id"}, Values: anys(ids)}, err
	}
	return indexed, err
}

// manySampled is how many of a sample of a thousandth stand for more licenses than the index should gather.
const manySampled = 50

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
