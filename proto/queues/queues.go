// Package queues is the contract of the durable queues on the exchange latchkey.events. All of them exist before
// the first event is published, so that one published before its consumer ever ran is kept.
package queues

import (
	eventsv1 "github.com/latchkey-dev/latchkey/proto/gen/latchkey/events/v1"
)

// Queue is a durable queue and what is bound to it. All of it is fixed once the queue exists on a broker.
type Queue struct {
	Name string
	// Types are topic patterns: * stands for one word between dots, # for any number of them.
	Types []string
	// SingleActive lets one consumer work at a time, in all processes together.
	SingleActive bool
	// MaxBytes bounds what waits; beyond it publishing fails and the outboxes wait.
	MaxBytes int64
}

// Analytics feeds the analytics service. One consumer at a time, because one process holds the detectors' state.
func Analytics() Queue {
	return Queue{
		Name:         "analytics.events",
		Types:        []string{"license.#", "device.#", eventsv1.TypeCustomerErased},
		SingleActive: true,
		MaxBytes:     1 << 30,
	}
}

// Audit feeds the audit log of the admin service.
func Audit() Queue {
	return Queue{Name: "admin.audit", Types: []string{eventsv1.TypeAuditRecorded}, MaxBytes: 1 << 30}
}

// Erasures tells a service whom its logs must forget: auth or admin. It is no part of Audit, which older programs
// consume: they would take its events for entries that cannot be read.
func Erasures(service string) Queue {
	return Queue{Name: service + ".erasures", Types: []string{eventsv1.TypeCustomerErased}, MaxBytes: 1 << 30}
}

// All are all of them.
func All() []Queue { return []Queue{Analytics(), Audit(), Erasures("admin"), Erasures("auth")} }
