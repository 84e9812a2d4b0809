//go:build unix

package main

import (
	"slices"
	"strings"
	"testing"
)

const events = `{"Action":"start","Package":"p"}
{"Action":"run","Package":"p","Test":"TestGood"}
{"Action":"output","Package":"p","Test":"TestGood","Output":"quiet\n"}
{"Action":"pass","Package":"p","Test":"TestGood/at once","Elapsed":9.5}
{"Action":"pass","Package":"p","Test":"TestGood","Elapsed":0.5}
{"Action":"output","Package":"p","Test":"TestBad","Output":"    bad_test.go:3: why\n"}
{"Action":"fail","Package":"p","Test":"TestBad","Elapsed":12}
{"Action":"output","Package":"p","Test":"TestFar","Output":"    far.go:9: NOT COVERED: RabbitMQ: set a URL\n"}
{"Action":"skip","Package":"p","Test":"TestFar"}
{"Action":"output","Package":"p","Test":"TestHung","Output":"stuck here\n"}
{"Action":"output","Package":"p","Output":"FAIL\tp\t0.1s\n"}
{"Action":"fail","Package":"p"}
{"ImportPath":"q","Action":"build-output","Output":"q.go:1: syntax error\n"}
{"Action":"output","Package":"r","Output":"PASS\n"}
{"Action":"output","Package":"r","Output":"ok  \tr\t0.2s\n"}
not json
`

func TestTally(t *testing.T) {
	var out strings.Builder
	tally := &tally{out: &out}
	if err := tally.read(strings.NewReader(events)); err != nil {
		t.Fatal(err)
	}
	want := "    bad_test.go:3: why\nFAIL\tp\t0.1s\nstuck here\nq.go:1: syntax error\nok  \tr\t0.2s\nnot json\n"
	if out.String() != want {
		t.Errorf("shown:\n%s\nwant:\n%s", &out, want)
	}
	if got := tally.String(); got != "2 passed, 1 failed, 1 skipped" {
		t.Error(got)
	}
	if got := tally.slowest(2); !slices.Equal(got, []string{"  12.0 s  p  TestBad", "   9.5 s  p  TestGood"}) {
		t.Errorf("%q", got)
	}
	if got := tally.gaps(); !slices.Equal(got, []string{"1 tests: RabbitMQ: set a URL"}) {
		t.Errorf("%q", got)
	}
}

func TestParsePlan(t *testing.T) {
	plan := parsePlan([]string{"--require-real", "-run", "X", "./pkg/clock", "--no-install"})
	if !plan.requireReal || !plan.noInstall || !slices.Equal(plan.arguments, []string{"-run", "X", "./pkg/clock"}) {
		t.Errorf("%+v", plan)
	}
	if !slices.ContainsFunc(plan.arguments, isPackage) || slices.ContainsFunc(plan.arguments, isFlag("timeout")) {
		t.Error("the package or a timeout that is not there was misread")
	}
}
