//go:build unix

package suite

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// clockVariable names the file that a program of Options.Clocks reads its clock's error from.
const clockVariable = "SUITE_CLOCK"

// shiftSource joins package time of such a program. The file is mapped into its memory, so that its time of day jumps
// at the moment when the file changes; monotonic time and timers go on, as they do when the clock of a host is set.
const shiftSource = `package time

import (
	"sync/atomic"
	"syscall"
	"unsafe"
)

var shift = mapped("` + clockVariable + `")

func mapped(variable string) *int64 {
	path, set := syscall.Getenv(variable)
	if !set {
		return new(int64)
	}
	file, err := syscall.Open(path, syscall.O_RDONLY, 0)
	if err != nil {
		panic(path + ": " + err.Error())
	}
	page, err := syscall.Mmap(file, 0, 8, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		panic(path + ": " + err.Error())
	}
	return (*int64)(unsafe.Pointer(&page[0]))
}

func shifted() int64 { return atomic.LoadInt64(shift) }
`

const (
	unshifted  = "sec, nsec, mono := runtimeNow()\n"
	shiftedNow = unshifted + "\tsec += shifted()\n"
)

// overlay has the compiler take a package time whose Now the suite can set. What it writes is below dir; it returns the
// flag for go build. No source of the product knows of it.
func overlay(ctx context.Context, dir string) (flag string, err error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return "", err
	}
	folder := filepath.Join(strings.TrimSpace(string(out)), "src", "time")
	source, err := os.ReadFile(filepath.Join(folder, "time.go"))
	if err != nil {
		return "", err
	}
	if bytes.Count(source, []byte(unshifted)) != 1 {
		return "", errors.New("package time of this version of Go reads the clock in another way: see shiftedNow")
	}
	source = bytes.Replace(source, []byte(unshifted), []byte(shiftedNow), 1)
	replaced := map[string]string{}
	for name, content := range map[string][]byte{"time.go": source, "shift.go": []byte(shiftSource)} {
		path := filepath.Join(dir, name)
		replaced[filepath.Join(folder, name)] = path
		err = errors.Join(err, os.WriteFile(path, content, 0o644))
	}
	list, failed := json.Marshal(map[string]any{"Replace": replaced})
	path := filepath.Join(dir, "overlay.json")
	return "-overlay=" + path, errors.Join(err, failed, os.WriteFile(path, list, 0o644))
}

// clockFile is what the process of Options.Clocks reads.
func (p *Process) clockFile() string { return filepath.Join(p.group.Dir, p.Name+".clock") }

// SetClock has the clock of the process go so much before the right time, to the second; less than nothing is behind
// it. It needs Options.Clocks.
func (p *Process) SetClock(ahead time.Duration) error {
	seconds := binary.NativeEndian.AppendUint64(nil, uint64(int64(ahead/time.Second)))
	file, err := os.OpenFile(p.clockFile(), os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	_, err = file.WriteAt(seconds, 0) // in its place: other processes have it in their memory
	return errors.Join(err, file.Close())
}

// SetClocks is SetClock of every process, as if all were on one host.
func (s *Suite) SetClocks(ahead time.Duration) error {
	var errs []error
	for _, p := range s.Processes {
		errs = append(errs, p.SetClock(ahead))
	}
	return errors.Join(errs...)
}
