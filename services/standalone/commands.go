package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/services/admin/importer"
	"github.com/latchkey-dev/latchkey/services/standalone/credentials"
)

// checkCommand finds what is wrong with the arguments that are no flags; none are right.
func checkCommand(args []string) error {
	if len(args) == 0 {
		return nil
	}
	c, known := commands[args[0]]
	switch {
	case args[0] == importer.Name:
		return fmt.Errorf("of the settings --data-dir alone may stand before %s: latchkey [--data-dir DIRECTORY] "+
			"%[1]s [--dry-run] FILE; latchkey %[1]s --help lists its options", importer.Name)
	case args[0] == versionCommand:
		return fmt.Errorf("%s stands alone: latchkey %[1]s", versionCommand)
	case args[0] == "true" || args[0] == "false":
		return fmt.Errorf("the value of a setting that is true or false follows an equals sign: --maintenance=%s",
			args[0])
	case !known:
		names := append(slices.Collect(maps.Keys(commands)), importer.Name, versionCommand)
		slices.Sort(names)
		return fmt.Errorf("there is no command %q; there are %s, and latchkey alone starts everything",
			args[0], strings.Join(names, ", "))
	case !c.ownFlags && len(args)-1 != len(c.args):
		want := strings.Join(append(args[:1:1], c.args...), " ")
		return fmt.Errorf("the whole command is: latchkey %s", want)
	}
	return nil
}

// splitArgs finds the command that looks at what follows it by itself.
func splitArgs(args []string) (before, command []string) {
	at := slices.IndexFunc(args, func(arg string) bool { return commands[arg].ownFlags })
	if at < 0 {
		return args, nil
	}
	return args[:at], args[at:]
}

// commandUsages shows the commands as flags are shown.
func commandUsages() string {
	var b strings.Builder
	fmt.Fprintf(&b, "  %-30s %s\n", importer.Name+" FILE",
		"while it runs: take over licenses of another system; see --help of it")
	fmt.Fprintf(&b, "  %-30s %s\n", versionCommand, "say which version this is; --version, too")
	for _, name := range slices.Sorted(maps.Keys(commands)) {
		c := commands[name]
		fmt.Fprintf(&b, "  %-30s %s\n", strings.Join(append([]string{name}, c.args...), " "), c.short)
	}
	return b.String()
}

// asksHelp reports whether the arguments of a command that looks at them by itself ask what it does.
func asksHelp(command []string) bool {
	return slices.Contains(command, "--help") || slices.Contains(command, "-h")
}

// help is what --help says behind a command; known is false where args name none.
func help(args []string) (text string, known bool) {
	if len(args) == 0 {
		return "", false
	}
	if args[0] == versionCommand {
		return "Say which version this is, of which commit, and when that was made. It needs no settings.\n", true
	}
	c, known := commands[args[0]]
	use := strings.Join(append(args[:1:1], c.args...), " ")
	return fmt.Sprintf("latchkey [settings] %s\n\n%s\n\nlatchkey --help lists the settings.\n", use, c.long), known
}

// importArgs are what follows the command import, and the data directory that is named before it, if any.
func importArgs(args []string) (dir string, after []string, found bool) {
	const flag = "--data-dir"
	at := slices.Index(args, importer.Name)
	switch {
	case at == 0:
	case at == 1 && strings.HasPrefix(args[0], flag+"="):
		dir = strings.TrimPrefix(args[0], flag+"=")
	case at == 2 && args[0] == flag:
		dir = args[1]
	default:
		return "", nil, false
	}
	return dir, args[at+1:], true
}

// importLicenses is the command that does its work by the API of the suite that serves from the data directory.
func importLicenses(ctx context.Context, dir string, args []string, out, logs io.Writer) error {
	file := filepath.Join(cmp.Or(dir, os.Getenv("LATCHKEY_DATA_DIR"), "latchkey-data"), credentials.File)
	if _, err := os.Stat(file); err == nil && os.Getenv("LATCHKEY_ADMIN_API_KEY") == "" {
		args = append([]string{"--credentials", file}, args...) // another one that is named comes later, and wins
	}
	return importer.Run(ctx, program, args, out, logs)
}

// with opens the database of a service for fn. There is no bus: nothing else runs.
func (s *suite) with(ctx context.Context, name string, fn func(app.Deps) error) error {
	svc := s.services[slices.IndexFunc(s.services, func(svc *service) bool { return svc.Name == name })]
	log := s.log.With("service", name)
	database, err := s.openDatabase(ctx, name, svc.Migrations, log, nil)
	if err != nil {
		return err
	}
	return fn(app.Deps{Log: log, DB: database, Clock: clock.System{}})
}

// doctor changes nothing: it neither makes nor migrates a database.
func doctor(ctx context.Context, s *suite, _ []string, out io.Writer) error {
	d := app.NewDiagnosis(out)
	d.OfSuite(program)
	d.OK("settings", "are complete")
	d.Maintenance(s.settings.auth.Base)
	if s.settings.DatabaseURL == "" {
		d.Disk("disk", s.data.path)
	}
	for _, svc := range s.services {
		d.Of(svc.Name)
		d.Address(ctx, svc.addrSetting(), svc.Name, svc.addr)
		cfg := db.Config{URL: s.databaseURL(svc.Name), Schema: svc.Name, MaxConns: 2,
			ReadOnly: s.settings.auth.Maintenance}
		svc.DiagnoseDatabase(ctx, d, cfg, s.settings.DatabaseConns)
	}
	if s.settings.AMQPURL != "" {
		for _, svc := range s.services {
			d.Of(svc.Name)
			svc.DiagnoseBroker(ctx, d, s.settings.AMQPURL)
		}
	}
	return d.Err()
}

func (s *service) rotateMasterKey(ctx context.Context, d app.Deps, out io.Writer) error {
	keys, err := s.MasterKeys(d)
	if err != nil {
		return err
	}
	moved, err := keys.Rotate(ctx, func(string, int) {})
	if err != nil {
		return masterKeyProblem(app.MasterKeyError(err))
	}
	const done = "%s: %d rows were moved; everything is under master key %s now\n"
	_, err = fmt.Fprintf(out, done, s.Name, moved, keys.Ring.Name())
	return err
}
