// Package config fills a service's configuration struct: flags win over the environment, the environment over a YAML
// file, the file over defaults. What nobody knows is refused, with the nearest known name, because a setting that is
// silently ignored is worse than none.
//
// A field says everything about its setting in tags:
//
//	DatabaseURL  string        `key:"database_url" secret:"url" help:"..."`
//	StartTimeout time.Duration `key:"start_timeout" default:"60s" help:"..."`
//
// key is the name in the file, with hyphens the flag, and in capitals after LATCHKEY_ the environment variable.
// secret:"true" hides the whole value, secret:"url" its password; both have no flag, as flags show in process lists,
// and both can be read from a file named by <ENV>_FILE. A field that is not zero before Load has that value as its
// default. An empty environment variable counts as not set. Kinds: string and types made of it, bool, int, float64,
// time.Duration, []string (commas), *bool, *time.Duration. Embedded structs belong to the outer one. What a value may
// be is said in tags too, and checked by Load:
//
//	oneof:"json text"            one of these words
//	min:"1" max:"3660"           bounds of a number or a duration
//	url:"http:// https://"       a URL that begins with one of these; http ends after host and port
//	form:"address"               host:port
package config

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"github.com/spf13/viper"
)

const (
	flagConfig = "config"
	envConfig  = "LATCHKEY_CONFIG"
)

// Problem is one thing wrong with a setting. It never shows the value of a secret.
type Problem struct {
	Key, Env string
	Text     string
}

// Error implements error.
func (p *Problem) Error() string {
	if p.Env == "" || p.Key == "" {
		return cmp.Or(p.Env, p.Key) + ": " + p.Text
	}
	return p.Env + " (" + p.Key + "): " + p.Text
}

// Problemf is a problem with one setting of dst, a pointer to a struct: the one kept at place, a pointer to its field.
func Problemf(dst, place any, format string, args ...any) error {
	at := reflect.ValueOf(place)
	for _, f := range fieldsOf(dst) {
		if f.value.Addr().Pointer() == at.Pointer() && f.value.Type() == at.Type().Elem() {
			return &Problem{Key: f.key, Env: f.env, Text: fmt.Sprintf(format, args...)}
		}
	}
	panic(fmt.Sprintf("config: %T has no setting at this place", dst))
}

// Settings is what Load found, for Print.
type Settings struct {
	// Unused are the variables of the environment that only other programs take: Options.Known without those of the
	// structs.
	Unused []string

	fields []field
	source map[string]string // by key: where the value came from
}

// Options are what Load needs besides the structs.
type Options struct {
	// Flags may be nil. Load adds what is missing and parses Args, unless the flags have been parsed already.
	Flags *pflag.FlagSet
	Args  []string
	// Known are environment names that other programs of the suite take and that are therefore no mistake.
	Known []string
	// Refused are environment names that the program cannot honor, each with what to do instead. Fields that have such
	// a name keep their values.
	Refused map[string]string
}

// Flags adds the flags of dst, and --config, to flags.
func Flags(flags *pflag.FlagSet, dst ...any) { addFlags(flags, fieldsOf(dst...)) }

func addFlags(flags *pflag.FlagSet, fields []field) {
	for _, f := range fields {
		if f.secret != "" || flags.Lookup(f.flag()) != nil {
			continue
		}
		flags.String(f.flag(), f.initial(), f.describe()+" ("+f.env+")")
		if f.isBool() {
			flags.Lookup(f.flag()).NoOptDefVal = "true"
		}
	}
	if flags.Lookup(flagConfig) == nil {
		flags.String(flagConfig, "", "YAML file with settings ("+envConfig+")")
	}
}

// Load fills dst, pointers to structs, for the program name. Where two fields have the same key, both get the same
// value, and the first one decides what the default is. The error joins a *Problem per mistake; Settings is there also
// then.
func Load(name string, o Options, dst ...any) (*Settings, error) {
	all := fieldsOf(dst...)
	fields := slices.DeleteFunc(slices.Clone(all), func(f field) bool { return o.Refused[f.env] != "" })
	if o.Flags == nil {
		o.Flags = pflag.NewFlagSet(name, pflag.ContinueOnError)
	}
	s := &Settings{fields: fields, source: map[string]string{}}
	if !o.Flags.Parsed() {
		addFlags(o.Flags, fields)
		if err := o.Flags.Parse(o.Args); err != nil {
			return s, err
		}
	}
	l := &loader{Settings: s, viper: viper.New(), flags: o.Flags}
	l.seed()
	l.readFile(refusedKeys(all, o.Refused))
	l.refuseVariables(o)
	for _, f := range s.fields {
		l.fill(f)
	}
	return s, errors.Join(l.problems...)
}

