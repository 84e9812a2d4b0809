package importer

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// row is a license as the API takes it, made of one line or of several that follow one another with the same key.
type row struct {
	line int
	key  string
	// members are those of the license in JSON; origins are the cells that they come from, by path.
	members map[string]any
	origins map[string]cell
	// size counts the license with its devices and users.
	size int
	// rest is what did not fit in the row of the license before: the license is there by then.
	rest bool
}

// newRow makes a row of the cells of a line, by their columns.
func newRow(line int, cells map[string]cell) (*row, *problem) {
	r := &row{line: line, members: map[string]any{}, origins: map[string]cell{}, size: 1}
	objects := map[string]map[string]any{"": r.members}
	for _, name := range slices.Sorted(maps.Keys(cells)) {
		c := cells[name]
		col, known := columns[name]
		if text, ok := strings.CutPrefix(name, metadataPrefix); ok && !known {
			col, known = column{"metadata", text, readText}, true
		}
		value, wrong := col.read(c.text)
		if wrong != "" {
			return nil, c.wrong(wrong)
		}
		if objects[col.object] == nil {
			objects[col.object] = map[string]any{}
		}
		objects[col.object][col.member] = value
		r.origins[path(col)] = c
	}
	r.put(objects)
	r.key, _ = r.members["license_key"].(string)
	if r.key == "" {
		return nil, cell{line: line, column: "license_key"}.wrong("is missing")
	}
	return r, nil
}

const metadataPrefix = "metadata."

// path is where the API finds what is wrong with a column.
func path(c column) string {
	switch {
	case c.object == "":
		return c.member
	case c.object == "address":
		return "customer.address." + c.member
	case slices.Contains(parts, c.object):
		return c.object + "[0]." + c.member
	}
	return c.object + "." + c.member
}

// put adds the objects of a line to the license.
func (r *row) put(objects map[string]map[string]any) {
	if address := objects["address"]; address != nil {
		if objects["customer"] == nil {
			objects["customer"] = map[string]any{}
		}
		objects["customer"]["address"] = address
	}
	for _, name := range []string{"customer", "floating", "metadata"} {
		if objects[name] != nil {
			r.members[name] = objects[name]
		}
	}
	if counter := objects["counters"]; counter != nil {
		if n, ok := counter[used]; ok {
			name := fmt.Sprint(counter["name"])
			r.members[used] = map[string]any{name: n}
			r.origins[used+"."+name] = r.origins["counters[0]."+used]
			delete(counter, used)
		}
		if len(counter) == 1 { // a line may tell only what was counted by a counter that is there
			if _, counted := r.members[used]; counted {
				delete(objects, "counters")
			}
		}
	}
	for _, name := range parts {
		if objects[name] != nil {
			r.members[name] = []map[string]any{objects[name]}
		}
	}
	r.size += len(r.list("devices")) + len(r.list("users"))
}

func (r *row) list(name string) []map[string]any {
	list, _ := r.members[name].([]map[string]any)
	return list
}

// join adds a line with the same key to the row. What both say must be the same.
func (r *row) join(next *row) *problem {
	for name, value := range next.members {
		before, known := r.members[name]
		if known && !slices.Contains(parts, name) && name != used && !reflect.DeepEqual(before, value) {
			return next.origin(name).wrong(fmt.Sprintf("differs from line %d, which has the same license_key", r.line))
		}
	}
	for _, name := range parts {
		list := r.list(name)
		for _, part := range next.list(name) {
			if slices.ContainsFunc(list, func(known map[string]any) bool { return reflect.DeepEqual(known, part) }) {
				continue // a file of devices repeats the user, one of users the counter
			}
			at := fmt.Sprintf("%s[%d].", name, len(list))
			for member := range part {
				r.origins[at+member] = next.origins[name+"[0]."+member]
			}
			list = append(list, part)
			r.members[name] = list
		}
	}
	for name, value := range next.members {
		if slices.Contains(parts, name) {
			continue
		}
		if counted, known := r.members[name].(map[string]any); name == used && known {
			maps.Copy(counted, value.(map[string]any))
		} else {
			r.members[name] = value
		}
		maps.Copy(r.origins, next.originsOf(name))
	}
	r.size = 1 + len(r.list("devices")) + len(r.list("users"))
	return nil
}

// originsOf are the cells of a member of the license.
func (r *row) originsOf(member string) map[string]cell {
	found := map[string]cell{}
	for at, c := range r.origins {
		if at == member || strings.HasPrefix(at, member+".") {
			found[at] = c
		}
	}
	return found
}

// origin is the cell that a path of the API comes from, or else the first line of the row.
func (r *row) origin(at string) cell {
	if c, ok := r.origins[at]; ok {
		return c
	}
	if found := r.originsOf(at); len(found) > 0 {
		return found[slices.Min(slices.Collect(maps.Keys(found)))]
	}
	return cell{line: r.line, column: at}
}
