package config

import (
	"errors"
	"net"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// rules are what the tags of a field say of its value.
type rules struct {
	oneOf, urls    []string
	min, max, form string
}

func rulesOf(tag reflect.StructTag) rules {
	return rules{
		oneOf: strings.Fields(tag.Get("oneof")),
		urls:  strings.Fields(tag.Get("url")),
		min:   tag.Get("min"),
		max:   tag.Get("max"),
		form:  tag.Get("form"),
	}
}

// bounds is the end of a sentence such as "must be a whole number".
func (r rules) bounds() string {
	if r.min == "" {
		return ""
	}
	return " from " + r.min + " to " + r.max
}

// describe is the help with the bounds, where the field has any.
func (f field) describe() string {
	if f.rules.min == "" {
		return f.help
	}
	return f.help + "; " + f.rules.min + " to " + f.rules.max
}

// check tells what the tags forbid of the value. The error never shows the value.
func (f field) check() error {
	v := f.value
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return nil
		}
		v = v.Elem()
	}
	switch {
	case f.rules.min != "":
		return f.checkBounds(v)
	case len(f.rules.oneOf) > 0:
		return checkOneOf(v.String(), f.rules.oneOf)
	case len(f.rules.urls) > 0 && v.String() != "":
		return checkURL(v.String(), f.rules.urls)
	case f.rules.form == "address":
		return checkAddress(v.String())
	}
	return nil
}

func (f field) checkBounds(v reflect.Value) error {
	inside := false
	switch {
	case v.Type() == durationType:
		inside = v.Int() >= int64(mustParse(time.ParseDuration, f.rules.min)) &&
			v.Int() <= int64(mustParse(time.ParseDuration, f.rules.max))
	case v.CanInt():
		inside = v.Int() >= int64(mustParse(strconv.Atoi, f.rules.min)) &&
			v.Int() <= int64(mustParse(strconv.Atoi, f.rules.max))
	case v.CanFloat():
		parse := func(s string) (float64, error) { return strconv.ParseFloat(s, 64) }
		inside = v.Float() >= mustParse(parse, f.rules.min) && v.Float() <= mustParse(parse, f.rules.max)
	}
	if !inside {
		return errors.New("must be" + f.rules.bounds())
	}
	return nil
}

// mustParse reads a bound; one that is no value of its field is a mistake of the program.
func mustParse[T any](parse func(string) (T, error), bound string) T {
	v, err := parse(bound)
	if err != nil {
		panic("config: the bound " + bound + " is no value: " + err.Error())
	}
	return v
}

func checkOneOf(value string, allowed []string) error {
	for _, a := range allowed {
		if value == a {
			return nil
		}
	}
	return errors.New("must be " + alternatives(allowed))
}

// alternatives joins words as in "debug, info or warn".
func alternatives(words []string) string {
	last := len(words) - 1
	if last == 0 {
		return words[0]
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

func checkURL(value string, allowed []string) error {
	wrong := errors.New("must be a URL that begins with " + alternatives(allowed))
	for _, begin := range allowed {
		rest, ok := strings.CutPrefix(value, begin)
		if !ok {
			continue
		}
		u, err := url.Parse(value)
		switch {
		case rest == "":
			return wrong
		case err != nil:
			return errors.New("is not a well-formed URL; percent-encode special characters of a password")
		case strings.HasPrefix(begin, "http") && u.Hostname() == "":
			return errors.New("must name a host, for example http://auth:5101")
		case strings.HasPrefix(begin, "http") &&
			(strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != ""):
			return errors.New(
				"must end after the host and port, for example http://auth:5101: a path after them is not used")
		case u.Port() != "":
			return checkPort(u.Port())
		}
		return nil
	}
	return wrong
}

const wantAddress = "must be host:port, for example 0.0.0.0:5001 or :5001"

func checkAddress(value string) error {
	host, port, err := net.SplitHostPort(value)
	if err != nil || port == "" || strings.ContainsAny(host, " /@\x00") {
		return errors.New(wantAddress)
	}
	return checkPort(port)
}

func checkPort(port string) error {
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return errors.New("must have a port from 0 to 65535")
	}
	return nil
}
