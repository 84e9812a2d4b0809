package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/masterkey"
	"github.com/latchkey-dev/latchkey/pkg/secret"
	"github.com/latchkey-dev/latchkey/services/admin"
	"github.com/latchkey-dev/latchkey/services/auth"
	"github.com/latchkey-dev/latchkey/services/license"
	"github.com/latchkey-dev/latchkey/services/standalone/credentials"
)

// A backup is a folder with the databases, the two files of secrets, and these, as scripts/backup makes them.
const (
	backupFile = "backup.txt" // when it was begun
	sumsFile   = "SHA256SUMS"
)

// databaseFiles are all that a data directory may have; the last one, of the bus, is missing where there has always
// been a broker.
func databaseFiles() []string {
	var files []string
	for _, name := range append(app.Services(), busSchema) {
		files = append(files, name+".db")
	}
	return files
}

// backUp copies a data directory, from which a program may be serving, into a new folder. All databases are copied as
// they were at one instant, so that a restored suite begins as one whose process was killed then: what had not reached
// a consumer waits in an outbox, and nothing else has to be sent again.
func backUp(ctx context.Context, s *suite, args []string, out io.Writer) error {
	if err := s.settings.requireEmbedded("back it up with scripts/backup"); err != nil {
		return err
	}
	folder := filepath.Clean(args[0])
	if _, err := os.Lstat(folder); err == nil {
		return &app.ArgumentError{Err: fmt.Errorf("%s exists; name a folder that does not", folder)}
	}
	part, err := os.MkdirTemp(filepath.Dir(folder), filepath.Base(folder)+".part-") // made with mode 0700
	if err != nil {
		return &app.ArgumentError{Err: fmt.Errorf("the folder cannot be made: %w", err)}
	}
	defer os.RemoveAll(part)
	note, err := copyData(ctx, s.settings, part, out)
	if err != nil {
		return err
	}
	// A folder that somebody else has made meanwhile is not replaced.
	if err := errors.Join(syncFile(part), publish(part, folder), syncFile(filepath.Dir(folder))); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s has all that was answered before %s, and the keys in %s: keep it as secret as the "+
		"data directory.\n%sOther settings are not in it.\n"+
		"Bring it back with latchkey --data-dir NEW_DIRECTORY restore %[1]s\n",
		folder, note.Begun, secretsFile, note.keepKeys())
	return err
}

// publish gives a whole backup its name.
func publish(part, folder string) error {
	err := os.Rename(part, folder)
	if errors.Is(err, fs.ErrExist) {
		return &app.ArgumentError{Err: fmt.Errorf("%s exists meanwhile; name a folder that does not", folder)}
	}
	return err
}

// backupNote is what backup.txt says.
type backupNote struct {
	Begun string
	// Keys are the names of the master keys that the data needs and secrets.json does not have: settings gave them.
	Keys []string
}

func (n backupNote) String() string {
	return "begun " + n.Begun + "\n" + "master keys elsewhere: " + strings.Join(n.Keys, " ") + "\n"
}

func parseNote(text string) (n backupNote) {
	begun, keys, _ := strings.Cut(strings.TrimPrefix(text, "begun "), "\nmaster keys elsewhere: ")
	return backupNote{Begun: strings.TrimSpace(begun), Keys: strings.Fields(keys)}
}

func (n backupNote) keepKeys() string {
	if len(n.Keys) == 0 {
		return ""
	}
	return fmt.Sprintf("It lacks the master key %s, which LATCHKEY_MASTER_KEY gave: keep that elsewhere, for "+
		"without it license keys and signing keys cannot be read.\n", strings.Join(n.Keys, ", "))
}

