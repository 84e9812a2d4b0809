package obs

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics is the registry of one service. Never label anything by key, license or path: only by what the program itself
// names.
type Metrics struct {
	registry *prometheus.Registry
	service  *recorder
	requests *prometheus.HistogramVec
	errors   *prometheus.CounterVec
}

// NewMetrics returns a registry whose metrics carry the label service, with the collectors of the Go runtime, the
// process and the build, and those that Requests and Error observe.
func NewMetrics(service string) *Metrics {
	registry := prometheus.NewRegistry()
	m := &Metrics{
		registry: registry,
		service: &recorder{
			Registerer: prometheus.WrapRegistererWith(prometheus.Labels{"service": service}, registry),
		},
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "latchkey_http_request_duration_seconds",
			Help:    "Time to answer a request, by route template, method and class of status.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"method", "route", "status"}),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "latchkey_http_errors_total",
			Help: "Requests that were answered with an error, by its error_code: rate limits, refusals of licenses, " +
				"bad input.",
		}, []string{"error_code"}),
	}
	build := ReadBuild()
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "latchkey_build_info",
		Help: "Always 1; the labels say which program this is.",
		ConstLabels: prometheus.Labels{
			"version": build.Version, "commit": build.Commit, "date": build.Date, "go": build.Go,
		},
	})
	info.Set(1)
	process := collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})
	m.service.MustRegister(m.requests, m.errors, info)
	m.service.Registerer.MustRegister(collectors.NewGoCollector(), process)
	return m
}

// Registerer takes the service's own metrics.
func (m *Metrics) Registerer() prometheus.Registerer { return m.service }

// Handler answers in the Prometheus text format.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

var classes = [...]string{"0xx", "1xx", "2xx", "3xx", "4xx", "5xx"}

// Requests takes the seconds of requests that ended the same way. route is the template, never the path that was asked
// for. Callers keep what they get: finding it takes longer than observing.
func (m *Metrics) Requests(method, route string, status int) prometheus.Observer {
	return m.requests.WithLabelValues(method, route, classes[min(status/100, len(classes)-1)])
}

// Error counts a request that was answered with an error. code is one that the program names.
func (m *Metrics) Error(code string) { m.errors.WithLabelValues(code).Inc() }
