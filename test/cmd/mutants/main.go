//go:build unix

// Command mutants is what scripts/mutants runs: it proves that the tests notice what must never happen. It builds the
// software with one deliberate defect at a time, and demands that a test fails.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
)

const usage = `usage: scripts/mutants [--list] [name ...]
       scripts/mutants --generated [package ...]

Proves that the tests notice what must never happen. First the tests run on the code as it is and must pass. Then the
code is built with one deliberate defect at a time (a mutant), and the tests that ought to notice must fail: a mutant
that passes has survived, and a test is missing. A mutant that does not compile, or whose place is not in the code
exactly once, is stale and a failure as well.

The files of the repository are not touched: the defect is in a copy that only the build sees (go build -overlay).

Names choose some mutants; the beginning of a name will do: scripts/mutants seat- relay-sent-unconfirmed
Servers are found as scripts/test finds them, installed ones started privately.
To add one, write it into a table of test/cmd/mutants, table_data.go or table_access.go, and run it by its name.

  --list        shows the mutants, runs nothing
  --generated   lets gremlins make the defects, in the rules: licensing, detect, ratelimit
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	flags := flag.NewFlagSet("mutants", flag.ExitOnError)
	list := flags.Bool("list", false, "")
	root := flags.String("root", ".", "folder of the repository")
	flags.Usage = func() { fmt.Fprint(os.Stderr, usage) }
	_ = flags.Parse(os.Args[1:]) // ExitOnError
	chosen, err := choose(all(), flags.Args())
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(2)
	case *list:
		printList(os.Stdout, chosen)
	default:
		if err := prove(ctx, *root, chosen); err != nil {
			fmt.Fprintln(os.Stderr, "mutants:", err)
			os.Exit(1)
		}
	}
}

// all is every mutant, by subject.
func all() []mutant {
	return slices.Concat(seats, events, answers, caches, credentials)
}

// choose returns the mutants whose names begin with one of names, or all.
func choose(from []mutant, names []string) ([]mutant, error) {
	if len(names) == 0 {
		return from, nil
	}
	var chosen []mutant
	for _, m := range from {
		if slices.ContainsFunc(names, func(name string) bool { return strings.HasPrefix(m.name, name) }) {
			chosen = append(chosen, m)
		}
	}
	for _, name := range names {
		if !slices.ContainsFunc(chosen, func(m mutant) bool { return strings.HasPrefix(m.name, name) }) {
			return nil, fmt.Errorf("no mutant's name begins with %q; --list shows them", name)
		}
	}
	return chosen, nil
}

func printList(w io.Writer, mutants []mutant) {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, m := range mutants {
		fmt.Fprintf(out, "%s\t%s\t%s\n", m.name, m.dir, m.breaks)
	}
	_ = out.Flush()
}

// prove runs the tests without and with each defect.
func prove(ctx context.Context, root string, mutants []mutant) error {
	root, err := filepath.Abs(root)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "latchkey-mutants-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	l := &lab{root: root, dir: dir}
	fmt.Printf("==> %d mutants. First the code as it is: every test must pass\n", len(mutants))
	if err := l.control(ctx, mutants); err != nil {
		return err
	}
	started, caught := time.Now(), 0
	for i := range mutants {
		fmt.Printf("==> %d/%d %s: %s\n", i+1, len(mutants), mutants[i].name, mutants[i].breaks)
		err := l.try(ctx, &mutants[i])
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			fmt.Println("    ", err)
			continue
		}
		caught++
	}
	fmt.Printf("\n%s\n", l.table())
	fmt.Printf("==> %d of %d mutants caught in %s\n", caught, len(mutants), time.Since(started).Round(time.Second))
	if caught < len(mutants) {
		return fmt.Errorf("%d mutants were not caught", len(mutants)-caught)
	}
	return nil
}
