// Package alerts tests the alerts and dashboards of deploy/observability with Prometheus' own engine. It is a module of
// its own, outside the workspace, so that what Prometheus needs chooses no version for the services.
package alerts
