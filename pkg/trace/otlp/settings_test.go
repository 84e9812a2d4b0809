package otlp

import (
	"strings"
	"testing"
)

const to = "OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318"

func TestSettings(t *testing.T) {
	http := settings{on: true, protocol: protocolHTTP, ratio: 1, queue: 2048}
	sampled, grpc, off := http, http, http
	sampled.ratio, grpc.protocol, off.on = 0.01, protocolGRPC, false
	none := http
	none.ratio = 0
	for name, tt := range map[string]struct {
		environ []string
		want    settings
	}{
		"nothing is set":    {nil, off},
		"empty":             {[]string{"OTEL_EXPORTER_OTLP_ENDPOINT="}, off},
		"a collector":       {[]string{to}, http},
		"one for traces":    {[]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=https://a/v1/traces"}, http},
		"the usual address": {[]string{"OTEL_TRACES_EXPORTER=otlp"}, http},
		"switched off":      {[]string{to, "OTEL_TRACES_EXPORTER=none"}, off},
		"SDK switched off":  {[]string{to, "OTEL_SDK_DISABLED=true", "OTEL_TRACES_SAMPLER=always_on"}, off},
		"gRPC":              {[]string{to, "OTEL_EXPORTER_OTLP_PROTOCOL=grpc"}, grpc},
		"gRPC, not for this": {[]string{to, "OTEL_EXPORTER_OTLP_PROTOCOL=grpc",
			"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/protobuf"}, http},
		"one in a hundred": {[]string{to, "OTEL_TRACES_SAMPLER=traceidratio", "OTEL_TRACES_SAMPLER_ARG=0.01"}, sampled},
		"the same": {[]string{to, "OTEL_TRACES_SAMPLER=parentbased_traceidratio",
			"OTEL_TRACES_SAMPLER_ARG=0.01"}, sampled},
		"a ratio of all": {[]string{to, "OTEL_TRACES_SAMPLER=traceidratio"}, http},
		"no request":     {[]string{to, "OTEL_TRACES_SAMPLER=parentbased_always_off"}, none},
		"of others": {[]string{to, "OTEL_METRICS_EXPORTER=nonsense", "OTEL_LOGS_EXPORTER=otlp", "OTEL_POD_IP=10.0.0.1",
			"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=x"}, http},
		"of everybody": {[]string{"OTEL_SERVICE_NAME=a", "OTEL_RESOURCE_ATTRIBUTES=a=b,c=d",
			"OTEL_PROPAGATORS=tracecontext,baggage", "OTEL_EXPORTER_OTLP_PROTOCOL=grpc"}, func() settings {
			s := off
			s.protocol = protocolGRPC
			return s
		}()},
	} {
		if got, err := load(tt.environ); got != tt.want || err != nil {
			t.Errorf("%s: got %+v, %v, want %+v", name, got, err, tt.want)
		}
	}
}

// Each mistake is told in a line that begins with the variable and shows no value, which may be a secret.
func TestNonsenseIsRefused(t *testing.T) {
	for set, want := range map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT=secret:4318":          "must be a URL such as http://collector:4318",
		"OTEL_EXPORTER_OTLP_ENDPOINT=ftp://secret":         "must be a URL such as",
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://:4318":         "must be a URL such as",
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://a:99999":       "must have a port from 1 to 65535",
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://u:secret@a":    "must not have a user or a password",
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://a/?secret":     "must end after its path",
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://a/v1/traces":   "must not end in /v1/traces",
		"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://a:4318": "needs a path, usually /v1/traces",
		"OTEL_EXPORTER_OTLP_PROTOCOL=http/json":            "must be http/protobuf or grpc",
		"OTEL_EXPORTER_OTLP_HEADERS=secret":                "must be name=value pairs",
		"OTEL_EXPORTER_OTLP_HEADERS=a=%zzsecret":           "percent-encoded",
		"OTEL_EXPORTER_OTLP_TIMEOUT=10s":                   "must be a whole number",
		"OTEL_EXPORTER_OTLP_COMPRESSION=zip":               "must be gzip or none",
		"OTEL_EXPORTER_OTLP_INSECURE=false":                "contradicts the endpoint",
		"OTEL_EXPORTER_OTLP_CERTIFICATE=/nowhere.pem":      "cannot be read",
		"OTEL_EXPORTER_OTLP_CLIENT_KEY=/nowhere.pem":       "is missing beside OTEL_EXPORTER_OTLP_CLIENT_KEY",
		"OTEL_TRACES_EXPORTER=jaeger":                      "must be otlp or none",
		"OTEL_TRACES_SAMPLER=sometimes":                    "must be always_on, always_off, traceidratio",
		"OTEL_TRACES_SAMPLER_ARG=0.5":                      "has no effect without OTEL_TRACES_SAMPLER=",
		"OTEL_TRACES_SAMPLER_ARG=1%":                       "must be a number from 0 to 1",
		"OTEL_TRACES_SAMPLER_ARG=NaN":                      "must be a number from 0 to 1",
		"OTEL_TRACE_SAMPLER=always_on":                     "did you mean OTEL_TRACES_SAMPLER?",
		"OTEL_TRACES_COLOR=red":                            "there is no such setting",
		"OTEL_PROPAGATORS=b3":                              "must be tracecontext",
		"OTEL_PROPAGATORS=baggage":                         "must name tracecontext",
		"OTEL_SDK_DISABLED=yes":                            "must be true or false",
		"OTEL_BSP_MAX_QUEUE_SIZE=-1":                       "must be a whole number",
		"OTEL_RESOURCE_ATTRIBUTES=secret":                  "must be name=value pairs",
	} {
		_, err := load([]string{to, set})
		name, _, _ := strings.Cut(set, "=")
		if err == nil || !strings.HasPrefix(err.Error(), name) &&
			!strings.HasPrefix(err.Error(), "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE") ||
			!strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", set, err)
		}
	}
	for _, set := range []string{"OTEL_TRACES_SAMPLER=always_on", "OTEL_BSP_SCHEDULE_DELAY=10"} {
		if _, err := load([]string{set}); err == nil || !strings.Contains(err.Error(), "traces are sent nowhere") {
			t.Errorf("%s without a collector: %v", set, err)
		}
	}
}
