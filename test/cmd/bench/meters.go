//go:build unix

package main

import "os"

// meter tells the processor time that a process and its descendants, but of this one only itself, take for 10,000
// requests.
type meter struct {
	pid    int
	before float64
	row    *row
}

// meters are those of everybody who works for a request.
type meters []*meter

// processes are those whose processor time calls to the license service take.
func (b *bench) processes() map[string]int {
	return map[string]int{
		"server": b.suite.Process("license").PID(), "load generator": os.Getpid(), "PostgreSQL": b.suite.Postgres.PID(),
		"RabbitMQ": b.suite.RabbitMQ.PID(),
	}
}

func (b *bench) meters(name string, pids map[string]int) (all meters) {
	for _, who := range []string{"server", "load generator", "PostgreSQL", "RabbitMQ", "analytics"} {
		if pid, ok := pids[who]; ok {
			all = append(all, &meter{pid: pid, row: b.info("  "+name+", CPU of "+who+" per 10,000", "s")})
		}
	}
	return all
}

func (all meters) begin() {
	for _, m := range all {
		m.before = m.read()
	}
}

func (all meters) end(requests int) {
	for _, m := range all {
		m.row.add((m.read() - m.before) / float64(max(requests, 1)) * 10_000)
	}
}

func (m *meter) read() float64 {
	if m.pid == os.Getpid() {
		_, _, own, _ := readStat("/proc/self/stat")
		return own
	}
	return cpuSeconds(m.pid)
}
