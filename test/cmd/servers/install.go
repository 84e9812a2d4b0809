//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"strings"
)

// Debian packages of what the tests want.
var (
	postgresPackages = []string{"postgresql"}
	rabbitPackages   = []string{"rabbitmq-server"}
	compilerPackages = []string{"gcc", "libc6-dev"}
	examplePackages  = []string{"nodejs", "python3", "python3-requests"}
)

// canInstall tells why packages cannot be installed here; nil means that they can.
func canInstall() error {
	if os.Geteuid() != 0 {
		return errors.New("not running as root, so nothing was installed")
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return errors.New("there is no apt-get here, so nothing was installed")
	}
	return nil
}

// install gets Debian packages, and keeps their scripts from starting servers of their own.
func install(ctx context.Context, packages []string) error {
	fmt.Printf("==> Installing %s through apt-get (--no-install leaves them out)\n", strings.Join(packages, ", "))
	allow, err := forbidServices()
	if err != nil {
		return err
	}
	defer allow()
	environ := []string{"DEBIAN_FRONTEND=noninteractive"}
	if err := command(ctx, environ, "apt-get", "update", "--quiet").Run(); err != nil {
		return fmt.Errorf("apt-get update: %w", err)
	}
	argv := append([]string{"apt-get", "install", "--quiet", "--yes", "--no-install-recommends"}, packages...)
	if err := command(ctx, environ, argv...).Run(); err != nil {
		return fmt.Errorf("apt-get install: %w", err)
	}
	return nil
}

// forbidServices writes the policy that makes package scripts start nothing, unless there is one already. The returned
// function takes it away again.
func forbidServices() (allow func(), err error) {
	const policy = "/usr/sbin/policy-rc.d"
	file, err := os.OpenFile(policy, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if errors.Is(err, fs.ErrExist) {
		return func() {}, nil
	}
	if err != nil {
		return nil, err
	}
	_, err = file.WriteString("#!/bin/sh\nexit 101\n")
	return func() { _ = os.Remove(policy) }, errors.Join(err, file.Close())
}

// checkRace tells why the race detector cannot work here: outside macOS it needs a C compiler with its headers.
func checkRace(ctx context.Context) error {
	if runtime.GOOS == "darwin" {
		return nil
	}
	out, err := exec.CommandContext(ctx, "go", "env", "CC").Output()
	if err != nil {
		return fmt.Errorf("go env CC: %w", err)
	}
	cc := strings.Fields(string(out))
	probe := exec.CommandContext(ctx, cc[0], append(cc[1:], "-x", "c", "-o", os.DevNull, "-")...)
	probe.Stdin = strings.NewReader("#include <pthread.h>\nint main(void) { return 0; }\n")
	if out, err := probe.CombinedOutput(); err != nil {
		return fmt.Errorf("the race detector needs a C compiler, and %s does not work: %w %s", cc[0], err, out)
	}
	return nil
}

// checkExamples tells why the examples in other languages cannot run here.
func checkExamples(ctx context.Context) error {
	if out, err := exec.CommandContext(ctx, "node", "-e", "fetch").CombinedOutput(); err != nil {
		return fmt.Errorf("the JavaScript example needs node 18 or later: %w %s", err, out)
	}
	// Debian's own Python has Debian's packages, whatever else comes first in PATH.
	for _, python := range []string{"python3", "/usr/bin/python3"} {
		if exec.CommandContext(ctx, python, "-c", "import requests").Run() == nil {
			return nil
		}
	}
	return errors.New("the Python example needs python3 with the package requests")
}
