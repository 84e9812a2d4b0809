//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/latchkey-dev/latchkey/test/servers"
)

// testPlan is what the command line of "test" asks for.
type testPlan struct {
	requireReal bool // a gap is a failure
	noInstall   bool
	arguments   []string // for go test
}

// ground is what the tests can stand on.
type ground struct {
	servers  []servers.Server
	race     error // why there is no race detector
	install  error // why nothing could be installed
	examples error // why the examples in other languages cannot run
}

func test(ctx context.Context, args []string) (int, error) {
	plan := parsePlan(args)
	fmt.Println("==> Looking for PostgreSQL, RabbitMQ and a C compiler")
	g := prepare(ctx, plan)
	defer func() { stopAll(g.servers) }()
	g.print(os.Stdout)
	if plan.requireReal && len(g.gaps()) > 0 {
		printGaps(os.Stdout, g.gaps())
		return 0, errors.New("--require-real: refusing to run with gaps")
	}

	fmt.Println(
		"==> Building and running the tests. The first build takes minutes, because everything is compiled once")
	started := time.Now()
	tally := &tally{verbose: slices.Contains(plan.arguments, "-v"), out: os.Stdout}
	code, err := goTest(ctx, tally, plan, g)
	gaps := append(g.gaps(), tally.gaps()...)
	fmt.Printf("\n==> %s in %s\n", tally, time.Since(started).Round(time.Second))
	if tally.passed > manyTests {
		fmt.Printf("    The slowest:\n    %s\n", strings.Join(tally.slowest(20), "\n    "))
	}
	g.print(os.Stdout)
	printGaps(os.Stdout, gaps)
	if err == nil && plan.requireReal && len(gaps) > 0 {
		return code, errors.New("--require-real: not all tests ran")
	}
	return code, err
}

func parsePlan(args []string) testPlan {
	var plan testPlan
	for _, arg := range args {
		switch arg {
		case "--require-real":
			plan.requireReal = true
		case "--no-install":
			plan.noInstall = true
		case "--":
		default:
			plan.arguments = append(plan.arguments, arg)
		}
	}
	return plan
}

// prepare finds the servers and the compiler, and installs what is missing where that is possible.
func prepare(ctx context.Context, plan testPlan) *ground {
	g := &ground{servers: find(ctx, servers.Options{}), race: checkRace(ctx), examples: checkExamples(ctx)}
	packages := g.packages()
	if len(packages) == 0 {
		return g
	}
	if plan.noInstall {
		g.install = errors.New("--no-install was given")
	} else if g.install = canInstall(); g.install == nil {
		g.install = install(ctx, packages)
	}
	if g.install == nil {
		stopAll(g.servers)
		g.servers, g.race, g.examples = find(ctx, servers.Options{}), checkRace(ctx), checkExamples(ctx)
	}
	return g
}

// packages are the Debian packages that would close the gaps.
func (g *ground) packages() (packages []string) {
	for i, wanted := range [][]string{postgresPackages, rabbitPackages} {
		if errors.Is(g.servers[i].Missing, servers.ErrNotInstalled) {
			packages = append(packages, wanted...)
		}
	}
	if g.race != nil {
		packages = append(packages, compilerPackages...)
	}
	if g.examples != nil {
		packages = append(packages, examplePackages...)
	}
	return packages
}

// gaps are the things that this run cannot cover, one sentence each.
func (g *ground) gaps() (gaps []string) {
	for _, s := range g.servers {
		if s.Missing != nil {
			gaps = append(gaps, fmt.Sprintf("everything that needs %s:\n%v", s.Name, s.Missing))
		}
	}
	if g.race != nil {
		gaps = append(gaps, fmt.Sprintf("data races: %v", g.race))
	}
	if g.examples != nil {
		gaps = append(gaps, fmt.Sprintf("examples in other languages: %v", g.examples))
	}
	if len(gaps) > 0 && g.install != nil {
		gaps = append(gaps, fmt.Sprintf("(%v)", g.install))
	}
	return gaps
}

func (g *ground) print(w io.Writer) {
	for _, s := range g.servers {
		source := s.Source
		if s.Missing != nil {
			source = "none"
		}
		fmt.Fprintf(w, "    %-14s %s\n", s.Name, source)
	}
	race := "on"
	if g.race != nil {
		race = "off"
	}
	fmt.Fprintf(w, "    %-14s %s\n", "Race detector", race)
}

func printGaps(w io.Writer, gaps []string) {
	if len(gaps) == 0 {
		return
	}
	bar := strings.Repeat("!", 78)
	fmt.Fprintf(w, "\n%s\n!! NOT COVERED by this run:\n", bar)
	for _, gap := range gaps {
		fmt.Fprintln(w, "!!   "+strings.ReplaceAll(gap, "\n", "\n!!     "))
	}
	fmt.Fprintln(w, bar)
}

func (g *ground) environ(plan testPlan) (environ []string) {
	for _, s := range g.servers {
		environ = append(environ, s.Environ...)
	}
	cgo := "CGO_ENABLED=1" // the race detector needs it, nothing else does
	if g.race != nil {
		cgo = "CGO_ENABLED=0"
	}
	environ = append(environ, cgo)
	if plan.requireReal {
		environ = append(environ, "LATCHKEY_TEST_REQUIRE_REAL=1")
	}
	return environ
}

// manyTests is from how many tests on it is of interest which are the slowest.
const manyTests = 1000

// goTest runs go test over the workspace, or over the packages named in the arguments.
func goTest(ctx context.Context, t *tally, plan testPlan, g *ground) (int, error) {
	argv := []string{"go", "test", "-json"}
	if g.race == nil {
		// SQLite, translated to Go, works in memory of its own, and is slow under the detector and pointer checks.
		argv = append(argv, "-race", "-gcflags=modernc.org/...=-race=false -d=checkptr=0")
	}
	if !slices.ContainsFunc(plan.arguments, isFlag("timeout")) {
		argv = append(argv, "-timeout=2h") // a package takes minutes, on a busy computer half an hour
	}
	// Go keeps the results of tests, and does not see that a page or a program of another module changed, which they
	// read and start.
	if !slices.ContainsFunc(plan.arguments, isFlag("count")) {
		argv = append(argv, "-count=1")
	}
	if !slices.ContainsFunc(plan.arguments, isPackage) {
		argv = append(argv, "work")
	}
	cmd := command(ctx, g.environ(plan), append(argv, plan.arguments...)...)
	cmd.Stdin, cmd.Stdout = nil, nil
	events, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	if err := t.read(events); err != nil {
		return 1, errors.Join(err, cmd.Wait())
	}
	return exitCode(cmd, cmd.Wait())
}

func isFlag(name string) func(string) bool {
	return func(arg string) bool {
		arg, _, _ = strings.Cut(strings.TrimLeft(arg, "-"), "=")
		return arg == name
	}
}

func isPackage(arg string) bool {
	return arg == "work" || strings.HasPrefix(arg, "./") || strings.HasPrefix(arg, "../") ||
		strings.HasPrefix(arg, "github.com/latchkey-dev/")
}
