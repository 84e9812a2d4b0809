//go:build unix

package servers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// Process is a program that was started, in a process group of its own: Ctrl-C in the terminal does not reach it, and
// one signal reaches all of it.
type Process struct {
	// Name of the process in its group.
	Name string
	// Log is the file with its output.
	Log string

	cmd   *exec.Cmd
	done  chan struct{} // closed when it has ended
	onEnd string        // tells the group's guard how to end it
}

func startProcess(name, log string, cmd *exec.Cmd) (*Process, error) {
	p := &Process{Name: name, Log: log, cmd: cmd, done: make(chan struct{})}
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		_ = cmd.Wait() // how it ended is in its log
		close(p.done)
	}()
	return p, nil
}

// PID of the process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Kill ends the process and its children as kill -9 does, and waits for its end.
func (p *Process) Kill() {
	select {
	case <-p.done:
	default:
		_ = syscall.Kill(-p.PID(), syscall.SIGKILL)
		<-p.done
	}
	_ = os.Remove(p.onEnd)
}

// Stop asks the process to end with the given signal, and kills it when it does not within the given time. It tells
// whether the process ended by itself, with exit code 0.
func (p *Process) Stop(ask syscall.Signal, patience time.Duration) bool {
	select {
	case <-p.done:
	default:
		_ = p.cmd.Process.Signal(ask)
	}
	select {
	case <-p.done:
	case <-time.After(patience):
	}
	p.Kill()
	return p.cmd.ProcessState.Success()
}

// Await waits until ready answers nil; what goes wrong is told with the end of the log.
func (p *Process) Await(ctx context.Context, ready func(context.Context) error) error {
	err := await(ctx, p.done, ready)
	if err == nil {
		return nil
	}
	log := tail(p.Log)
	err = fmt.Errorf("%s: %w; last lines of its log:\n%s", p.Name, err, log)
	for _, sign := range []string{"in use", "eaddrinuse", "could not bind"} {
		if strings.Contains(strings.ToLower(log), sign) {
			return errors.Join(ErrPortTaken, err)
		}
	}
	return err
}
