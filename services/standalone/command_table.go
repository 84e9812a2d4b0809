package main

import (
	"context"
	"fmt"
	"io"

	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/services/auth"
	"github.com/latchkey-dev/latchkey/services/license"
)

// command runs in place of the suite, with the same settings. It locks the data directory, so the suite must be stopped
// first, unless the command is unlocked.
type command struct {
	args     []string // what follows the name, as --help shows it
	short    string
	long     string // the rest of --help; empty for those with ownFlags, which print their own
	run      func(ctx context.Context, s *suite, args []string, out io.Writer) error
	unlocked bool
	// anyDir says that the data directory need not exist.
	anyDir bool
	// byAPI says that the command calls the running suite, and opens no database.
	byAPI bool
	// ownFlags says that the command parses all arguments after its name.
	ownFlags bool
}

// versionCommand is not in commands because it needs no data directory.
const versionCommand = "version"

var commands = map[string]command{
	"backup": {
		args:  []string{"FOLDER"},
		short: "copy the data directory into a new folder; the suite may be running",
		long: `Create FOLDER and copy all databases, as of one instant, secrets.json and credentials.json into it.
The suite may be running. The folder contains the keys: keep it as secret as the data directory.
Use scripts/backup for data in PostgreSQL.`,
		run:      backUp,
		unlocked: true,
	},
	"restore": {
		args:  []string{"FOLDER"},
		short: "create a data directory from a backup",
		long: `Create a data directory from a folder that latchkey backup wrote, after checking the checksum of
every file. The directory must be empty or not exist. If a restore is interrupted, run it again.
Name the directory first: latchkey --data-dir NEW_DIRECTORY restore FOLDER.`,
		run:      restore,
		unlocked: true,
		anyDir:   true,
	},
	"config": {
		args:  []string{"check|print"},
		short: "report wrong settings, or show where each value comes from; the suite may be running",
		long: `check: report everything in the settings that would prevent a start; exit code 2 if there is any.
print: show each setting, and whether its value is the default or comes from a flag, the environment
or a file; secrets are masked.
Neither needs a data directory, and the suite may be running.`,
		run:      configCommand,
		unlocked: true,
		anyDir:   true,
	},
	"dead-letters": {
		args:     []string{"list|replay|drop"},
		short:    "list, replay or drop events that could not be processed",
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
		short: "create, activate and validate a test license on the running suite",
		long: `Create an API key and a test license on the running suite, activate and validate the license, and
remove both again. Addresses and keys are read from credentials.json in the data directory.`,
		run:      smokeTest,
		unlocked: true,
		byAPI:    true,
	},
	"doctor": {
		short: "report what is wrong, and what to do about it",
		long: `Check the settings, disk, addresses, databases, schemas, master keys, waiting events and the broker,
and report for each whether it is fine and, if not, what to do. Nothing is changed. Stop the suite
first. Exit code: 0 nothing is wrong, 1 something is wrong, 2 wrong settings.`,
		run: doctor,
	},
	"rotate-signing-key": {
		short: "add a new key for signing tokens, which is used after ten minutes",
		long: `Add a new key for signing tokens. It is published at once and used after ten minutes, when every
service knows it; tokens signed by the previous key stay valid until they expire. Stop the suite
first.`,
		run: func(ctx context.Context, s *suite, _ []string, out io.Writer) error {
			return s.with(ctx, auth.Name, func(d app.Deps) error {
				return auth.RotateSigningKey(ctx, s.settings.auth, d, out)
			})
		},
	},
	"revoke-signing-key": {
		args:  []string{"KID"},
		short: "refuse every token of a signing key whose private half may have leaked",
		long: `Permanently refuse every token that the key KID signed: applications get new ones with their refresh
token or API key. An unknown KID prints the known ones. Stop the suite first.`,
		run: func(ctx context.Context, s *suite, args []string, out io.Writer) error {
			return s.with(ctx, auth.Name, func(d app.Deps) error {
				return auth.RevokeSigningKey(ctx, s.settings.auth, d, out, args[0])
			})
		},
	},
	"export-root-key": {
		short: "print the private root key of license files, for cold storage",
		long: `Print the private half of the root key, which certifies all keys that sign license files. Anyone who
has it can make license files: store it offline in a safe place. If the installation is lost,
import-root-key needs it. Stop the suite first.`,
		run: func(ctx context.Context, s *suite, _ []string, out io.Writer) error {
			return s.with(ctx, license.Name, func(d app.Deps) error {
				return license.ExportRootKey(ctx, s.settings.license, d, out)
			})
		},
	},
	"import-root-key": {
		args:  []string{"FILE"},
		short: "import a root key of license files from cold storage, before the first file is issued",
		long: `Import from FILE a root key that export-root-key printed, so that existing applications accept the
license files of this installation. It is refused if the installation already has another root key.
Stop the suite first.`,
		run: func(ctx context.Context, s *suite, args []string, out io.Writer) error {
			return s.with(ctx, license.Name, func(d app.Deps) error {
				return license.ImportRootKey(ctx, s.settings.license, d, args[0], out)
			})
		},
	},
	"rotate-master-key": {
		short: "move data from LATCHKEY_MASTER_KEY_PREVIOUS to LATCHKEY_MASTER_KEY",
		long: `Set LATCHKEY_MASTER_KEY to the new key and LATCHKEY_MASTER_KEY_PREVIOUS to the previous one
(master_key in secrets.json, unless a setting gave it), stop the suite, and run this. It may be
interrupted and run again. Then put the new key into secrets.json and unset both settings.`,
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
