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
	"github.com/latchkey-dev/latchkey/services/auth"
	"github.com/latchkey-dev/latchkey/services/license"
	"github.com/latchkey-dev/latchkey/services/standalone/credentials"
)

// command is what the program does instead of serving, with the settings that it serves with. It has the data
// directory to itself, so a program that serves from it is stopped first; but for those that are unlocked, which have
// settings alone.
type command struct {
	args     []string // what follows the name, as --help shows it
	short    string
	run      func(ctx context.Context, s *suite, args []string, out io.Writer) error
	unlocked bool
	// anyDir says that the data directory need not exist; such a command looks at it itself.
	anyDir bool
	// byAPI says that it asks the suite that serves, and needs no database.
	byAPI bool
	// ownFlags says that whatever follows the name is for the command to look at.
	ownFlags bool
}

// versionCommand needs no data directory, so it is none of commands.
const versionCommand = "version"

var commands = map[string]command{
	"backup": {
		args:     []string{"FOLDER"},
		short:    "copy the data directory, also while it runs, into a new folder",
		run:      backUp,
		unlocked: true,
	},
	"restore": {
		args:     []string{"FOLDER"},
		short:    "make the data directory of a backup",
		run:      restore,
		unlocked: true,
		anyDir:   true,
	},
	"config": {
		args:     []string{"check|print"},
		short:    "say what is wrong with the settings, or where each value comes from; while it runs, too",
		run:      configCommand,
		unlocked: true,
		anyDir:   true,
	},
	"dead-letters": {
		args:     []string{"list|replay|drop"},
		short:    "events that could not be taken in; see dead-letters --help",
		run:      deadLettersCommand,
		unlocked: true,
		ownFlags: true,
	},
	"republish": {
		args:     []string{"--since DATE"},
		short:    "publish the event logs again, so that consumers can be rebuilt",
		run:      republish,
		unlocked: true,
		ownFlags: true,
	},
	"smoke-test": {
		short:    "while it runs: have it make, activate and validate a test license",
		run:      smokeTest,
		unlocked: true,
		byAPI:    true,
	},
	"doctor": {short: "look for what is wrong, and say what to do about it", run: doctor},
	"rotate-signing-key": {
		short: "add a key to sign tokens with; it signs after ten minutes, when everybody knows it",
		run: func(ctx context.Context, s *suite, _ []string, out io.Writer) error {
			return s.with(ctx, auth.Name, func(d app.Deps) error {
				return auth.RotateSigningKey(ctx, s.settings.auth, d, out)
			})
		},
	},
	"revoke-signing-key": {
		args:  []string{"KID"},
		short: "refuse every token of a signing key from now on, because its private half may have leaked",
		run: func(ctx context.Context, s *suite, args []string, out io.Writer) error {
			return s.with(ctx, auth.Name, func(d app.Deps) error {
				return auth.RevokeSigningKey(ctx, s.settings.auth, d, out, args[0])
			})
		},
	},
	"export-root-key": {
		short: "print the private root key of license files, for cold storage",
		run: func(ctx context.Context, s *suite, _ []string, out io.Writer) error {
			return s.with(ctx, license.Name, func(d app.Deps) error {
				return license.ExportRootKey(ctx, s.settings.license, d, out)
			})
		},
	},
	"import-root-key": {
		args:  []string{"FILE"},
		short: "take a root key of license files from cold storage, before the first file is issued",
		run: func(ctx context.Context, s *suite, args []string, out io.Writer) error {
			return s.with(ctx, license.Name, func(d app.Deps) error {
				return license.ImportRootKey(ctx, s.settings.license, d, args[0], out)
			})
		},
	},
	"rotate-master-key": {
		short: "hash and encrypt anew, under LATCHKEY_MASTER_KEY, what LATCHKEY_MASTER_KEY_PREVIOUS protects",
		run: func(ctx context.Context, s *suite, _ []string, out io.Writer) error {
			for _, svc := range s.services {
				if svc.MasterKeys == nil {
					continue
				}
				err := s.with(ctx, svc.Name, func(d app.Deps) error { return svc.rotateMasterKey(ctx, d, out) })
				if err != nil {
					return fmt.Errorf("%s: %w", svc.Name, err)
				}
			}
			return nil
		},
	},
}

// checkCommand finds what is wrong with the arguments that are no flags; none are right.
func checkCommand(args []string) error {
	if len(args) == 0 {
		return nil
	}
	c, known := commands[args[0]]
	switch {
	case args[0] == importer.Name:
		return fmt.Errorf("%s comes before its options: latchkey %[1]s [--dry-run] FILE; latchkey %[1]s --help "+
			"lists them",
			importer.Name)
	case !known:
		names := append(slices.Collect(maps.Keys(commands)), importer.Name, versionCommand)
		slices.Sort(names)
		return fmt.Errorf("there is no command %q; there are %s, and latchkey alone starts everything",
			args[0], strings.Join(names, ", "))
	case !c.ownFlags && len(args)-1 != len(c.args):
		want := strings.Join(append(args[:1:1], c.args...), " ")
		return fmt.Errorf("%s takes %d arguments: latchkey %s", args[0], len(c.args), want)
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

// importLicenses is the command that does its work by the API of the suite that serves from the data directory.
func importLicenses(ctx context.Context, args []string, out, logs io.Writer) error {
	file := filepath.Join(cmp.Or(os.Getenv("LATCHKEY_DATA_DIR"), "latchkey-data"), credentials.File)
	if _, err := os.Stat(file); err == nil && os.Getenv("LATCHKEY_ADMIN_API_KEY") == "" {
		args = append([]string{"--credentials", file}, args...) // another one that is named comes later, and wins
	}
	return importer.Run(ctx, args, out, logs)
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
