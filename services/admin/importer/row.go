package importer

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/latchkey-dev/latchkey/proto/licensefile"
)

// row is a license as the API takes it, made of one line or of several that follow one another with the same key.
type row struct {
	line int
	// same is the key as it is compared; empty where it cannot be read.
	same string
	// members are those of the license in JSON; origins are the cells that they come from, by path.
	members map[string]any
	origins map[string]cell
	// known are the parts that lists have, as JSON, once there are several lines.
	known map[string]bool
	// size counts the license with its devices and users.
	size int
	// bytes are those of members in JSON.
	bytes int
	// wrong is why lines are refused, others lines that have no fault of their own. Nothing is made of a license of
	// which a line is refused: the terms may stand in it.
	wrong  []problem
	others []int
}

// newRow makes a row of the cells of a line, by their columns; wrong is what is known to be wrong with the line.
func newRow(line int, cells map[string]cell, wrong *problem) *row {
	r := &row{line: line, members: map[string]any{}, origins: map[string]cell{}, size: 1}
	objects := map[string]map[string]any{"": r.members}
	for _, name := range slices.Sorted(maps.Keys(cells)) {
		c := cells[name]
		col, known := columns[name]
		if text, ok := strings.CutPrefix(name, metadataPrefix); ok && !known {
			col, known = column{"metadata", text, readText}, true
		}
		value, problem := col.read(c.text)
		if problem != "" {
			wrong = cmp.Or(wrong, c.wrong(problem))
			continue
		}
		if objects[col.object] == nil {
			objects[col.object] = map[string]any{}
		}
		objects[col.object][col.member] = value
		r.origins[path(col)] = c
	}
	r.put(objects)
	key, _ := r.members["license_key"].(string)
	r.same = licensefile.NormalizeKey(key)
	if r.same == "" {
		wrong = cmp.Or(wrong, cell{line: line, column: "license_key"}.wrong("is missing"))
	}
	if wrong != nil {
		r.wrong = []problem{*wrong}
	} else {
		r.others = []int{line}
	}
	return r
}

// beside refuses a row and the one that follows it where a line of the other may belong to it, because nobody knows
// whose it is.
func (r *row) beside(next *row) {
	if next.same == "" {
		r.doubt(next.line)
	}
	for _, p := range r.wrong {
		if r.same == "" || p.swallowed {
			next.doubt(p.Line)
		}
	}
}

func (r *row) doubt(line int) {
	if len(r.wrong) == 0 {
		r.spoil(fmt.Sprintf("line %d is refused and may belong to this license", line))
	}
}

// spoil refuses all lines that have no fault of their own.
func (r *row) spoil(reason string) {
	key := r.origin("license_key")
	for _, line := range r.others {
		key.line = line
		r.wrong = append(r.wrong, *key.wrong(reason))
	}
	r.others = nil
}

// spoilBy refuses them because of another line of the license.
func (r *row) spoilBy(line int) {
	r.spoil(fmt.Sprintf("line %d of the same license is refused", line))
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
func (r *row) join(next *row) {
	r.others = append(r.others, next.others...)
	if len(next.wrong) > 0 {
		r.wrong = append(r.wrong, next.wrong...)
		return
	}
	for name, value := range next.members {
		before, known := r.members[name]
		if known && !slices.Contains(parts, name) && name != used && name != "license_key" &&
			!reflect.DeepEqual(before, value) {
			r.others = r.others[:len(r.others)-1]
			r.wrong = append(r.wrong, *next.origin(name).wrong(
				fmt.Sprintf("differs from line %d, which has the same license_key", r.line)))
			return
		}
	}
	for _, name := range parts {
		r.addParts(name, next)
	}
	for name, value := range next.members {
		if slices.Contains(parts, name) || name == "license_key" {
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
}

// addParts adds to a list what a line says: a file of devices repeats the user, one of users the counter.
func (r *row) addParts(name string, next *row) {
	if r.known == nil {
		r.known = map[string]bool{}
		for _, name := range parts {
			for _, part := range r.list(name) {
				r.known[written(name, part)] = true
			}
		}
	}
	list := r.list(name)
	for _, part := range next.list(name) {
		text := written(name, part)
		if r.known[text] {
			continue
		}
		r.known[text] = true
		at := fmt.Sprintf("%s[%d].", name, len(list))
		for member := range part {
			r.origins[at+member] = next.origins[name+"[0]."+member]
		}
		list = append(list, part)
		r.members[name] = list
	}
}

func written(name string, part map[string]any) string {
	text, _ := json.Marshal(part) // was read from text
	return name + string(text)
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
