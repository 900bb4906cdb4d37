package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Rooms counts what happens in conferences.
type Rooms struct {
	opened, closed, entered, fetched, dropped *prometheus.CounterVec
	announced                                 prometheus.Counter
	people                                    prometheus.Counter
	waited                                    prometheus.Histogram
}

// NewRooms registers the metrics of conferences.
func NewRooms(reg prometheus.Registerer) *Rooms {
	counter := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, []string{label})
	}
	r := &Rooms{
		opened:  counter("conferences_opened_total", "Conferences that were made, by who had them made.", "kind"),
		closed:  counter("conferences_closed_total", "Conferences that are over, by why.", "reason"),
		entered: counter("conference_entries_total", "Callers who asked to come into a conference, by what became of it.", "result"),
		fetched: counter("conference_host_calls_total", "Calls to hosts to come into their conference, by how they ended.", "result"),
		dropped: counter("conference_dropped_total", "What found no room in a queue of conferences.", "kind"),
		announced: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: namespace, Name: "conference_announcements_total", Help: "Announcements in conferences.",
		}),
		people: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: namespace, Name: "conference_announced_people_total", Help: "People of whom announcements in conferences told.",
		}),
		waited: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: namespace, Name: "conference_announcement_wait_seconds", Help: "How long the first person of an announcement waited to be named.",
			Buckets: []float64{0.25, 0.5, 1, 2, 4, 8, 16},
		}),
	}
	reg.MustRegister(r.opened, r.closed, r.entered, r.fetched, r.dropped, r.announced, r.people, r.waited)
	return r
}

// Opened and the other methods are those of rooms.Meter.
func (r *Rooms) Opened(by string) { r.opened.WithLabelValues(by).Inc() }

// Closed counts a room that is over.
func (r *Rooms) Closed(why string) { r.closed.WithLabelValues(why).Inc() }

// Entered counts a request to come in.
func (r *Rooms) Entered(result string) { r.entered.WithLabelValues(result).Inc() }

// Fetched counts a call to a host.
func (r *Rooms) Fetched(result string) { r.fetched.WithLabelValues(result).Inc() }

// Dropped counts what was lost.
func (r *Rooms) Dropped(what string) { r.dropped.WithLabelValues(what).Inc() }

// Announced counts an announcement.
func (r *Rooms) Announced(people int, waited time.Duration) {
	r.announced.Inc()
	r.people.Add(float64(people))
	r.waited.Observe(waited.Seconds())
}
