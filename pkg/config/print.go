package config

import (
	"fmt"
	"io"
	"reflect"
	"strings"
	"text/tabwriter"
)

// Print writes one line per setting: name, value with secrets masked, and where the value came from.
func (s *Settings) Print(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SETTING\tVALUE\tFROM")
	for _, f := range distinct(s.fields) {
		value := f.masked()
		if value == "" {
			value = "-"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", f.key, value, s.source[f.key])
	}
	return table.Flush()
}

// Markdown writes the table of the settings of dst, a pointer to a struct, without those of embedded structs: these are
// shared and have their own table.
func Markdown(w io.Writer, dst any) error {
	fields := structFields(reflect.ValueOf(dst).Elem(), false)
	lines := []string{"| Environment | File key | Flag | Default | What it does |", "|---|---|---|---|---|"}
	for _, f := range fields {
		env, flag, def := "`"+f.env+"`", "`--"+f.flag()+"`", ""
		if f.secret != "" {
			env, flag = env+", `"+f.env+"_FILE`", ""
		}
		if initial := f.initial(); initial != "" {
			def = "`" + initial + "`"
		}
		cells := []string{env, "`" + f.key + "`", flag, def, strings.ReplaceAll(f.describe(), "|", "\\|")}
		lines = append(lines, "| "+strings.Join(cells, " | ")+" |")
	}
	_, err := fmt.Fprintln(w, strings.Join(lines, "\n"))
	return err
}

// Secrets lists the settings of dst that have no flag, one to a line, as the help of a program shows them.
func Secrets(o Options, dst ...any) string {
	var lines strings.Builder
	for _, f := range distinct(fieldsOf(dst...)) {
		if f.secret != "" && o.Refused[f.env] == "" {
			fmt.Fprintf(&lines, "  %-36s %s\n", f.env, f.describe())
		}
	}
	return lines.String()
}

// Names are the environment names of the settings of dst.
func Names(dst ...any) (names []string) {
	for _, f := range distinct(fieldsOf(dst...)) {
		names = append(names, f.env)
	}
	return names
}