// copyData copies the files of a data directory, and adds the two that tell what they are.
func copyData(ctx context.Context, set *settings, part string, out io.Writer) (note backupNote, err error) {
	dir := set.DataDir
	note.Begun = time.Now().UTC().Format(time.RFC3339)
	var copies []db.Copy
	for i, name := range databaseFiles() {
		from := filepath.Join(dir, name)
		switch _, err := os.Stat(from); {
		case err == nil:
			copies = append(copies, db.Copy{From: from, To: filepath.Join(part, name)})
		case !errors.Is(err, fs.ErrNotExist) || i < len(app.Services()):
			return note, fmt.Errorf("%s is not the data of a suite: %w", dir, err)
		}
	}
	if err := db.CopySQLite(ctx, copies, reportTo(out)); err != nil {
		return note, err
	}
	for _, name := range []string{credentials.File, secretsFile} {
		err := copyFile(filepath.Join(dir, name), filepath.Join(part, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return note, err
		}
	}
	if note.Keys, err = keysElsewhere(ctx, set); err != nil {
		return note, err
	}
	if err := credentials.WriteFile(filepath.Join(part, backupFile), strings.NewReader(note.String())); err != nil {
		return note, err
	}
	return note, writeSums(part)
}

// keysElsewhere are the names of the master keys that the databases name and secrets.json does not have.
func keysElsewhere(ctx context.Context, set *settings) (names []string, err error) {
	var made secrets
	if err := credentials.ReadJSON(filepath.Join(set.DataDir, secretsFile), &made); err != nil {
		return nil, err
	}
	alone := app.MasterKeys{MasterKey: secret.Secret(made.MasterKey)}
	for _, svc := range newServices(&settings{
		auth:    auth.Config{MasterKeys: alone},
		license: license.Config{MasterKeys: alone},
		admin:   admin.Config{MasterKeys: alone},
	}) {
		missing, err := missingKeys(ctx, svc, set.sqliteURL(svc.Name))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", svc.Name, err)
		}
		names = append(names, missing...)
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

func missingKeys(ctx context.Context, svc *service, url string) (names []string, err error) {
	if svc.MasterKeys == nil {
		return nil, nil
	}
	data, err := db.Open(ctx, db.Config{URL: url, MaxConns: 1})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, data.Close()) }()
	register, err := svc.MasterKeys(app.Deps{DB: data, Clock: clock.System{}})
	if err != nil {
		return nil, err
	}
	err = register.Check(ctx)
	missing := new(masterkey.MissingError)
	if !errors.As(err, &missing) {
		return nil, err
	}
	for _, u := range missing.Missing {
		names = append(names, u.Name)
	}
	return names, nil
}

// reportTo shows on a terminal how far the copy is; elsewhere it says when a database is done.
func reportTo(out io.Writer) func(c db.Copy, done, total int) {
	terminal := app.IsTerminal(out)
	return func(c db.Copy, done, total int) {
		if terminal {
			fmt.Fprintf(out, "\r%s: %d of %d pages", filepath.Base(c.From), done, total)
		}
		if done == total {
			fmt.Fprintf(out, "\r%s is copied (%d pages)\n", filepath.Base(c.From), total)
		}
	}
}

// writeSums writes the sums of all files of a folder, as sha256sum --check reads them.
func writeSums(folder string) error {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	var sums bytes.Buffer
	for _, e := range entries {
		sum, err := sumOf(filepath.Join(folder, e.Name()))
		if err != nil {
			return err
		}
		fmt.Fprintf(&sums, "%s  %s\n", sum, e.Name())
	}
	return credentials.WriteFile(filepath.Join(folder, sumsFile), &sums)
}

func sumOf(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	sum := sha256.New()
	_, err = io.Copy(sum, file)
	return fmt.Sprintf("%x", sum.Sum(nil)), err
}

// copyFile makes a file that only its owner can read; a crash leaves all of it or nothing.
func copyFile(from, to string) error {
	file, err := os.Open(from)
	if err != nil {
		return err
	}
	defer file.Close()
	return credentials.WriteFile(to, file)
}

// syncFile waits until a file, or the names in a folder, are on the disk.
func syncFile(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}
