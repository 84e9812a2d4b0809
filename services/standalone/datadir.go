package main

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/gofrs/flock"

	"github.com/latchkey-dev/latchkey/pkg/secret"
	"github.com/latchkey-dev/latchkey/services/standalone/credentials"
)

// dataDir is everything that outlives the process. One process at a time has it.
type dataDir struct {
	path    string
	secrets secrets
	lock    *flock.Flock
}

// secrets are made once, on the first start; an admin key that a setting gives takes the place of the first. Without
// the master key the data cannot be read.
type secrets struct {
	MasterKey   string `json:"master_key"`
	AdminSecret string `json:"admin_secret"`
	AdminAPIKey string `json:"admin_api_key"`
}

const (
	// adminKeyPrefix is that of the keys that admin makes, so that typing slips are noticed.
	adminKeyPrefix = "ak_"

	secretsFile = "secrets.json"
	lockFile    = "lock"
)

func openDataDir(path string) (*dataDir, error) {
	lock, err := lockDataDir(path)
	if err != nil {
		return nil, err
	}
	d := &dataDir{path: path, lock: lock}
	if err := d.readSecrets(); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// lockDataDir keeps other processes away from a data directory until Unlock.
func lockDataDir(path string) (*flock.Flock, error) {
	lock := flock.New(filepath.Join(path, lockFile))
	free, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("the data directory %s cannot be locked: %w; choose another one with --data-dir",
			path, err)
	}
	if !free {
		return nil, fmt.Errorf("another Latchkey process is using the data directory %s: stop it, or choose another "+
			"directory with --data-dir (and other ports)", path)
	}
	return lock, nil
}

// Close lets another process have the directory.
func (d *dataDir) Close() error { return d.lock.Unlock() }

func (d *dataDir) file(name string) string { return filepath.Join(d.path, name) }

func (d *dataDir) readSecrets() error {
	err := credentials.ReadJSON(d.file(secretsFile), &d.secrets)
	if errors.Is(err, fs.ErrNotExist) {
		d.secrets = newSecrets()
		return credentials.WriteJSON(d.file(secretsFile), d.secrets)
	}
	return err
}

// saveAdminKey makes key the admin key of later starts. What other settings gave is not saved.
func (d *dataDir) saveAdminKey(key string) error {
	var saved secrets
	if err := credentials.ReadJSON(d.file(secretsFile), &saved); err != nil {
		return err
	}
	saved.AdminAPIKey, d.secrets.AdminAPIKey = key, key
	return credentials.WriteJSON(d.file(secretsFile), saved)
}

func newSecrets() secrets {
	var master [32]byte
	rand.Read(master[:])
	return secrets{
		MasterKey:   base64.StdEncoding.EncodeToString(master[:]),
		AdminSecret: secret.New("as_"),
		AdminAPIKey: secret.New(adminKeyPrefix),
	}
}
