package bus

import "github.com/latchkey-dev/latchkey/proto/queues"

// QueueOf is the queue of a contract, with the default batches.
func QueueOf(q queues.Queue) Queue {
	return Queue{Name: q.Name, Types: q.Types, SingleActive: q.SingleActive, MaxBytes: q.MaxBytes}
}

// AllQueues are the durable queues of the suite.
func AllQueues() []Queue {
	var all []Queue
	for _, q := range queues.All() {
		all = append(all, QueueOf(q))
	}
	return all
}
