package otlp

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
)

// checks are the variables that have an effect, each with what finds out what is wrong with its value; "" is fine. They
// never show the value.
var checks = map[string]func(value string) string{
	envDisabled: oneOf("true", "false"),
	envExporter: oneOf("otlp", "none"),
	envSampler: oneOf("always_on", "always_off", "traceidratio", "parentbased_always_on", "parentbased_always_off",
		"parentbased_traceidratio"),
	envRatio:                                checkRatio,
	envQueue:                                checkNumber,
	"OTEL_BSP_SCHEDULE_DELAY":               checkNumber,
	"OTEL_BSP_EXPORT_TIMEOUT":               checkNumber,
	"OTEL_BSP_MAX_EXPORT_BATCH_SIZE":        checkNumber,
	"OTEL_SERVICE_NAME":                     anything,
	"OTEL_RESOURCE_ATTRIBUTES":              checkPairs,
	"OTEL_PROPAGATORS":                      checkPropagators,
	envEndpoint:                             checkEndpoint,
	envProtocol:                             oneOf(protocolHTTP, protocolGRPC),
	"OTEL_EXPORTER_OTLP_HEADERS":            checkPairs,
	"OTEL_EXPORTER_OTLP_TIMEOUT":            checkNumber,
	"OTEL_EXPORTER_OTLP_COMPRESSION":        oneOf("gzip", "none"),
	"OTEL_EXPORTER_OTLP_INSECURE":           oneOf("true", "false"),
	"OTEL_EXPORTER_OTLP_CERTIFICATE":        checkCertificates,
	"OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": anything,
	"OTEL_EXPORTER_OTLP_CLIENT_KEY":         anything,

	"OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT":      checkNumber,
	"OTEL_ATTRIBUTE_COUNT_LIMIT":             checkNumber,
	"OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT": checkNumber,
	"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT":        checkNumber,
	"OTEL_SPAN_LINK_COUNT_LIMIT":             checkNumber,
}

// general are variables that others than this suite may want in every container.
var general = []string{envDisabled, envExporter, "OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES", "OTEL_PROPAGATORS"}

const prefixOTLP = "OTEL_EXPORTER_OTLP_"

// forTraces is the name of the twin of a variable, the same name where it has none.
func forTraces(name string) string {
	if rest, ok := strings.CutPrefix(name, prefixOTLP); ok {
		return prefixOTLP + "TRACES_" + rest
	}
	return name
}

func knownNames() (names []string) {
	for name := range checks {
		names = append(names, name)
		if twin := forTraces(name); twin != name {
			names = append(names, twin)
		}
	}
	slices.Sort(names)
	return names
}

// needsDestination tells of a variable that it is about traces alone, and has no effect where they go nowhere.
func needsDestination(name string) bool {
	return slices.Contains(knownNames(), name) && !slices.Contains(general, name) &&
		(!strings.HasPrefix(name, prefixOTLP) || strings.HasPrefix(name, prefixOTLP+"TRACES_"))
}

func anything(string) string { return "" }

func oneOf(words ...string) func(string) string {
	return func(value string) string {
		if slices.Contains(words, value) {
			return ""
		}
		last := len(words) - 1
		return "must be " + strings.Join(words[:last], ", ") + " or " + words[last]
	}
}

func checkRatio(value string) string {
	if ratio, err := strconv.ParseFloat(value, 64); err == nil && ratio >= 0 && ratio <= 1 {
		return ""
	}
	return "must be a number from 0 to 1, such as 0.01 for one request in a hundred"
}

func checkNumber(value string) string {
	if n, err := strconv.Atoi(value); err == nil && n > 0 && n <= 1_000_000 {
		return ""
	}
	return "must be a whole number from 1 to 1000000"
}

// checkPairs is for name=value pairs, which may hold secrets.
func checkPairs(value string) string {
	for _, pair := range strings.Split(value, ",") {
		name, text, ok := strings.Cut(pair, "=")
		if _, err := url.PathUnescape(text); !ok || strings.TrimSpace(name) == "" || err != nil {
			return "must be name=value pairs with commas between, values percent-encoded"
		}
	}
	return ""
}

// checkPropagators accepts the default of the specification, of which baggage is not used.
func checkPropagators(value string) string {
	names := strings.Split(value, ",")
	for _, name := range names {
		if name != "tracecontext" && name != "baggage" {
			return "must be tracecontext: services tell each other of traces by the header traceparent alone"
		}
	}
	if !slices.Contains(names, "tracecontext") {
		return "must name tracecontext"
	}
	return ""
}

func checkEndpoint(value string) string {
	u, err := url.Parse(value)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return "must be a URL such as http://collector:4318"
	case u.User != nil:
		return "must not have a user or a password; " + prefixOTLP + "HEADERS takes credentials"
	case u.RawQuery != "" || u.Fragment != "":
		return "must end after its path"
	}
	if port, err := strconv.Atoi(u.Port()); u.Port() != "" && (err != nil || port < 1 || port > 65535) {
		return "must have a port from 1 to 65535"
	}
	return ""
}

// withoutPath reports whether a URL ends after its host.
func withoutPath(endpoint string) bool {
	u, err := url.Parse(endpoint)
	return err == nil && strings.Trim(u.Path, "/") == ""
}

func checkCertificates(path string) string {
	pem, err := os.ReadFile(path)
	switch {
	case err != nil:
		return fmt.Sprintf("cannot be read: %v", err)
	case !x509.NewCertPool().AppendCertsFromPEM(pem):
		return "names a file without a certificate in PEM"
	}
	return ""
}

func pairProblem(certificate, key string) string {
	if _, err := tls.LoadX509KeyPair(certificate, key); err != nil {
		return fmt.Sprintf("is no certificate with its key: %v", err)
	}
	return ""
}
