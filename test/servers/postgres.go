//go:build unix

package servers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/latchkey-dev/latchkey/pkg/clock"
)

// PostgreSQL is a private PostgreSQL server.
type PostgreSQL struct {
	// URL of the database "postgres", as a superuser.
	URL string
	// Version is what the server says of itself, for example "15.18".
	Version string
	// Bin is the folder of the programs it runs from.
	Bin string

	options Options
	port    int
	group   *Group
	owner   *syscall.Credential // nil unless we are root, as which PostgreSQL refuses to run
	server  *Process
}

const superuser = "latchkey"

// StartPostgreSQL starts a new server from the installed programs; ErrNotInstalled when there are none.
func StartPostgreSQL(ctx context.Context, options Options) (*PostgreSQL, error) {
	bin, err := postgresBin()
	if err != nil {
		return nil, err
	}
	return retrying(ctx, func(ctx context.Context) (*PostgreSQL, error) {
		p := &PostgreSQL{Bin: bin, options: options}
		if err := p.create(ctx); err != nil {
			return nil, errors.Join(err, p.Stop())
		}
		return p, nil
	})
}

// PID of the server.
func (p *PostgreSQL) PID() int { return p.server.PID() }

// Kill ends the server as kill -9 does. Restart brings it back on the same data and port.
func (p *PostgreSQL) Kill() { p.server.Kill() }

// Restart starts a killed server again and waits until it answers.
func (p *PostgreSQL) Restart(ctx context.Context) error {
	p.server.Kill()
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		err := p.serve(ctx)
		// Sessions of the killed server hold its shared memory for a moment.
		if err == nil || clock.Sleep(ctx, 200*time.Millisecond) != nil {
			return err
		}
	}
}

// Stop ends the server and removes its data.
func (p *PostgreSQL) Stop() error {
	if p.server != nil {
		p.server.Stop(syscall.SIGQUIT, 10*time.Second)
	}
	if p.group == nil {
		return nil
	}
	return p.group.Close()
}

func (p *PostgreSQL) create(ctx context.Context) error {
	var err error
	folder := "" // on the disk
	if !p.options.Durable {
		folder = memoryFolder()
	}
	if p.group, err = newGroup(folder, "postgres"); err != nil {
		return err
	}
	ports, err := FreePorts(1)
	if err != nil {
		return err
	}
	p.port = ports[0]
	p.URL = fmt.Sprintf("postgres://%s@%s/postgres?sslmode=disable", superuser, Address(p.port))
	if err := p.makeData(ctx); err != nil {
		return err
	}
	return p.serve(ctx)
}

func (p *PostgreSQL) data() string { return p.group.Path("data") }

func (p *PostgreSQL) makeData(ctx context.Context) error {
	if err := os.Mkdir(p.data(), 0o700); err != nil {
		return err
	}
	if os.Geteuid() == 0 {
		owner, err := unprivileged()
		if err != nil {
			return err
		}
		p.owner = owner
		if err := os.Chown(p.data(), int(owner.Uid), int(owner.Gid)); err != nil {
			return err
		}
	}
	cmd := p.command(ctx, "initdb", "-D", p.data(), "-U", superuser, "--auth=trust", "--encoding=UTF8", "--locale=C",
		"--no-sync")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return nil
}

func (p *PostgreSQL) serve(ctx context.Context) error {
	settings := []string{"listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=300",
		"timezone=UTC", "log_checkpoints=off"}
	if !p.options.Durable {
		settings = append(settings, "fsync=off", "full_page_writes=off", "max_wal_size=256MB")
	}
	args := []string{"-D", p.data(), "-p", strconv.Itoa(p.port)}
	for _, s := range settings {
		args = append(args, "-c", s)
	}
	server, err := p.group.Start("postgres", p.command(context.WithoutCancel(ctx), "postgres", args...))
	if err != nil {
		return err
	}
	p.server = server
	return server.Await(ctx, func(ctx context.Context) (err error) {
		p.Version, err = pingPostgreSQL(ctx, p.URL)
		return err
	})
}

// pingPostgreSQL asks a server for its version.
func pingPostgreSQL(ctx context.Context, url string) (version string, err error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return "", err
	}
	defer conn.Close(ctx)
	version, _, _ = strings.Cut(conn.PgConn().ParameterStatus("server_version"), " ")
	return version, conn.Ping(ctx)
}

func (p *PostgreSQL) command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(p.Bin, program), args...)
	cmd.Dir = p.data()
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "HOME=" + p.data()}
	if p.owner != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.owner}
	}
	return cmd
}

// unprivileged is the user that a server started by root runs as.
func unprivileged() (*syscall.Credential, error) {
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(uidErr, gidErr); err != nil {
			return nil, err
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, errors.New("PostgreSQL does not run as root, and there is neither a user postgres nor nobody")
}

// postgresBin finds the folder that holds both initdb and postgres; Debian keeps it out of PATH.
func postgresBin() (string, error) {
	var folders []string
	if program, err := exec.LookPath("postgres"); err == nil {
		if real, err := filepath.EvalSymlinks(program); err == nil {
			folders = append(folders, filepath.Dir(real))
		}
	}
	if out, err := exec.Command("pg_config", "--bindir").Output(); err == nil {
		folders = append(folders, strings.TrimSpace(string(out)))
	}
	folders = append(folders, "/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql*/bin",
		"/usr/local/opt/postgresql*/bin")
	for _, folder := range folders {
		if initdb, ok := firstProgram(filepath.Join(folder, "initdb")); ok {
			if _, ok := firstProgram(filepath.Join(filepath.Dir(initdb), "postgres")); ok {
				return filepath.Dir(initdb), nil
			}
		}
	}
	return "", fmt.Errorf("PostgreSQL: %w (looked in PATH, pg_config --bindir, /usr/lib/postgresql and Homebrew)",
		ErrNotInstalled)
}
