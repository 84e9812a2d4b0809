package obs

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// Description is what people read about a metric. All metrics have the label service besides.
type Description struct {
	Name, Help string
	Labels     []string
}

// Type is the Prometheus type, which follows from the name.
func (d Description) Type() string {
	switch {
	case strings.HasSuffix(d.Name, "_total"):
		return "counter"
	case strings.HasSuffix(d.Name, "_duration_seconds"):
		return "histogram"
	}
	return "gauge"
}

// Descriptions are the metrics of the service by name, also those that have counted nothing yet. Those of the Go
// runtime and of the process, which client_golang documents, are not among them.
func (m *Metrics) Descriptions() []Description {
	var all []Description
	for _, d := range m.service.descs {
		all = append(all, describe(d))
	}
	slices.SortFunc(all, func(a, b Description) int { return cmp.Compare(a.Name, b.Name) })
	return slices.CompactFunc(all, func(a, b Description) bool { return a.Name == b.Name })
}

// recorder remembers what is registered, because a registry shows only what has counted something.
type recorder struct {
	prometheus.Registerer
	descs []*prometheus.Desc
}

// MustRegister implements prometheus.Registerer.
func (r *recorder) MustRegister(all ...prometheus.Collector) {
	r.Registerer.MustRegister(all...)
	for _, c := range all {
		found := make(chan *prometheus.Desc)
		go func() { c.Describe(found); close(found) }()
		for d := range found {
			r.descs = append(r.descs, d)
		}
	}
}

// What a prometheus.Desc says of itself when it is printed; it cannot be read in another way.
var (
	descName   = regexp.MustCompile(`fqName: ("[^"]*")`)
	descHelp   = regexp.MustCompile(`help: ("(?:[^"\\]|\\.)*")`)
	descConst  = regexp.MustCompile(`constLabels: \{([^}]*)\}`)
	descLabels = regexp.MustCompile(`variableLabels: \{([^}]*)\}`)
	// constLabel is the name of one of descConst.
	constLabel = regexp.MustCompile(`(\w+)="`)
)

func describe(d *prometheus.Desc) Description {
	text := d.String()
	part := func(of *regexp.Regexp) string {
		found := of.FindStringSubmatch(text)
		if found == nil {
			panic("obs: cannot be read: " + text)
		}
		return found[1]
	}
	unquoted := func(s string) string { s, _ = strconv.Unquote(s); return s }
	made := Description{Name: unquoted(part(descName)), Help: unquoted(part(descHelp))}
	for _, label := range constLabel.FindAllStringSubmatch(part(descConst), -1) {
		made.Labels = append(made.Labels, label[1])
	}
	if names := part(descLabels); names != "" {
		made.Labels = append(made.Labels, strings.Split(names, ",")...)
	}
	return made
}
