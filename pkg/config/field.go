package config

import (
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// field is one setting and the place in the struct it goes to.
type field struct {
	key, env, def, help string
	secret              string // "", "true" or "url"
	rules               rules
	value               reflect.Value
}

// fieldsOf reads the tags of dst, pointers to structs; embedded structs come in their place.
func fieldsOf(dst ...any) (fields []field) {
	for _, d := range dst {
		v := reflect.ValueOf(d)
		if v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct {
			panic(fmt.Sprintf("config: %T is not a pointer to a struct", d))
		}
		fields = append(fields, structFields(v.Elem(), true)...)
	}
	return fields
}

// distinct keeps the first of the fields with the same key.
func distinct(fields []field) (first []field) {
	seen := map[string]bool{}
	for _, f := range fields {
		if !seen[f.key] {
			seen[f.key] = true
			first = append(first, f)
		}
	}
	return first
}

func structFields(v reflect.Value, embedded bool) []field {
	var out []field
	for i := range v.NumField() {
		sf := v.Type().Field(i)
		tag := sf.Tag
		switch {
		case tag.Get("key") != "":
			out = append(out, field{
				key:    tag.Get("key"),
				env:    prefix + strings.ToUpper(tag.Get("key")),
				def:    tag.Get("default"),
				help:   tag.Get("help"),
				secret: tag.Get("secret"),
				rules:  rulesOf(tag),
				value:  v.Field(i),
			})
		case sf.Anonymous && sf.Type.Kind() == reflect.Struct && embedded:
			out = append(out, structFields(v.Field(i), true)...)
		}
	}
	return out
}

func (f field) flag() string { return strings.ReplaceAll(f.key, "_", "-") }

func (f field) isBool() bool {
	t := f.value.Type()
	return t.Kind() == reflect.Bool || t.Kind() == reflect.Pointer && t.Elem().Kind() == reflect.Bool
}

// initial is the default as text: what the program put into the field, or the tag's.
func (f field) initial() string {
	if f.value.IsZero() {
		return f.def
	}
	return f.text()
}

var durationType = reflect.TypeFor[time.Duration]()

// text is the value as it would be written in the environment. It shows secrets.
func (f field) text() string {
	v := f.value
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return ""
		}
		v = v.Elem()
	}
	switch {
	case v.Type() == durationType:
		return v.Interface().(time.Duration).String()
	case v.Kind() == reflect.Slice:
		return strings.Join(v.Interface().([]string), ",")
	case v.Kind() == reflect.String:
		return v.String()
	}
	return fmt.Sprint(v.Interface())
}

// masked is text without what nobody may read.
func (f field) masked() string {
	text := f.text()
	switch {
	case text == "" || f.secret == "":
		return text
	case f.secret == "url":
		u, err := url.Parse(text)
		if err == nil && (u.Host != "" || u.Scheme == "sqlite") {
			return maskQuery(u).Redacted()
		}
	}
	return "***"
}

// maskQuery hides what some drivers take as ?password=.
func maskQuery(u *url.URL) *url.URL {
	q := u.Query()
	for name := range q {
		if strings.Contains(strings.ToLower(name), "password") {
			q.Set(name, "xxxxx")
			u.RawQuery = q.Encode()
		}
	}
	return u
}

// set converts what a flag, a variable or the file holds. The error says what is wanted and never what was given.
func (f field) set(raw any) error {
	target := f.value
	if target.Kind() == reflect.Pointer {
		if raw == nil || raw == "" {
			target.SetZero()
			return nil
		}
		target.Set(reflect.New(target.Type().Elem()))
		target = target.Elem()
	}
	if target.Kind() == reflect.Slice {
		list, err := toList(raw)
		if err == nil {
			target.Set(reflect.ValueOf(list))
		}
		return err
	}
	switch raw.(type) {
	case []any, map[string]any:
		return errors.New("must be a single value")
	case string:
	case nil:
		raw = ""
	default:
		if target.Kind() == reflect.String { // 0012 and 1e5 would not arrive as written
			return errors.New("must be text; put it into quotes")
		}
	}
	return f.setScalar(target, strings.TrimSpace(fmt.Sprint(raw)))
}

func (f field) setScalar(target reflect.Value, text string) error {
	if text == "" && target.Kind() != reflect.String {
		target.SetZero()
		return nil
	}
	switch {
	case target.Type() == durationType:
		d, err := time.ParseDuration(text)
		if err != nil {
			return errors.New("must be a duration such as 30s, 5m or 24h" + f.rules.bounds())
		}
		target.SetInt(int64(d))
	case target.Kind() == reflect.String:
		target.SetString(text)
	case target.Kind() == reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return errors.New("must be true or false")
		}
		target.SetBool(b)
	case target.CanInt():
		n, err := strconv.ParseInt(text, 10, target.Type().Bits())
		if err != nil {
			return errors.New("must be a whole number" + f.rules.bounds())
		}
		target.SetInt(n)
	case target.CanFloat():
		n, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return errors.New("must be a number" + f.rules.bounds())
		}
		target.SetFloat(n)
	default:
		panic("config: a setting cannot be a " + target.Type().String())
	}
	return nil
}

// toList splits at commas, or takes a YAML list.
func toList(raw any) ([]string, error) {
	var parts []string
	switch raw := raw.(type) {
	case []any:
		for _, entry := range raw {
			parts = append(parts, fmt.Sprint(entry))
		}
	case string:
		parts = strings.Split(raw, ",")
	case nil:
	default:
		return nil, errors.New("must be a list")
	}
	var out []string
	for _, p := range parts {
		if p = strings.TrimSpace(p); p != "" {
			out = append(out, p)
		}
	}
	return out, nil
}
