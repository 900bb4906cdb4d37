package telemetry

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"

	"github.com/goccy/go-yaml"
)

// known are the metrics that expressions may use: by the name that stands in them, the labels, and whether it only rises.
type known map[string]struct {
	labels []string
	rises  bool
}

func knownMetrics(t *testing.T) known {
	t.Helper()
	families, err := everything(t).Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := known{"up": {labels: []string{"job", "instance"}}} // Prometheus' own
	for _, f := range families {
		labels := []string{"job", "instance"} // what Prometheus adds
		for _, l := range f.GetMetric()[0].GetLabel() {
			labels = append(labels, l.GetName())
		}
		entry := out[f.GetName()]
		entry.labels, entry.rises = labels, f.GetType() == dto.MetricType_COUNTER
		if f.GetType() != dto.MetricType_HISTOGRAM {
			out[f.GetName()] = entry
			continue
		}
		entry.rises = true
		out[f.GetName()+"_sum"], out[f.GetName()+"_count"] = entry, entry
		entry.labels = append(slices.Clone(labels), "le")
		out[f.GetName()+"_bucket"] = entry
	}
	return out
}

var (
	metricUse  = regexp.MustCompile(`(\w+\()?\b((?:signalbox_\w+)|up)(?:\{([^}]*)\})?(\[)?`)
	matcher    = regexp.MustCompile(`(\w+)\s*(?:=~|!~|!=|=)`)
	grouping   = regexp.MustCompile(`\b(?:by|on|without|ignoring)\s*\(([^)]*)\)`)
	onCounters = []string{"rate(", "increase("}
)

// check says what is wrong with an expression.
func (k known) check(t *testing.T, where, expr string) {
	t.Helper()
	var labels []string
	uses := metricUse.FindAllStringSubmatch(expr, -1)
	if len(uses) == 0 {
		t.Errorf("%s uses no metric: %s", where, expr)
	}
	for _, use := range uses {
		m, ok := k[use[2]]
		if !ok {
			t.Errorf("%s uses %s, which there is not", where, use[2])
			continue
		}
		labels = append(labels, m.labels...)
		for _, l := range matcher.FindAllStringSubmatch(use[3], -1) {
			if !slices.Contains(m.labels, l[1]) {
				t.Errorf("%s asks %s for the label %s, which it has not", where, use[2], l[1])
			}
		}
		if slices.Contains(onCounters, use[1]) != m.rises && (use[4] != "" || m.rises) {
			t.Errorf("%s: %s is a rising one: %v, and stands in %q", where, use[2], m.rises, use[1])
		}
	}
	for _, g := range grouping.FindAllStringSubmatch(expr, -1) {
		for _, l := range strings.Split(g[1], ",") {
			if !slices.Contains(labels, strings.TrimSpace(l)) {
				t.Errorf("%s groups by %s, which no metric in it has", where, l)
			}
		}
	}
	for _, pair := range []string{"()", "[]", "{}"} {
		if strings.Count(expr, pair[:1]) != strings.Count(expr, pair[1:]) {
			t.Errorf("%s: %s do not close: %s", where, pair, expr)
		}
	}
}

func TestTheAlertsUseMetricsThatExistAndSayWhatToDo(t *testing.T) {
	text, err := os.ReadFile("../../examples/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Name  string `yaml:"name"`
			Rules []struct {
				Alert       string            `yaml:"alert"`
				Expr        string            `yaml:"expr"`
				For         string            `yaml:"for"`
				Labels      map[string]string `yaml:"labels"`
				Annotations map[string]string `yaml:"annotations"`
			} `yaml:"rules"`
		} `yaml:"groups"`
	}
	if err := yaml.UnmarshalWithOptions(text, &file, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	k, seen := knownMetrics(t), map[string]bool{}
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			k.check(t, r.Alert, r.Expr)
			if seen[r.Alert] || !strings.HasPrefix(r.Alert, "Signalbox") {
				t.Errorf("the name %q", r.Alert)
			}
			seen[r.Alert] = true
			if s := r.Labels["severity"]; s != "critical" && s != "warning" {
				t.Errorf("%s is %q", r.Alert, s)
			}
			if r.Annotations["summary"] == "" || len(r.Annotations["description"]) < 40 {
				t.Errorf("%s does not say what to do", r.Alert)
			}
			runbook(t, r.Alert, r.Annotations["runbook_url"])
			for _, l := range regexp.MustCompile(`\$labels\.(\w+)`).FindAllStringSubmatch(r.Annotations["description"], -1) {
				if by := regexp.MustCompile(`by \(([^)]*)\)`).FindStringSubmatch(r.Expr); by != nil && !strings.Contains(by[1], l[1]) {
					t.Errorf("%s speaks of the label %s, which its expression drops", r.Alert, l[1])
				}
			}
		}
	}
	if len(seen) < 20 {
		t.Errorf("only %d alerts", len(seen))
	}
}

// runbook follows a link into docs/.
func runbook(t *testing.T, alert, url string) {
	t.Helper()
	page, ok := strings.CutPrefix(url, "https://github.com/signalbox/signalbox/blob/main/docs/")
	name, anchor, _ := strings.Cut(page, "#")
	text, err := os.ReadFile(filepath.Join("../../docs", name))
	if !ok || err != nil {
		t.Errorf("%s: runbook %s: %v", alert, url, err)
		return
	}
	if anchor == "" {
		return
	}
	for _, h := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(string(text), -1) {
		plain := regexp.MustCompile(`[^a-z0-9 -]`).ReplaceAllString(strings.ToLower(h[1]), "")
		if strings.ReplaceAll(plain, " ", "-") == anchor {
			return
		}
	}
	t.Errorf("%s: docs/%s has no heading #%s", alert, name, anchor)
}

func TestTheDashboardUsesMetricsThatExist(t *testing.T) {
	text, err := os.ReadFile("../../examples/grafana-dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var board any
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	k, n := knownMetrics(t), 0
	var walk func(where string, v any)
	walk = func(where string, v any) {
		switch v := v.(type) {
		case []any:
			for _, e := range v {
				walk(where, e)
			}
		case map[string]any:
			if title, ok := v["title"].(string); ok {
				where = title
			}
			if expr, ok := v["expr"].(string); ok {
				k.check(t, where, expr)
				n++
			}
			if query, ok := v["query"].(string); ok && strings.HasPrefix(query, "label_values(") {
				k.check(t, "a variable", query)
			}
			for _, e := range v {
				walk(where, e)
			}
		}
	}
	walk("the dashboard", board)
	if n < 30 {
		t.Errorf("only %d expressions", n)
	}
}
