package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/latchkey-dev/latchkey/pkg/clock"
	"github.com/latchkey-dev/latchkey/pkg/db"
	"github.com/latchkey-dev/latchkey/pkg/outbox"
)

// diagnoseDatabase looks at the database as far as it answers.
func (p *program) diagnoseDatabase(ctx context.Context, d *Diagnosis) {
	b := p.base()
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	cfg := db.Config{URL: b.DatabaseURL, Schema: p.Name, MaxConns: 2, ReadOnly: b.Maintenance}
	if path, isFile := strings.CutPrefix(b.DatabaseURL, "sqlite:"); isFile {
		d.Disk("disk", filepath.Dir(path))
	}
	p.DiagnoseDatabase(ctx, d, cfg, b.DatabaseMaxConns)
}

// DiagnoseDatabase opens the database of the service and looks at it; the service itself may open maxConns connections.
// It makes no file.
func (s Service) DiagnoseDatabase(ctx context.Context, d *Diagnosis, cfg db.Config, maxConns int) {
	remedy := "correct LATCHKEY_DATABASE_URL"
	if path, isFile := strings.CutPrefix(cfg.URL, "sqlite:"); isFile {
		remedy = "let this user write the file and its folder, on a disk that is not mounted read-only"
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0 {
			d.Fail("database", d.migrateRemedy(s.Name), "%s is not there yet, or empty", path)
			return
		}
	}
	data, err := db.Open(ctx, cfg)
	if err != nil {
		d.Fail("database", cmp.Or(db.ServerRemedy(err), remedy), "%v", err)
		return
	}
	defer data.Close()
	s.diagnose(ctx, d, data, maxConns)
}

// migrateRemedy is what to do where the schema of a service is missing or old.
func (d *Diagnosis) migrateRemedy(service string) string {
	if d.suite != "" {
		return "start " + d.suite + ", which makes it"
	}
	return "run '" + service + " migrate', or start the service, which does it"
}

// diagnose looks at the open database of the service.
func (s Service) diagnose(ctx context.Context, d *Diagnosis, data *db.DB, maxConns int) {
	if err := data.Ping(ctx); err != nil {
		d.Fail("database", db.Remedy(err), "does not answer: %v", err)
		return
	}
	if pooled, err := data.Pooled(ctx); pooled {
		d.Fail("pooler", "connect to PostgreSQL directly, or through a pooler in session mode (PgBouncer: "+
			"pool_mode=session)", "gives each transaction another session, as in transaction mode: locks and limits "+
			"of a connection do not stay with it")
		return
	} else if err != nil {
		d.Fail("database", db.Remedy(err), "takes no connections: %v", err)
		return
	}
	found, err := data.Diagnose(ctx)
	if err != nil {
		d.Fail("database", db.Remedy(err), "cannot be asked: %v", err)
		return
	}
	d.OK("database", "%s answers", found.Server)
	d.clock("database clock", "the database server", found.Skew())
	if found.MaxConnections > 0 && maxConns >= found.MaxConnections {
		d.Warn("connections", "lower LATCHKEY_DATABASE_MAX_CONNS, or raise max_connections of the server: "+
			"the connections of all replicas of all services must fit in",
			"this process may open %d, and the server takes %d", maxConns, found.MaxConnections)
	}
	if s.diagnoseSchema(ctx, d, data) {
		if len(found.Unusable) > 0 {
			d.Fail("permissions", "have the owner of the schema grant them: "+
				"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA "+s.Name,
				"the role may not read and change the tables %s", strings.Join(found.Unusable, ", "))
			return
		}
		s.diagnoseChanges(ctx, d, data)
		s.diagnoseKeys(ctx, d, data)
		s.diagnoseOutbox(ctx, d, data)
		if s.DiagnoseData != nil {
			s.DiagnoseData(ctx, d, data)
		}
	}
}

// unwritableRemedy says what to do about a database that takes no changes.
func unwritableRemedy(err error) string {
	return cmp.Or(db.ServerRemedy(err), "make room on its disk, and let this user write the file")
}

const (
	// changeTimeout bounds a change that is tried, and lockAfter is when it waits for a lock.
	changeTimeout = 3 * time.Second
	lockAfter     = time.Second
)