// refusedKeys are the refused settings by their names in the file.
func refusedKeys(fields []field, refused map[string]string) map[string]string {
	keys := map[string]string{}
	for _, f := range fields {
		if reason := refused[f.env]; reason != "" {
			keys[f.key] = reason
		}
	}
	return keys
}

type loader struct {
	*Settings
	viper    *viper.Viper
	flags    *pflag.FlagSet
	path     string // of the file, "" for none
	problems []error
}

func (l *loader) problem(key, env, format string, args ...any) {
	l.problems = append(l.problems, &Problem{Key: key, Env: env, Text: fmt.Sprintf(format, args...)})
}

// seed makes every key known to viper, which otherwise leaves fields empty that only the environment sets.
func (l *loader) seed() {
	for _, f := range slices.Backward(l.fields) { // so that of fields with the same key the first one counts
		l.viper.SetDefault(f.key, f.initial())
		_ = l.viper.BindEnv(f.key, f.env) // fails only without a key
		if flag := l.flags.Lookup(f.flag()); flag != nil {
			_ = l.viper.BindPFlag(f.key, flag) // fails only without a flag
		}
	}
}

func (l *loader) readFile(refused map[string]string) {
	if f := l.flags.Lookup(flagConfig); f != nil {
		l.path = f.Value.String()
	}
	l.path = cmp.Or(l.path, os.Getenv(envConfig))
	if l.path == "" {
		return
	}
	l.viper.SetConfigFile(l.path)
	l.viper.SetConfigType("yaml")
	if err := l.viper.ReadInConfig(); err != nil {
		l.problem("", envConfig, "%s", fileProblem(l.path, err))
		return
	}
	keys := make([]string, len(l.fields))
	for i, f := range l.fields {
		keys[i] = f.key
	}
	for _, key := range l.viper.AllKeys() {
		if reason, ok := refused[key]; ok {
			l.problem(key, "", "%s", reason)
		} else if !slices.Contains(keys, key) {
			l.problem(key, "", "there is no such setting in %s%s", l.path, suggest(key, keys))
		}
	}
}

// fileProblem does not show what the parser says about the content: it may quote a secret.
func fileProblem(path string, err error) string {
	var access *os.PathError
	if errors.As(err, &access) {
		return fmt.Sprintf("cannot read %s: %v", path, access.Err)
	}
	if line := lineOf.FindString(err.Error()); line != "" {
		return path + " is not a YAML document of settings, each once: see " + line
	}
	return path + " is not a YAML document"
}

// lineOf is the place in what the parser says.
var lineOf = regexp.MustCompile(`\bline [0-9]+`)

// fill finds the value of one field, and where it came from.
func (l *loader) fill(f field) {
	raw, from := l.viper.Get(f.key), "default"
	switch flag := l.flags.Lookup(f.flag()); {
	case flag != nil && flag.Changed:
		from = "--" + f.flag()
	case os.Getenv(f.env) != "":
		from = f.env
	case l.path != "" && l.viper.InConfig(f.key):
		from = l.path
	}
	if path := os.Getenv(f.env + "_FILE"); f.secret != "" && path != "" {
		if from == f.env {
			l.problem(f.key, f.env, "is set, and %s_FILE too; set one of them", f.env)
			return
		}
		content, err := os.ReadFile(path)
		if err != nil {
			l.problem(f.key, f.env+"_FILE", "%s", fileProblem(path, err))
			return
		}
		raw, from = strings.TrimRight(string(content), "\r\n"), f.env+"_FILE"
		if raw == "" {
			l.problem(f.key, f.env+"_FILE", "%s is empty", path)
		}
	}
	l.source[f.key] = from
	err := f.set(raw)
	if err == nil {
		err = f.check()
	}
	if err != nil && !l.complained(f.env) {
		l.problem(f.key, f.env, "%v", err)
	}
}

// complained reports whether something is wrong with a setting already: of fields with the same key the first one says
// what.
func (l *loader) complained(env string) bool {
	return slices.ContainsFunc(l.problems, func(err error) bool {
		problem := new(Problem)
		return errors.As(err, &problem) && problem.Env == env
	})
}

// Defaults fills what is zero in dst, a pointer to a struct, with the defaults of the tags, whatever the environment
// says. It panics on a tag that is no value of its field.
func Defaults(dst any) {
	for _, f := range fieldsOf(dst) {
		if err := f.set(f.initial()); err != nil {
			panic("config: default of " + f.key + ": " + err.Error())
		}
	}
}
