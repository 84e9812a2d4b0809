//go:build unix

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// cpuSeconds is the processor time that a process and its descendants have used; 0 where there is no /proc.
func cpuSeconds(pid int) float64 {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is well formed
	used, children := map[int]float64{}, map[int][]int{}
	for _, file := range stats {
		if id, parent, seconds, ok := readStat(file); ok {
			used[id] = seconds
			children[parent] = append(children[parent], id)
		}
	}
	sum, queue := 0.0, []int{pid}
	for len(queue) > 0 {
		next := queue[0]
		sum += used[next]
		queue = append(queue[1:], children[next]...)
	}
	return sum
}

// readStat reads the fields of /proc/<pid>/stat that matter here; see proc(5).
func readStat(file string) (pid, parent int, seconds float64, ok bool) {
	const ticksPerSecond = 100 // USER_HZ, the same on every Linux
	raw, err := os.ReadFile(file)
	if err != nil {
		return 0, 0, 0, false // it has ended
	}
	head, rest, _ := strings.Cut(string(raw), " (")
	rest = rest[strings.LastIndex(rest, ")")+1:] // the name may hold anything
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, 0, 0, false
	}
	pid, _ = strconv.Atoi(head)
	parent, _ = strconv.Atoi(fields[1])
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return pid, parent, float64(user+system) / ticksPerSecond, true
}

// residentMB is the memory that a process has in use; 0 where there is no /proc.
func residentMB(pid int) float64 {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(raw)) {
		if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kB, _ := strconv.Atoi(strings.Fields(value)[0])
			return float64(kB) / 1024
		}
	}
	return 0
}
