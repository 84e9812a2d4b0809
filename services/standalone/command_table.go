package main

import (
	"context"
	"fmt"
	"io"

	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/services/auth"
	"github.com/latchkey-dev/latchkey/services/license"
)

// command is what the program does instead of serving, with the settings that it serves with. It has the data
// directory to itself, so a program that serves from it is stopped first; but for those that are unlocked, which have
// settings alone.
type command struct {
	args     []string // what follows the name, as --help shows it
	short    string
	long     string // what --help says behind it, but for those with ownFlags
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
		args:  []string{"FOLDER"},
		short: "copy the data directory, also while it runs, into a new folder",
		long: `Copy all databases as they are at one instant, secrets.json and credentials.json into FOLDER, which
is made. The suite may run meanwhile. The folder has the keys in it: keep it as secret as the data
directory. Data in PostgreSQL is backed up by scripts/backup.`,
		run:      backUp,
		unlocked: true,
	},
	"restore": {
		args:  []string{"FOLDER"},
		short: "make the data directory of a backup",
		long: `Make the data directory of a backup that latchkey backup made; every file is compared with its sum
before. The directory has to be empty, or it is made. An interrupted restore is repeated as it was.
Name the directory first: latchkey --data-dir NEW_DIRECTORY restore FOLDER.`,
		run:      restore,
		unlocked: true,
		anyDir:   true,
	},
	"config": {
		args:  []string{"check|print"},
		short: "say what is wrong with the settings, or where each value comes from; while it runs, too",
		long: `check: say everything that would end a start with these settings; exit code 2 if something would.
print: show each setting, and whether its value is the default or from a flag, the environment or a
file; secrets are masked.
Neither needs a data directory, and the suite may run meanwhile.`,
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
		short: "while it runs: have it make, activate and validate a test license",
		long: `Have the suite that runs make an API key and a test license, activate and validate the license, and
end both again. It reads addresses and keys from credentials.json of the data directory.`,
		run:      smokeTest,
		unlocked: true,
		byAPI:    true,
	},
	"doctor": {
		short: "look for what is wrong, and say what to do about it",
		long: `Look at the settings, disk, addresses, databases, schemas, master keys, waiting events and the
broker, and say of each whether it is fine, and what to do where it is not. Nothing is changed. Stop
the suite first. Exit code: 0 nothing is wrong, 1 something is, 2 wrong settings.`,
		run: doctor,
	},
	"rotate-signing-key": {
		short: "add a key to sign tokens with; it signs after ten minutes, when everybody knows it",
		long: `Add a key to sign tokens with. It is published at once and signs after ten minutes; tokens of the
one before go on to be valid until they end. Stop the suite first.`,
		run: func(ctx context.Context, s *suite, _ []string, out io.Writer) error {
			return s.with(ctx, auth.Name, func(d app.Deps) error {
				return auth.RotateSigningKey(ctx, s.settings.auth, d, out)
			})
		},
	},
	"revoke-signing-key": {
		args:  []string{"KID"},
		short: "refuse every token of a signing key from now on, because its private half may have leaked",
		long: `Refuse every token that the key KID signed, at once and for good: applications obtain new ones by
their refresh token or API key. A KID that is not there lists those that are. Stop the suite first.`,
		run: func(ctx context.Context, s *suite, args []string, out io.Writer) error {
			return s.with(ctx, auth.Name, func(d app.Deps) error {
				return auth.RevokeSigningKey(ctx, s.settings.auth, d, out, args[0])
			})
		},
	},
	"export-root-key": {
		short: "print the private root key of license files, for cold storage",
		long: `Print the private half of the key that all license files lead back to. Whoever has it can make
license files: write it to a medium that you lock away, as import-root-key needs it when the
installation is lost. Stop the suite first.`,
		run: func(ctx context.Context, s *suite, _ []string, out io.Writer) error {
			return s.with(ctx, license.Name, func(d app.Deps) error {
				return license.ExportRootKey(ctx, s.settings.license, d, out)
			})
		},
	},
	"import-root-key": {
		args:  []string{"FILE"},
		short: "take a root key of license files from cold storage, before the first file is issued",
		long: `Take a root key that export-root-key has printed, from FILE, so that applications in the field
accept the license files of this installation. It is refused once another root key is here. Stop the
suite first.`,
		run: func(ctx context.Context, s *suite, args []string, out io.Writer) error {
			return s.with(ctx, license.Name, func(d app.Deps) error {
				return license.ImportRootKey(ctx, s.settings.license, d, args[0], out)
			})
		},
	},
	"rotate-master-key": {
		short: "hash and encrypt anew, under LATCHKEY_MASTER_KEY, what LATCHKEY_MASTER_KEY_PREVIOUS protects",
		long: `Set LATCHKEY_MASTER_KEY to the new key and LATCHKEY_MASTER_KEY_PREVIOUS to the one before
(master_key of secrets.json, where no setting gave one), stop the suite, and run this. It may be
interrupted and run again. Then put the new key into secrets.json and unset both.`,
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
