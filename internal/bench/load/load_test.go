package load

import (
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/bench/sipp"
)

func TestHistogramTellsQuantiles(t *testing.T) {
	const text = "# TYPE x histogram\nx_bucket{le=\"0.001\"} %\nx_bucket{le=\"0.005\"} 198\nx_bucket{le=\"+Inf\"} 200\nx_sum 1\nx_count 200\ny 3\n"
	before, err := readHistogram(strings.NewReplacer("%", "0", "198", "0", "200", "0").Replace(text), "x")
	if err != nil {
		t.Fatal(err)
	}
	h, err := readHistogram(strings.Replace(text, "%", "120", 1), "x")
	if err != nil {
		t.Fatal(err)
	}
	h = h.since(before)
	for q, want := range map[float64]time.Duration{0.5: time.Millisecond, 0.99: 5 * time.Millisecond, 0.999: math.MaxInt64} {
		if got := h.quantile(q); got != want {
			t.Errorf("%v: %s, want %s", q, got, want)
		}
	}
	if _, err := readHistogram(text, "z"); err == nil {
		t.Error("a histogram that is not there was read")
	}
}

func TestProcessIsLookedAt(t *testing.T) {
	p, err := subject{name: "ourselves", pid: os.Getpid()}.look(t.Context())
	if err != nil || p.files < 3 || p.resident < 1<<20 {
		t.Errorf("%+v, %v", p, err)
	}
}

// quiet is a report of a run in which all goals were met.
func quiet() *Report {
	rest := []sample{{goroutines: 20, files: 20, heap: 5 << 20}, {goroutines: 15, files: 12, heap: 4 << 20}, {}}
	r := &Report{Options: Options{FreeSWITCH: "freeswitch"}, calls: sipp.Tally{Created: 100, Good: 100}, before: rest, after: slices.Clone(rest), took: 40 * time.Second,
		opened: openings{first: histogram{0.001: 50, 0.005: 99, math.Inf(1): 100}, profile: histogram{0.001: 100, math.Inf(1): 100}}, asked: []string{"_sip._udp.vm SRV udp"}}
	for i := range 40 {
		used := time.Duration(i) * time.Second
		r.during = append(r.during, moment{at: used, seen: []sample{{resident: 50 << 20, cpu: used / 100}, {resident: 30 << 20, cpu: used / 50}, {cpu: used / 2}}})
	}
	return r
}

// TestEveryGoalCanBeMissed: a goal that no run can miss is none.
func TestEveryGoalCanBeMissed(t *testing.T) {
	for _, v := range quiet().verdicts() {
		if !v.met {
			t.Errorf("a good run misses %s: %s", v.what, v.got)
		}
	}
	for what, spoil := range map[string]func(r *Report){
		"calls that failed":                               func(r *Report) { r.calls.Failed = 1 },
		"sidecar: goroutines at rest":                     func(r *Report) { r.after[sidecar].goroutines += 10 },
		"sidecar: open files at rest":                     func(r *Report) { r.after[sidecar].files += 10 },
		"sidecar: heap at rest, collected":                func(r *Report) { r.after[sidecar].heap += 3 << 20 },
		"proxy: goroutines at rest":                       func(r *Report) { r.after[proxy].goroutines += 10 },
		"proxy: resident memory under load":               func(r *Report) { grow(r, proxy) },
		"sidecar: connect to first command, p99":          func(r *Report) { r.opened.first[0.005] = 98 },
		"sidecar: look-up of the subscriber, p99":         func(r *Report) { r.opened.profile[0.001] = 98 },
		"DNS: the most often that one question was asked": func(r *Report) { r.asked = slices.Repeat(r.asked, 22) },
		"sidecar: processor time beside FreeSWITCH's":     func(r *Report) { r.during[39].seen[sidecar].cpu = 10 * time.Second },
	} {
		r := quiet()
		spoil(r)
		var missed []string
		for _, v := range r.verdicts() {
			if !v.met {
				missed = append(missed, v.what)
			}
		}
		if !slices.Equal(missed, []string{what}) {
			t.Errorf("%s: missed are %q", what, missed)
		}
	}
}

func grow(r *Report, process int) {
	for i := range r.during {
		r.during[i].seen[process].resident += uint64(i) << 20
	}
}

func TestCallersTalkAndTheSystemGreetsWhenAsked(t *testing.T) {
	for _, greeting := range []time.Duration{0, 8 * time.Second} {
		dir := t.TempDir()
		scenarios, err := talking(dir, scenarioFiles(), greeting)
		if err != nil {
			t.Fatal(err)
		}
		for name, times := range map[string]string{"caller.xml": "-1", "voicemail.xml": "8"} {
			silent := name == "voicemail.xml" && greeting == 0
			got, err := fs.ReadFile(scenarios, name)
			speaks := strings.Contains(string(got), "m=audio [rtpstream_audio_port] ") &&
				strings.Contains(string(got), `rtp_stream="`+filepath.Join(dir, "voice.ulaw")+`,`+times+`,0,PCMU/8000"`)
			if err != nil || speaks == silent {
				t.Errorf("greeting of %s: %s speaks %v, %v", greeting, name, speaks, err)
			}
		}
		if _, err := fs.Stat(scenarios, "rings.xml"); err != nil {
			t.Error(err)
		}
	}
}

func TestEverySubscriberIsCalledOnce(t *testing.T) {
	s := &stand{o: Options{Subscribers: 500}, dir: t.TempDir()}
	if err := s.writeNumbers(); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(s.dir, "numbers.csv"))
	if err != nil {
		t.Fatal(err)
	}
	called := make(map[string]bool)
	for line := range strings.Lines(string(raw)) {
		number, _, ok := strings.Cut(line, ";")
		called[number] = called[number] || ok
	}
	for i := range 500 {
		if !called[calledNumber(i)] {
			t.Fatalf("nobody calls %s", calledNumber(i))
		}
	}
}

func TestConfigurationTellsMuchAndWritesLittle(t *testing.T) {
	got := configure("region: DE\nhttp: {listen: \"127.0.0.1:0\"}\nlog: {level: debug, format: console}\n", [2]string{"127.0.0.1:1", "127.0.0.1:2"})
	if want := "region: DE\nhttp: {listen: \"127.0.0.1:1\", proxy_listen: \"127.0.0.1:2\", pprof: true}\nlog: {level: warn, format: json}\n"; got != want {
		t.Errorf("got %s", got)
	}
}
