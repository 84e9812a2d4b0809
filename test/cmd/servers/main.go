//go:build unix

// Command servers provides real servers for tests:
//
//	servers run [--durable] -- command ...    runs a command with a private PostgreSQL and RabbitMQ
//	servers test [--require-real] [--no-install] [go test arguments]
//
// "test" is what scripts/test calls. It takes each server from where it can, and says what it could not cover.
package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"
)

const usage = `usage:
  servers run [--durable] -- command ...
  servers test [--require-real] [--no-install] [go test arguments]
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	os.Exit(dispatch(ctx, os.Args[1:]))
}

func dispatch(ctx context.Context, args []string) int {
	command := map[string]func(context.Context, []string) (int, error){"run": run, "test": test}
	if len(args) == 0 || command[args[0]] == nil {
		fmt.Fprint(os.Stderr, usage)
		return 2
	}
	code, err := command[args[0]](ctx, args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "servers:", err)
		return max(code, 1)
	}
	return code
}

// exitCode is how a command that ran ended; one that did not run, or was killed, is an error.
func exitCode(cmd *exec.Cmd, err error) (int, error) {
	if cmd.ProcessState != nil && cmd.ProcessState.Exited() {
		return cmd.ProcessState.ExitCode(), nil
	}
	return 0, err
}

// command prepares a child that is asked to end when ctx ends, and is killed half a minute later.
func command(ctx context.Context, environ []string, argv ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), environ...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 30 * time.Second
	return cmd
}
