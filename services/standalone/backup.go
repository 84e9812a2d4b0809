package main

import (
	"bufio"
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
	"github.com/latchkey-dev/latchkey/pkg/config"
	"github.com/latchkey-dev/latchkey/pkg/db"
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
	part := folder + ".part"
	if err := os.RemoveAll(part); err != nil { // of a backup that was killed
		return err
	}
	if err := os.Mkdir(part, 0o700); err != nil {
		return &app.ArgumentError{Err: fmt.Errorf("the folder cannot be made: %w", err)}
	}
	defer os.RemoveAll(part)
	begun, err := copyData(ctx, s.settings.DataDir, part, out)
	if err != nil {
		return err
	}
	if err := errors.Join(syncFile(part), os.Rename(part, folder), syncFile(filepath.Dir(folder))); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s has all that was answered before %s, and its keys: keep it as secret as the data "+
		"directory.\nBring it back with latchkey --data-dir NEW_DIRECTORY restore %[1]s\n", folder, begun)
	return err
}

// copyData copies the files of a data directory, and adds the two that tell what they are.
func copyData(ctx context.Context, dir, part string, out io.Writer) (begun string, err error) {
	begun = time.Now().UTC().Format(time.RFC3339)
	var copies []db.Copy
	for i, name := range databaseFiles() {
		from := filepath.Join(dir, name)
		switch _, err := os.Stat(from); {
		case err == nil:
			copies = append(copies, db.Copy{From: from, To: filepath.Join(part, name)})
		case !errors.Is(err, fs.ErrNotExist) || i < len(app.Services()):
			return "", fmt.Errorf("%s is not the data of a suite: %w", dir, err)
		}
	}
	if err := db.CopySQLite(ctx, copies, reportTo(out)); err != nil {
		return "", err
	}
	for _, name := range []string{credentials.File, secretsFile} {
		err := copyFile(filepath.Join(dir, name), filepath.Join(part, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	if err := writeNew(filepath.Join(part, backupFile), strings.NewReader("begun "+begun+"\n")); err != nil {
		return "", err
	}
	return begun, writeSums(part)
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
	return writeNew(filepath.Join(folder, sumsFile), &sums)
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

// restore makes a data directory of a backup. The secrets come last: without them no program starts from a directory
// whose restoring was interrupted.
func restore(_ context.Context, s *suite, args []string, out io.Writer) (err error) {
	if err := s.settings.requireEmbedded("bring it back with scripts/restore"); err != nil {
		return err
	}
	folder, dir := args[0], s.settings.DataDir
	names, begun, err := readBackup(folder)
	if err != nil {
		return &app.ArgumentError{Err: err}
	}
	lock, err := lockDataDir(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	for _, name := range append(databaseFiles(), secretsFile) {
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			return config.Problemf(s.settings, &s.settings.DataDir,
				"%s has data already (%s): name a directory that has none, or move what is there away", dir, name)
		}
	}
	for _, name := range names {
		if err := copyFile(filepath.Join(folder, name), filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	if err := syncFile(dir); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s is as it was at %s. Start latchkey on it: nothing has to be sent again.\n",
		dir, begun)
	return err
}

// readBackup finds the files to restore, secrets last, and refuses what is not a whole backup of this program.
func readBackup(folder string) (names []string, begun string, err error) {
	sums, err := os.ReadFile(filepath.Join(folder, sumsFile))
	if err != nil {
		return nil, "", fmt.Errorf("%s is no backup: %w", folder, err)
	}
	known := append(databaseFiles(), credentials.File, secretsFile)
	found := map[string]bool{}
	for lines := bufio.NewScanner(bytes.NewReader(sums)); lines.Scan(); {
		want, name, _ := strings.Cut(lines.Text(), "  ")
		if name != backupFile && !slices.Contains(known, name) {
			return nil, "",
				fmt.Errorf("%s is no backup of a data directory: it has %q; scripts/restore brings back what "+
					"scripts/backup made", folder, name)
		}
		if sum, err := sumOf(filepath.Join(folder, name)); err != nil || sum != want {
			return nil, "", fmt.Errorf("%s is damaged: %s is not what was backed up; take another backup", folder, name)
		}
		found[name] = true
	}
	for _, name := range append([]string{secretsFile, backupFile}, databaseFiles()[:len(app.Services())]...) {
		if !found[name] {
			return nil, "", fmt.Errorf("%s is damaged: it has no %s; take another backup", folder, name)
		}
	}
	text, err := os.ReadFile(filepath.Join(folder, backupFile))
	begun = strings.TrimSpace(strings.TrimPrefix(string(text), "begun "))
	return slices.DeleteFunc(known, func(name string) bool { return !found[name] }), begun, err
}

// copyFile makes a file that only its owner can read; a crash leaves all of it or nothing.
func copyFile(from, to string) error {
	file, err := os.Open(from)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := writeNew(to+".part", file); err != nil {
		return err
	}
	return os.Rename(to+".part", to)
}

// writeNew writes a file to the disk.
func writeNew(path string, content io.Reader) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, content)
	return errors.Join(err, file.Sync(), file.Close())
}

// syncFile waits until a file, or the names in a folder, are on the disk.
func syncFile(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}
