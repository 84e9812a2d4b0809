//go:build unix

// Command suite is what scripts/suite runs: a whole Latchkey for as long as a command takes.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"github.com/latchkey-dev/latchkey/test/suite"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	context.AfterFunc(ctx, stop) // a second Ctrl-C does not wait; the processes end all the same
	code, err := run(ctx, os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "suite:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// run returns the exit code of the command.
func run(ctx context.Context, args []string) (code int, err error) {
	options := suite.Options{Progress: os.Stderr}
	flags := flag.NewFlagSet("suite", flag.ExitOnError)
	flags.IntVar(&options.Replicas, "replicas", 1, "processes of each service")
	flags.BoolVar(&options.Embedded, "embedded", false, "one process on SQLite and the in-process bus")
	flags.BoolVar(&options.Durable, "durable", false, "keep PostgreSQL's fsync on")
	flags.StringVar(&options.Root, "root", "", "folder of the repository; default: here or above")
	_ = flags.Parse(args) // ExitOnError
	s, err := suite.Start(ctx, options)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	if flags.NArg() > 0 {
		cmd := command(ctx, s, flags.Args())
		err := cmd.Run()
		if cmd.ProcessState != nil && cmd.ProcessState.Exited() {
			return cmd.ProcessState.ExitCode(), nil
		}
		return 0, err
	}
	show(s)
	<-ctx.Done()
	return 0, nil
}

// command is asked to end when ctx ends, and killed half a minute later.
func command(ctx context.Context, s *suite.Suite, argv []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), s.Environ()...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 30 * time.Second
	return cmd
}

// show prints the environment and lines to paste.
func show(s *suite.Suite) {
	fmt.Println()
	for _, variable := range s.Environ() {
		fmt.Printf("export %s\n", variable)
	}
	for _, endpoint := range []string{"activate", "validate"} {
		fmt.Printf(`
curl %s/api/v1/license/%s \
  -H 'X-API-Key: %s' -H 'Content-Type: application/json' \
  -d '{"license_key": "%s", "hardware_id": "my-device"}'
`, s.LicenseURL, endpoint, s.APIKey, s.LicenseKey)
	}
	fmt.Println("\nLogs are in", s.Dir+". Ctrl-C stops everything.")
}
