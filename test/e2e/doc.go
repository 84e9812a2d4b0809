// Package e2e tests the whole suite as its users meet it: over HTTP, once as four services on PostgreSQL and RabbitMQ
// with two processes of each, and once as the one process of the embedded default. The client
// programs of testdata are run by examples_test.go (our API) and by the tests of the dialects (licensespring_test.go,
// spectra_test.go, delegated_test.go).
package e2e
