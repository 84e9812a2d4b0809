package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/latchkey-dev/latchkey/pkg/app"
	"github.com/latchkey-dev/latchkey/pkg/config"
	"github.com/latchkey-dev/latchkey/services/standalone/credentials"
)

// restoringFile is in a data directory while its restoring is not done. No program starts from it then.
const restoringFile = "restoring"

// restore makes a data directory of a backup; it may be repeated after an interruption.
func restore(_ context.Context, s *suite, args []string, out io.Writer) (err error) {
	if err := s.settings.requireEmbedded("bring it back with scripts/restore"); err != nil {
		return err
	}
	folder, dir := args[0], s.settings.DataDir
	names, note, err := readBackup(folder)
	if err != nil {
		return &app.ArgumentError{Err: err}
	}
	if _, err := s.settings.makeDataDir(); err != nil {
		return err
	}
	lock, err := lockDataDir(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	if err := s.settings.requireEmpty(); err != nil {
		return err
	}
	marker := filepath.Join(dir, restoringFile)
	if err := errors.Join(credentials.WriteFile(marker, strings.NewReader(folder+"\n")), syncFile(dir)); err != nil {
		return err
	}
	for _, name := range names {
		if err := copyFile(filepath.Join(folder, name), filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	if err := errors.Join(syncFile(dir), os.Remove(marker), syncFile(dir)); err != nil {
		return err
	}
	start := "Start latchkey on it"
	if len(note.Keys) > 0 {
		start += ", with the master key " + strings.Join(note.Keys, ", ") + " as LATCHKEY_MASTER_KEY"
	}
	_, err = fmt.Fprintf(out, "%s is as it was at %s. %s: nothing has to be sent again.\n", dir, note.Begun, start)
	return err
}

// requireEmpty refuses a data directory with anything in it, since a log of an earlier database would be taken for one
// of the restored database. What an interrupted restore left is deleted.
func (s *settings) requireEmpty() error {
	interrupted := s.restoring()
	there, err := os.ReadDir(s.DataDir)
	if err != nil {
		return err
	}
	for _, entry := range there {
		switch name := entry.Name(); {
		case slices.Contains([]string{lockFile, restoringFile, restoringFile + credentials.Part, "lost+found"}, name):
		case interrupted && slices.Contains(restored(), strings.TrimSuffix(name, credentials.Part)):
			if err := os.Remove(filepath.Join(s.DataDir, name)); err != nil {
				return err
			}
		default:
			return config.Problemf(s, &s.DataDir,
				"%s is not empty (%s): name another directory, or move everything that is there away", s.DataDir, name)
		}
	}
	return nil
}

// restoring reports whether a restore of the data directory is not done.
func (s *settings) restoring() bool {
	_, err := os.Lstat(filepath.Join(s.DataDir, restoringFile))
	return err == nil
}

// restored are the files that a restore makes, secrets last.
func restored() []string { return append(databaseFiles(), credentials.File, secretsFile) }

// readBackup finds the files to restore, and refuses what is not a whole backup of this program.
func readBackup(folder string) (names []string, note backupNote, err error) {
	sums, err := os.ReadFile(filepath.Join(folder, sumsFile))
	if err != nil {
		return nil, note, fmt.Errorf("%s is no backup: %w", folder, err)
	}
	known := restored()
	found := map[string]bool{}
	for lines := bufio.NewScanner(bytes.NewReader(sums)); lines.Scan(); {
		want, name, _ := strings.Cut(lines.Text(), "  ")
		if name != backupFile && !slices.Contains(known, name) {
			return nil, note, fmt.Errorf("%s is no backup of a data directory: it has %q; scripts/restore brings back "+
				"what scripts/backup made", folder, name)
		}
		if sum, err := sumOf(filepath.Join(folder, name)); err != nil || sum != want {
			return nil, note, fmt.Errorf("%s is damaged: %s is not what was backed up; take another backup",
				folder, name)
		}
		found[name] = true
	}
	for _, name := range append([]string{secretsFile, backupFile}, databaseFiles()[:len(app.Services())]...) {
		if !found[name] {
			return nil, note, fmt.Errorf("%s is damaged: it has no %s; take another backup", folder, name)
		}
	}
	text, err := os.ReadFile(filepath.Join(folder, backupFile))
	return slices.DeleteFunc(known, func(name string) bool { return !found[name] }), parseNote(string(text)), err
}
