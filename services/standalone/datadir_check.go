package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/latchkey-dev/latchkey/pkg/config"
	"github.com/latchkey-dev/latchkey/services/standalone/credentials"
)

// prepareDataDir refuses a data directory that does not fit what is to be done, and makes the one that a first start
// begins without.
func (s *settings) prepareDataDir() error {
	serves, c := len(s.command) == 0, command{}
	if !serves {
		c = commands[s.command[0]]
	}
	if c.anyDir {
		return nil
	}
	if !c.byAPI {
		if err := s.checkDataDir(); err != nil {
			return err
		}
	}
	_, missing := os.Stat(filepath.Join(s.DataDir, secretsFile))
	switch {
	case !serves && missing != nil:
		return config.Problemf(s, &s.DataDir,
			"has no data that a command could work on (%v); name the directory of the suite", missing)
	case !serves:
		return nil
	case missing != nil && s.auth.Maintenance && s.DatabaseURL == "":
		return config.Problemf(&s.auth, &s.auth.Maintenance,
			"must be false for the first start: %s has no data, and nothing is made in maintenance mode", s.DataDir)
	}
	_, err := s.makeDataDir()
	return err
}

// makeDataDir makes the data directory; made are the folders that were not there, the innermost first.
func (s *settings) makeDataDir() (made []string, err error) {
	for dir := filepath.Clean(s.DataDir); !exists(dir); dir = filepath.Dir(dir) {
		made = append(made, dir)
	}
	if err := os.MkdirAll(s.DataDir, 0o700); err != nil {
		return made, config.Problemf(s, &s.DataDir, "cannot be made: %v; name another directory", err)
	}
	return made, nil
}

// tryDataDir finds out whether the data directory can be made, and leaves none.
func (s *settings) tryDataDir() error {
	made, err := s.makeDataDir()
	for _, dir := range made {
		_ = os.Remove(dir) // where it could not be made, it is not there
	}
	return err
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// checkDataDir refuses a data directory that is half restored, or has lost its secrets or a database.
func (s *settings) checkDataDir() error {
	if s.restoring() {
		return config.Problemf(s, &s.DataDir, "is being restored; if that was interrupted, repeat "+
			"latchkey --data-dir %s restore FOLDER", s.DataDir)
	}
	if err := s.requireSecrets(); err != nil {
		return err
	}
	return s.requireDatabases()
}

// requireSecrets refuses databases without the secrets that they were made with: new ones would read nothing, and stand
// where those of a backup belong.
func (s *settings) requireSecrets() error {
	if _, err := os.Lstat(filepath.Join(s.DataDir, secretsFile)); err == nil {
		return nil
	}
	for _, name := range databaseFiles() {
		if _, err := os.Lstat(filepath.Join(s.DataDir, name)); err == nil {
			return config.Problemf(s, &s.DataDir, "%s has data (%s), but its %s is gone, without which the data "+
				"cannot be read: put back the %[3]s of a backup", s.DataDir, name, secretsFile)
		}
	}
	return nil
}

// requireDatabases refuses a data directory that has lost a database: a new one would know no license, or no key, that
// was ever given out. A first start makes one database after the other and credentials.json at last, so one that was
// killed lacks only what comes later.
func (s *settings) requireDatabases() error {
	if s.DatabaseURL != "" {
		return nil
	}
	var later string // a file that is made after the one looked at
	if exists(filepath.Join(s.DataDir, credentials.File)) {
		later = credentials.File
	}
	var lost []string
	services := newServices(s)
	for _, svc := range slices.Backward(services) {
		name := svc.Name + ".db"
		if hasTables(filepath.Join(s.DataDir, name)) {
			later = name
		} else if later != "" {
			lost = append(lost, name)
		}
	}
	if len(lost) == 0 {
		return nil
	}
	otherwise := "To begin anew without that data, remove everything in the directory"
	if len(lost) == len(services) {
		otherwise = "If the data is in PostgreSQL, set LATCHKEY_DATABASE_URL. " + otherwise
	}
	return config.Problemf(s, &s.DataDir, "%s has been in use (it has %s), and lost what was in %s: put that back, or "+
		"bring back a backup with latchkey --data-dir NEW_DIRECTORY restore FOLDER. %s",
		s.DataDir, later, strings.Join(lost, ", "), otherwise)
}

// onePage is the size in bytes of a database of SQLite without a table; what was not copied into it yet is in its log.
const onePage = 4096

func hasTables(database string) bool {
	file, err := os.Stat(database)
	if err != nil {
		return false
	}
	log, err := os.Stat(database + "-wal")
	return file.Size() > onePage || err == nil && log.Size() > 0
}
