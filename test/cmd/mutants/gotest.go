//go:build unix

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"time"
)

// outcome is what a run of go test came to.
type outcome struct {
	passed, failed []string // top-level tests
	// running are the tests that had begun when the run ended without a word on them: it hung or crashed.
	running []string
	unbuilt bool
	ok      bool
	// complaint is the first thing that a test said against the code.
	complaint string
	output    string
	stopwatch time.Duration
}

// complaint is how package testing begins what a test says: with file and line.
var complaint = regexp.MustCompile(`^\s+\w+\.go:\d+: `)

// goTest runs the named tests of one package to the first failure. extra goes to the go command as it is.
func goTest(ctx context.Context, root, pkg string, tests []string, extra ...string) (outcome, error) {
	run := "-run=^(" + strings.Join(tests, "|") + ")$"
	argv := append([]string{"test", "-json", "-count=1", "-failfast", "-vet=off", "-timeout=60s", run}, extra...)
	cmd := exec.CommandContext(ctx, "go", append(argv, pkg)...)
	cmd.Dir = root
	// A test that is skipped for lack of a server would notice nothing.
	cmd.Env = append(os.Environ(), "LATCHKEY_TEST_REQUIRE_REAL=1")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	cmd.Stderr = os.Stderr
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return outcome{}, err
	}
	started := time.Now()
	if err := cmd.Start(); err != nil {
		return outcome{}, err
	}
	var o outcome
	err = o.read(pipe)
	ended := cmd.Wait()
	o.ok, o.stopwatch = ended == nil, time.Since(started)
	var exit *exec.ExitError
	if errors.As(ended, &exit) {
		ended = nil // a red run is an outcome
	}
	return o, errors.Join(err, ended, ctx.Err())
}

// testEvent is one line of go test -json (go doc test2json, go help buildjson).
type testEvent struct {
	Action, Test, Output string
}

func (o *outcome) read(events io.Reader) error {
	var said strings.Builder
	defer func() { o.output = said.String() }()
	lines := bufio.NewScanner(events)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e testEvent
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			fmt.Fprintln(&said, lines.Text())
			continue
		}
		said.WriteString(e.Output)
		o.note(e)
	}
	return lines.Err()
}

func (o *outcome) note(e testEvent) {
	if e.Action == "build-fail" {
		o.unbuilt = true
	}
	if o.complaint == "" && complaint.MatchString(e.Output) {
		o.complaint = strings.TrimSpace(e.Output)
	}
	if e.Test == "" || strings.Contains(e.Test, "/") {
		return
	}
	ended := func() { o.running = slices.DeleteFunc(o.running, func(name string) bool { return name == e.Test }) }
	switch e.Action {
	case "run":
		o.running = append(o.running, e.Test)
	case "pass":
		ended()
		o.passed = append(o.passed, e.Test)
	case "fail":
		ended()
		o.failed = append(o.failed, e.Test)
	}
}

// caughtBy names the tests that noticed; none when nobody did.
func (o *outcome) caughtBy() []string {
	if len(o.failed) > 0 || o.ok {
		return o.failed
	}
	var crashed []string
	for _, name := range o.running {
		crashed = append(crashed, name+" (hung or crashed)")
	}
	return crashed
}
