package importer

import (
	"bufio"
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// cell is a text of a file and where it stands.
type cell struct {
	line         int
	column, text string
}

// problem is something that is wrong with a line of a file.
type problem struct {
	Line         int
	Column, Code string
	Reason       string
	// swallowed tells that there were further lines in the one that cannot be read.
	swallowed bool
}

// badFile is the code of what is wrong with a file itself.
const badFile = "FILE"

func (c cell) wrong(reason string) *problem {
	return &problem{Line: c.line, Column: c.column, Code: badFile, Reason: reason}
}

// table is a file of comma separated values whose first line names the columns.
type table struct {
	csv     *csv.Reader
	bound   *bounded
	columns []string
	// last is the line that was read last.
	last int
}

// maxRecord is the longest line, in bytes, line breaks within quotes included.
const maxRecord = 1 << 20

// bounded ends the reading of a file where a line grows too long: a quote that nobody closes would take in the rest.
type bounded struct {
	from io.Reader
	left int
}

var errTooLong = fmt.Errorf("the line is longer than %d bytes, or a quotation mark in it is not closed", maxRecord)

// Read implements io.Reader.
func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTooLong
	}
	n, err := b.from.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// newTable reads the first line. Cells are parted by commas, semicolons or tabs, whichever that line has most.
func newTable(from io.Reader) (*table, error) {
	in := bufio.NewReaderSize(from, 64<<10)
	start, err := in.Peek(4)
	if text := string(start); strings.HasPrefix(text, "\xff\xfe") || strings.HasPrefix(text, "\xfe\xff") {
		return nil, errors.New("the file is in UTF-16; save it as CSV in UTF-8")
	}
	if len(start) == 0 {
		return nil, fmt.Errorf("the file is empty: %w", err)
	}
	if strings.HasPrefix(string(start), "\ufeff") {
		_, _ = in.Discard(len("\ufeff"))
	}
	first, _ := in.Peek(in.Size())
	line, _, _ := strings.Cut(string(first), "\n")
	t := &table{bound: &bounded{in, maxRecord}}
	t.csv = csv.NewReader(t.bound)
	t.csv.Comma = separator(line)
	t.csv.FieldsPerRecord = -1
	names, err := t.csv.Read()
	if err != nil {
		return nil, fmt.Errorf("read the names of the columns: %w", err)
	}
	for _, name := range names {
		t.columns = append(t.columns, strings.TrimSpace(name))
	}
	return t, nil
}

func separator(line string) rune {
	best := ','
	for _, r := range ";\t" {
		if strings.Count(line, string(r)) > strings.Count(line, string(best)) {
			best = r
		}
	}
	return best
}

// next is the cells of a line that are not empty, and what is wrong with the line; io.EOF at the end. Of a line that is
// wrong, the cells are those that are sure.
func (t *table) next() (line int, cells []cell, wrong *problem, err error) {
	t.bound.left = maxRecord
	record, err := t.csv.Read()
	bad := new(csv.ParseError)
	switch {
	case errors.Is(err, errTooLong):
		return 0, nil, nil, fmt.Errorf("after line %d: %w", t.last, err)
	case errors.As(err, &bad):
		line, wrong = bad.StartLine, unreadable(bad)
	case err != nil:
		return 0, nil, nil, err
	default:
		line, _ = t.csv.FieldPos(0)
		t.last = line
	}
	for i, text := range record {
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		if i >= len(t.columns) { // a separator too many: any cell may be that of another column
			reason := fmt.Sprintf("has %d cells, the first line names %d columns", len(record), len(t.columns))
			return line, nil, cell{line: line}.wrong(reason), nil
		}
		c := cell{line: line, column: t.columns[i], text: text}
		if !utf8.ValidString(text) {
			wrong = cmp.Or(wrong, c.wrong("is not in UTF-8; save the file as CSV in UTF-8"))
			continue
		}
		cells = append(cells, c)
	}
	return line, cells, wrong, nil
}

func unreadable(bad *csv.ParseError) *problem {
	at := cell{line: bad.StartLine}
	if bad.Line == bad.StartLine {
		return at.wrong("cannot be read: " + bad.Err.Error())
	}
	p := at.wrong(fmt.Sprintf("cannot be read up to line %d, of which nothing was imported: %v", bad.Line, bad.Err))
	p.swallowed = true
	return p
}
