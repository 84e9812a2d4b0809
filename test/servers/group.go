//go:build unix

package servers

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// Group is a directory and the processes that live in it. When the process that made the group is killed, a small shell
// that outlives it ends the group's processes and removes the directory.
type Group struct {
	// Dir holds the logs of the processes, and whatever else they need.
	Dir string

	guard     *exec.Cmd
	input     io.WriteCloser // the guard waits for its end
	processes []*Process
}

const guardScript = `trap '' INT TERM HUP
read -r word
[ "$word" = done ] && exit 0
for file in "$1"/*.end; do [ -f "$file" ] && sh "$file" & done
wait
rm -rf -- "$1"`

// NewGroup makes a group with a directory in the temporary folder. Other users can enter it but not read it, because
// PostgreSQL runs as another user when we are root.
func NewGroup(name string) (*Group, error) { return newGroup("", name) }

// newGroup is NewGroup with the directory in another folder than the temporary one.
func newGroup(folder, name string) (*Group, error) {
	dir, err := os.MkdirTemp(folder, "latchkey-"+name+"-")
	if err != nil {
		return nil, fmt.Errorf("make a directory for %s: %w", name, err)
	}
	if err := os.Chmod(dir, 0o711); err != nil {
		return nil, err
	}
	guard := exec.Command("/bin/sh", "-c", guardScript, "sh", dir)
	guard.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	input, err := guard.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := guard.Start(); err != nil {
		return nil, fmt.Errorf("start the guard of %s: %w", dir, err)
	}
	return &Group{Dir: dir, guard: guard, input: input}, nil
}

// Path is the given name in the group's directory.
func (g *Group) Path(name string) string { return filepath.Join(g.Dir, name) }

// Start starts cmd with its output appended to the group's <name>.log.
func (g *Group) Start(name string, cmd *exec.Cmd) (*Process, error) {
	p, err := startProcess(name, g.Path(name+".log"), cmd)
	if err != nil {
		return nil, err
	}
	g.processes = append(g.processes, p)
	// SIGQUIT to a postmaster ends its sessions too and frees its shared memory; what ignores it is killed. Without -s,
	// the kill of dash takes the -- for a process.
	p.onEnd = g.Path(name + ".end")
	return p, g.onKilled(name, fmt.Sprintf("kill -s QUIT %[1]d; sleep 1; kill -s KILL -- -%[1]d", p.PID()))
}

// onKilled names the shell commands that end something when the process that made the group is killed.
func (g *Group) onKilled(name, script string) error {
	return os.WriteFile(g.Path(name+".end"), []byte(script+"\n"), 0o600)
}

// Close kills what still runs, and removes the directory.
func (g *Group) Close() error {
	for _, p := range g.processes {
		p.Kill()
	}
	_, _ = io.WriteString(g.input, "done\n")
	_ = g.input.Close()
	_ = g.guard.Wait()
	return os.RemoveAll(g.Dir)
}
