package importer

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/latchkey-dev/latchkey/pkg/nearest"
)

// Bounds of what is sent in one call; the API takes at most 1000 licenses, users and devices together.
const (
	maxRows = 200
	maxSize = 1000
	// maxBytes leaves room for what is around the licenses: the API takes 10 MiB.
	maxBytes = 9 << 20
)

// reader makes rows of the lines of a file.
type reader struct {
	*table
	from string
	// names are those of the columns by their headings, ours those that were said to be a column of ours; columns that
	// are left out have neither.
	names, ours map[string]string
	// next is a row whose following lines may belong to it.
	next *row
	// ended tells that the file has been read to its end.
	ended bool
}

// newReader finds out what the columns of a file are. mapped are names of ours by headings, empty for columns that are
// left out.
func newReader(from io.Reader, format string, mapped map[string]string) (*reader, error) {
	t, err := newTable(from)
	if err != nil {
		return nil, err
	}
	r := &reader{table: t, from: format, names: map[string]string{}, ours: mapped}
	for heading, name := range mapped {
		if !slices.Contains(t.columns, heading) {
			return nil, fmt.Errorf("--map names the column %q, which the file does not have; it has %q", heading,
				t.columns)
		}
		if _, known := columns[name]; !known && name != "" && !strings.HasPrefix(name, metadataPrefix) {
			return nil, fmt.Errorf("--map %s=%s: there is no column %s here; there are %s, and metadata.NAME", heading,
				name, name, strings.Join(slices.Sorted(maps.Keys(columns)), ", "))
		}
	}
	return r, r.nameColumns()
}

// nameColumns finds out what the columns are that --map says nothing of.
func (r *reader) nameColumns() error {
	var unknown []string
	taken := map[string]string{}
	for _, heading := range r.columns {
		name, chosen := r.ours[heading]
		if chosen && name == "" || heading == "" {
			continue
		}
		if !chosen {
			name = r.nameOf(heading)
		}
		if name == "product" && r.from == LicenseSpring && slices.ContainsFunc(r.columns, isShortCode) {
			continue // the code of a product says more than its name
		}
		meaning := name
		if !chosen {
			meaning = r.meaning(name)
		}
		if name == "" {
			unknown = append(unknown, r.unknown(heading))
		} else if other, known := taken[meaning]; known {
			return fmt.Errorf("the columns %q and %q say the same; leave one out by --map HEADING=", other, heading)
		}
		if taken[meaning] = heading; !chosen {
			r.names[heading] = name
		}
	}
	if len(unknown) > 0 {
		return fmt.Errorf(
			"unknown columns: %s; say what they are by --map HEADING=NAME, or leave them out by "+
				"--map HEADING=", strings.Join(unknown, ", "))
	}
	return nil
}

func isShortCode(heading string) bool { return springsName(heading) == "short_code" }

// nameOf is what a heading is called here, empty for one that is not known.
func (r *reader) nameOf(heading string) string {
	if r.from == LicenseSpring {
		return springsName(heading)
	}
	name := strings.ToLower(heading)
	if _, known := columns[name]; known {
		return name
	}
	if strings.HasPrefix(name, metadataPrefix) && len(name) > len(metadataPrefix) {
		return metadataPrefix + heading[len(metadataPrefix):]
	}
	return ""
}

// meaning is the column of ours that a name says, if it says one by itself.
func (r *reader) meaning(name string) string {
	if ours := springsColumns[name]; r.from == LicenseSpring && ours != "" {
		return ours
	}
	return name
}

func (r *reader) unknown(heading string) string {
	known := slices.Collect(maps.Keys(columns))
	if r.from == LicenseSpring {
		known = slices.AppendSeq(slices.Collect(maps.Keys(springsColumns)), maps.Keys(springsRules))
	}
	if near := nearest.Name(strings.ToLower(heading), known); near != "" {
		return fmt.Sprintf("%q (%s?)", heading, near)
	}
	return strconv.Quote(heading)
}

// read is the next license of the file, of all its lines that follow one another; io.EOF at its end.
func (r *reader) read() (*row, error) {
	for !r.ended {
		line, err := r.line()
		switch before := r.next; {
		case errors.Is(err, io.EOF):
			r.ended = true
		case err != nil:
			return nil, err
		case before == nil:
			r.next = line
		case line.same != "" && line.same == before.same:
			before.join(line)
		default:
			before.beside(line)
			r.next = line
			return before, nil
		}
	}
	done := r.next
	r.next = nil
	if done == nil {
		return nil, io.EOF
	}
	return done, nil
}

// line is the next line that has cells, as its own row.
func (r *reader) line() (*row, error) {
	for {
		n, cells, wrong, err := r.table.next()
		if err != nil {
			return nil, err
		}
		if len(cells) > 0 || wrong != nil {
			named, unclear := r.named(cells)
			return newRow(n, named, cmp.Or(wrong, unclear)), nil
		}
	}
}

// named are cells by the names of our columns, and what is wrong with those that are none of ours.
func (r *reader) named(cells []cell) (named map[string]cell, wrong *problem) {
	named = map[string]cell{}
	for _, c := range cells {
		if name := r.names[c.column]; name != "" {
			named[name] = c
		}
	}
	if r.from == LicenseSpring {
		named, wrong = fromSprings(named)
	}
	for _, c := range cells {
		if name := r.ours[c.column]; name != "" {
			named[name] = c
		}
	}
	return named, wrong
}