// diagnoseChanges tries a change, and looks for sessions that changes wait for: meanwhile, if it waits itself. In
// maintenance mode it tries nothing.
func (s Service) diagnoseChanges(ctx context.Context, d *Diagnosis, data *db.DB) {
	if data.ReadOnly() {
		return
	}
	if err := data.CheckWritable(ctx); err != nil {
		d.Fail("database", unwritableRemedy(err), "takes no changes: %v", err)
		return
	}
	tried := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(ctx, changeTimeout)
		defer cancel()
		tried <- outbox.New(data, Source(s.Name)).TryWrite(ctx)
	}()
	var err error
	waits := false
	select {
	case err = <-tried:
	case <-time.After(lockAfter):
		waits = true
	}
	blockers, failed := data.Blockers(ctx)
	if waits {
		err = <-tried
	}
	for _, b := range blockers {
		d.Fail("locks", fmt.Sprintf("have it commit, or end it: SELECT pg_terminate_backend(%d)", b.PID),
			"calls wait for what session %d of %s (%s) holds", b.PID, b.Role, b.App)
	}
	if err = cmp.Or(err, failed); err != nil && len(blockers) == 0 {
		d.Fail("database", db.Remedy(err), "takes no changes: %v", err)
	}
}

// diagnoseSchema reports whether there is a schema to look into.
func (s Service) diagnoseSchema(ctx context.Context, d *Diagnosis, data *db.DB) bool {
	versions, err := data.Versions(ctx, s.Migrations...)
	if err != nil {
		d.Fail("schema", cmp.Or(db.ServerRemedy(err), "run the version that made it, or start on an empty database"),
			"%v", err)
		return false
	}
	var behind, ahead []string
	empty := true
	for _, v := range versions {
		empty = empty && v.Current == 0
		text := fmt.Sprintf("%s at %d of %d", v.Name, v.Current, v.Known)
		switch {
		case v.Current < v.Known:
			behind = append(behind, text)
		case v.Current > v.Known:
			ahead = append(ahead, text)
		}
	}
	switch {
	case empty:
		d.Fail("schema", d.migrateRemedy(s.Name), "is not there yet")
	case len(behind) > 0:
		d.Fail("schema", d.migrateRemedy(s.Name), "is older than this program: %s", strings.Join(behind, ", "))
	case len(ahead) > 0:
		d.Warn("schema", "finish the upgrade: this program does not know what was added",
			"is newer than this program: %s", strings.Join(ahead, ", "))
	default:
		d.OK("schema", "is that of this version")
	}
	return !empty
}

func (s Service) diagnoseKeys(ctx context.Context, d *Diagnosis, data *db.DB) {
	if s.MasterKeys == nil {
		return
	}
	keys, err := s.MasterKeys(Deps{DB: data, Clock: clock.System{}})
	if err == nil {
		err = keys.Check(ctx)
	}
	if err != nil {
		remedy := "set LATCHKEY_MASTER_KEY to the key that the rows were written with, or name it in " +
			"LATCHKEY_MASTER_KEY_PREVIOUS"
		if d.suite != "" {
			remedy = "put back the secrets.json of the backup that the databases are of; if a setting gave the key, " +
				remedy
		}
		d.Fail("master key", remedy, "%v", err)
		return
	}
	d.OK("master key", "is the one of all rows")
}

// stuckAfter is the age at which events that wait show that nothing sends them.
const stuckAfter = time.Minute

func (s Service) diagnoseOutbox(ctx context.Context, d *Diagnosis, data *db.DB) {
	box := outbox.New(data, Source(s.Name))
	oldest, err := box.Oldest(ctx)
	if err != nil {
		d.Fail("outbox", "", "cannot be read: %v", err)
		return
	}
	waiting, err := box.Pending(ctx)
	if err != nil {
		d.Fail("outbox", "", "cannot be read: %v", err)
		return
	}
	if age := time.Since(oldest); !oldest.IsZero() && age > stuckAfter {
		d.Warn("outbox", "start the service, and look at the broker: events are sent when it takes them; none is lost",
			"%d events wait, the oldest since %s", waiting, oldest.UTC().Format(time.RFC3339))
		return
	}
	d.OK("outbox", "%d events wait", waiting)
}

// What a disk must have free, in bytes.
const (
	lowDisk  = 1 << 30
	fullDisk = 100 << 20
)

// freeBytes is what the disk of a folder has free; a variable, because no test can fill a disk.
var freeBytes = freeOfDisk

// Disk looks at the disk of a folder with data.
func (d *Diagnosis) Disk(what, folder string) {
	free, err := freeBytes(folder)
	const remedy = "make room: SQLite takes no changes on a full disk"
	switch {
	case err != nil:
		d.Fail(what, "create the folder, and let this user write to it", "%s: %v", folder, err)
	case free < fullDisk:
		d.Fail(what, remedy, "%s has %d MiB free", folder, free>>20)
	case free < lowDisk:
		d.Warn(what, remedy, "%s has %d MiB free", folder, free>>20)
	default:
		d.OK(what, "%s has %d GiB free", folder, free>>30)
	}
}
