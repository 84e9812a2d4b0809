package httpx

import (
	"reflect"
	"strconv"
	"strings"
	"sync"
)

// member is what the tags of a field say.
type member struct {
	index    []int
	nullable bool
	optional bool
	row      bool
	max      int // entries of a list, 0 = any number
}

// What lists and maps hold has no tags. Null is a value like others in a free map; what is kept for later may be null too.
var (
	plain    = member{}
	free     = member{nullable: true}
	rowEntry = member{row: true}
)

func entryOf(t reflect.Type) *member {
	switch {
	case t == rawType || t.Kind() == reflect.Interface:
		return &free
	case reflect.PointerTo(t).Implements(rowType):
		return &rowEntry
	}
	return &plain
}

// plans remembers the members of each struct type; it is filled from types alone, so sharing it is no shared state.
var plans sync.Map // reflect.Type -> map[string]*member

func planOf(t reflect.Type) map[string]*member {
	if p, ok := plans.Load(t); ok {
		return p.(map[string]*member)
	}
	plan := map[string]*member{}
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" || name == "-" || !f.IsExported() {
			continue
		}
		max, _ := strconv.Atoi(f.Tag.Get("max"))
		plan[name] = &member{
			index:    f.Index,
			nullable: f.Tag.Get("null") == "ok",
			optional: reflect.PointerTo(f.Type).Implements(optionalType),
			max:      max,
		}
	}
	plans.Store(t, plan)
	return plan
}
