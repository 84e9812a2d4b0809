// Package e2e tests the whole suite as its users meet it: over HTTP, once as four services on PostgreSQL and RabbitMQ
// with two processes of each, and once as the one process of the embedded default.
package e2e
