package jsonbody

import (
	"reflect"
	"strconv"
	"strings"
	"sync"
)

// member is what the type and the tags of a field say.
type member struct {
	index      []int
	nullable   bool // null is a value
	absentNull bool // null means absent, but in an Optional, which it would seem to change
	optional   bool
	row        bool
	identifier bool
	// spaced lets white space that is a control character stand within.
	spaced bool
	filled bool // text that must not be empty
	end    bool // a time that ends something
	start  bool // a time that begins something, at which the zero time would be taken for none
	max    int  // entries of a list, 0 = any number
}

// What lists and maps hold has no tags. Null is a value like others in a free map; what is kept for later may be null
// too.
var (
	plain           = member{}
	free            = member{nullable: true}
	rowEntry        = member{row: true}
	identifierEntry = member{identifier: true}
)

func entryOf(t reflect.Type, of *member) *member {
	switch {
	case of.identifier:
		return &identifierEntry
	case t == rawType || t.Kind() == reflect.Interface:
		return &free
	case reflect.PointerTo(t).Implements(rowType):
		return &rowEntry
	}
	return &plain
}

// members are those of a struct type by name.
type members map[string]*member

// membersByType remembers the members of each struct type; it is filled from types alone, so sharing it is no shared
// state.
var membersByType sync.Map // reflect.Type -> members

func membersOf(t reflect.Type) members {
	if p, ok := membersByType.Load(t); ok {
		return p.(members)
	}
	p := members{}
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name != "" && name != "-" && f.IsExported() {
			p[name] = memberOf(f)
		}
	}
	membersByType.Store(t, p)
	return p
}

func memberOf(f reflect.StructField) *member {
	optional := reflect.PointerTo(f.Type).Implements(optionalType)
	max, _ := strconv.Atoi(f.Tag.Get("max"))
	return &member{
		index:      f.Index,
		nullable:   f.Tag.Get("null") == "ok",
		absentNull: !optional,
		optional:   optional,
		identifier: f.Tag.Get("text") == "identifier" || f.Tag.Get("text") == "key",
		spaced:     f.Tag.Get("text") == "key",
		end:        f.Tag.Get("time") == "end",
		start:      f.Tag.Get("time") == "start",
		filled:     f.Tag.Get("empty") == "no",
		max:        max,
	}
}
