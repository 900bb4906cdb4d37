package load

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The sidecar's histograms of how its calls began.
const (
	metricConnect = "signalbox_sidecar_connect_seconds"       // FreeSWITCH's answer to connect
	metricFirst   = "signalbox_sidecar_first_command_seconds" // from there to our first command
	metricProfile = "signalbox_sidecar_profile_seconds"       // the subscriber's profile is looked up
)

// histogram is one of Prometheus's: how many values were at most each bound, in seconds.
type histogram map[float64]uint64

// openings are the three.
type openings struct{ connect, first, profile histogram }

// openings asks the sidecar.
func (s *stand) openings(ctx context.Context) (o openings, err error) {
	text, err := s.subjects[sidecar].get(ctx, "/metrics")
	if err != nil {
		return o, err
	}
	if o.connect, err = readHistogram(text, metricConnect); err != nil {
		return o, err
	}
	if o.first, err = readHistogram(text, metricFirst); err != nil {
		return o, err
	}
	o.profile, err = readHistogram(text, metricProfile, `result="found",`)
	return o, err
}

// readHistogram reads one from Prometheus's text format, with labels as they stand before le.
func readHistogram(text, name string, labels ...string) (histogram, error) {
	h := histogram{}
	for line := range strings.Lines(text) {
		rest, ok := strings.CutPrefix(line, name+"_bucket{"+strings.Join(labels, "")+`le="`)
		if !ok {
			continue
		}
		bound, count, ok := strings.Cut(strings.TrimSpace(rest), `"} `)
		if !ok {
			return nil, fmt.Errorf("/metrics: %s", line)
		}
		le, err := strconv.ParseFloat(bound, 64)
		if err != nil {
			return nil, fmt.Errorf("/metrics: %s: %w", name, err)
		}
		n, err := strconv.ParseFloat(count, 64)
		if err != nil {
			return nil, fmt.Errorf("/metrics: %s: %w", name, err)
		}
		h[le] = uint64(n)
	}
	if len(h) == 0 {
		return nil, fmt.Errorf("/metrics has no %s", name)
	}
	return h, nil
}

// since takes an earlier state off.
func (o openings) since(before openings) openings {
	return openings{o.connect.since(before.connect), o.first.since(before.first), o.profile.since(before.profile)}
}

func (h histogram) since(before histogram) histogram {
	out := histogram{}
	for le, n := range h {
		out[le] = n - before[le]
	}
	return out
}

func (h histogram) count() uint64 { return h[math.Inf(1)] }

// quantile gives the lowest bound that at least this part of the values is within.
func (h histogram) quantile(q float64) time.Duration {
	for _, le := range slices.Sorted(maps.Keys(h)) {
		if float64(h[le]) >= q*float64(h.count()) {
			if math.IsInf(le, 1) {
				break
			}
			return time.Duration(le * float64(time.Second))
		}
	}
	return math.MaxInt64
}

func bound(d time.Duration) string {
	if d == math.MaxInt64 {
		return "more than the histogram knows"
	}
	return "≤ " + d.String()
}
