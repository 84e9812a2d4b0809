//go:build unix

// Command bench is what scripts/bench runs: it starts a whole Latchkey beside what it is compared with, and prints
// ratios that were measured in one run, in turns. Rates of one computer say little; a ratio of the same minute can be
// held to a floor.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	context.AfterFunc(ctx, stop) // a second Ctrl-C does not wait; the processes end all the same
	if len(os.Args) == 3 && os.Args[1] == baselineCommand {
		exit(serveBaseline(ctx, os.Args[2]))
	}
	if len(os.Args) == 3 && os.Args[1] == profiledCommand {
		serveProfiled(ctx, os.Args[2])
	}
	exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// options are what the arguments say.
type options struct {
	rounds int
	quick  bool
	gate   bool
	json   bool
	root   string
	only   string
	span   time.Duration
	// profileDir, when set, takes profiles instead of measuring.
	profileDir string
	// against is the folder of another checkout to compare with.
	against string
}

// errMissed says that the numbers are not good enough.
var errMissed = errors.New("a floor was missed")

func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("bench", flag.ExitOnError)
	flags.IntVar(&o.rounds, "rounds", 5, "rounds of each measurement")
	flags.BoolVar(&o.quick, "quick", false, "a smoke run: short rounds, little data; its numbers prove nothing")
	flags.BoolVar(&o.gate, "gate", false, "exit with 1 when a floor is missed")
	flags.BoolVar(&o.json, "json", false, "print JSON instead of a table")
	flags.StringVar(&o.root, "root", "", "folder of the repository; default: here or above")
	flags.StringVar(&o.only, "only", "", "measurements to make, separated by commas: "+strings.Join(names(), ", "))
	flags.DurationVar(&o.span, "span", 0, "time that each target is under load in a round; default 2s, with --quick 1s")
	flags.StringVar(&o.profileDir, "profile", "", "measure nothing: write profiles of a license process under load "+
		"to this folder, for go tool pprof")
	flags.StringVar(&o.against, "against", "", "folder of another checkout of Latchkey, which is measured in turns "+
		"with this one")
	_ = flags.Parse(args) // ExitOnError
	if flags.NArg() > 0 || o.rounds < 1 {
		return o, errors.New("unknown argument, or no rounds; see --help")
	}
	if o.span == 0 {
		o.span = 2 * time.Second
		if o.quick {
			o.span = time.Second
		}
	}
	for name := range strings.SplitSeq(o.only, ",") {
		if o.only != "" && !slices.Contains(names(), name) {
			return o, fmt.Errorf("there is no measurement %q; there are %s", name, strings.Join(names(), ", "))
		}
	}
	return o, nil
}

// measurement is one thing that bench can be asked for.
type measurement struct {
	name string
	take func(b *bench, ctx context.Context) error
}

func measurements() []measurement {
	return []measurement{
		{"validate", (*bench).validate},
		{"statements", (*bench).statements},
		{"activate", (*bench).activate},
		{"metered", (*bench).metered},
		{"lease", (*bench).lease},
		{"overload", (*bench).overload},
		{"outbox", (*bench).outbox},
		{"growth", (*bench).growth},
		{"start", (*bench).start},
		{"embedded", (*bench).embedded},
		{"backlog", (*bench).backlogs},
		{"cost", (*bench).cost},
		{"soak", (*bench).soak},
		{"import", (*bench).imports},
		{"lists", (*bench).lists},
		{"against", (*bench).compareBuilds},
	}
}

func names() (names []string) {
	for _, m := range measurements() {
		names = append(names, m.name)
	}
	return names
}

func run(ctx context.Context, args []string, out, progress io.Writer) (err error) {
	o, err := parse(args)
	if err != nil {
		return err
	}
	b := &bench{options: o, report: newReport(), progress: progress, began: time.Now()}
	defer func() { err = errors.Join(err, b.close()) }()
	if err := b.open(ctx); err != nil {
		return err
	}
	if o.profileDir != "" {
		return b.profiles(ctx)
	}
	failed := b.takeAll(ctx)
	if o.json {
		err = b.report.writeJSON(out)
	} else {
		err = b.report.writeTable(out)
	}
	if err := errors.Join(failed, err); err != nil {
		return err
	}
	if o.gate && b.report.missed() {
		return errMissed
	}
	return nil
}

func (b *bench) takeAll(ctx context.Context) error {
	for _, m := range measurements() {
		if b.only != "" && !slices.Contains(strings.Split(b.only, ","), m.name) {
			continue
		}
		b.say("%s", m.name)
		if err := m.take(b, ctx); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
	}
	return nil
}
