package otlp

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/latchkey-dev/latchkey/pkg/config"
	"github.com/latchkey-dev/latchkey/pkg/nearest"
)

// The variables that this package itself reads.
const (
	envDisabled = "OTEL_SDK_DISABLED"
	envExporter = "OTEL_TRACES_EXPORTER"
	envSampler  = "OTEL_TRACES_SAMPLER"
	envRatio    = "OTEL_TRACES_SAMPLER_ARG"
	envQueue    = "OTEL_BSP_MAX_QUEUE_SIZE"

	// Each of these has a twin for traces alone, with TRACES_ before its last part, which wins.
	envEndpoint = "OTEL_EXPORTER_OTLP_ENDPOINT"
	envProtocol = "OTEL_EXPORTER_OTLP_PROTOCOL"
)

// The protocols.
const (
	protocolHTTP = "http/protobuf"
	protocolGRPC = "grpc"
)

// defaultQueue is how many spans wait at most to be sent.
const defaultQueue = 2048

// settings are what the environment says of traces.
type settings struct {
	on       bool
	protocol string
	ratio    float64
	queue    int
}

// Check joins what is wrong with the OTEL_ variables, each a *config.Problem. Those about metrics and logs are of no
// concern here.
func Check() error {
	_, err := load(os.Environ())
	return err
}

// load reads an environment.
func load(environ []string) (settings, error) {
	set := map[string]string{}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if value = strings.TrimSpace(value); strings.HasPrefix(name, "OTEL_") && value != "" {
			set[name] = value
		}
	}
	r := reader{set: set}
	r.checkNames()
	r.checkValues()
	s := r.settings()
	if len(r.problems) == 0 {
		r.checkTogether(s)
	}
	slices.SortFunc(r.problems, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return s, errors.Join(r.problems...)
}

// reader gathers what is wrong with the variables in set, of which none is empty.
type reader struct {
	set      map[string]string
	problems []error
}

func (r *reader) problem(name, format string, args ...any) {
	r.problems = append(r.problems, &config.Problem{Env: name, Text: fmt.Sprintf(format, args...)})
}

// ofOtherSignals are parts of the names of variables that say nothing of traces.
var ofOtherSignals = []string{"METRIC", "LOG", "BLRP", "EXEMPLAR", "PROMETHEUS"}

// ours are the beginnings of the names that nobody else takes.
var ours = []string{"OTEL_TRACES_", "OTEL_EXPORTER_OTLP_", "OTEL_BSP_", "OTEL_SPAN_"}

// checkNames finds typing errors. Names that nothing here resembles are left alone: operators of Kubernetes put some
// into every container.
func (r *reader) checkNames() {
	known := knownNames()
	for name := range r.set {
		if slices.Contains(known, name) ||
			slices.ContainsFunc(ofOtherSignals, func(part string) bool { return strings.Contains(name, part) }) {
			continue
		}
		near := nearest.Name(name, known)
		switch {
		case near != "":
			r.problem(name, "there is no such setting; did you mean %s?", near)
		case slices.ContainsFunc(ours, func(begin string) bool { return strings.HasPrefix(name, begin) }):
			r.problem(name, "there is no such setting; docs/operations.md lists those of traces")
		}
	}
}

// checkValues has each variable checked by itself.
func (r *reader) checkValues() {
	for name, check := range checks {
		for _, name := range []string{name, forTraces(name)} {
			if value := r.set[name]; value != "" {
				if why := check(value); why != "" {
					r.problem(name, "%s", why)
				}
			}
		}
	}
}

// checkTogether finds variables that have no effect beside, or without, others.
func (r *reader) checkTogether(s settings) {
	if r.disabled() {
		return
	}
	for name := range r.set {
		if !s.on && needsDestination(name) {
			r.problem(name, "has no effect, because traces are sent nowhere: set %s, or leave it out", envEndpoint)
		}
	}
	if sampler := r.set[envSampler]; r.set[envRatio] != "" && !strings.HasSuffix(sampler, "traceidratio") {
		r.problem(envRatio, "has no effect without %s=parentbased_traceidratio", envSampler)
	}
	r.checkEndpoint(s)
	r.checkTransport()
}

// checkEndpoint finds the paths that lead to nobody.
func (r *reader) checkEndpoint(s settings) {
	const path = "/v1/traces"
	if s.protocol != protocolHTTP {
		return
	}
	if strings.HasSuffix(strings.TrimRight(r.set[envEndpoint], "/"), path) {
		r.problem(envEndpoint, "must not end in %s, which is added to it", path)
	}
	if own := r.set[forTraces(envEndpoint)]; own != "" && withoutPath(own) {
		r.problem(forTraces(envEndpoint), "is used as it is, so it needs a path, usually %s", path)
	}
}

// checkTransport finds settings of TLS that contradict the endpoint or lack their other half.
func (r *reader) checkTransport() {
	endpoint := r.get(envEndpoint)
	for _, name := range []string{"OTEL_EXPORTER_OTLP_INSECURE", "OTEL_EXPORTER_OTLP_TRACES_INSECURE"} {
		if value := strings.ToLower(r.set[name]); value != "" &&
			(value == "true") != strings.HasPrefix(cmp.Or(endpoint, "http:"), "http:") {
			r.problem(name, "contradicts the endpoint, whose http:// or https:// says the same; leave it out")
		}
	}
	for _, begin := range []string{"OTEL_EXPORTER_OTLP_", "OTEL_EXPORTER_OTLP_TRACES_"} {
		certificate, key := begin+"CLIENT_CERTIFICATE", begin+"CLIENT_KEY"
		switch {
		case r.set[certificate] == "" && r.set[key] == "":
		case r.set[certificate] == "":
			r.problem(certificate, "is missing beside %s", key)
		case r.set[key] == "":
			r.problem(key, "is missing beside %s", certificate)
		default:
			if why := pairProblem(r.set[certificate], r.set[key]); why != "" {
				r.problem(certificate, "%s", why)
			}
		}
	}
}

func (r *reader) disabled() bool { return strings.EqualFold(r.set[envDisabled], "true") }

// get is the value of a variable that has a twin for traces.
func (r *reader) get(name string) string { return cmp.Or(r.set[forTraces(name)], r.set[name]) }

// settings are what the variables say; where they are wrong it does not matter.
func (r *reader) settings() settings {
	s := settings{protocol: cmp.Or(r.get(envProtocol), protocolHTTP), ratio: 1, queue: defaultQueue}
	exporter := r.set[envExporter]
	s.on = !r.disabled() && exporter != "none" && (exporter == "otlp" || r.get(envEndpoint) != "")
	if n, err := strconv.Atoi(r.set[envQueue]); err == nil {
		s.queue = n
	}
	// Callers from outside have no say, so it makes no difference whether a sampler is based on parents.
	switch strings.TrimPrefix(r.set[envSampler], "parentbased_") {
	case "always_off":
		s.ratio = 0
	case "traceidratio":
		if ratio, err := strconv.ParseFloat(r.set[envRatio], 64); err == nil {
			s.ratio = ratio
		}
	}
	return s
}
