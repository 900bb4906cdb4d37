// Package telemetry tells an operator how a running Signalbox is: /healthz, /readyz and /metrics on a listener of their own.
//
// Metrics live in a registry of this package, never in the default one of the Prometheus library. The libraries esl and
// sipproxy know nothing of Prometheus: they count, and what they have counted is read when somebody scrapes. A label is a
// word out of a short list or the name of a configured node; never a number, a Call-ID or anything else a caller chooses.
// docs/metrics.md lists every metric, and a test holds the two together.
//
// A Check asks one part of the process how it is. Checks run when somebody asks, all at once, each within its time; a check
// that hangs is a failed one and is not started a second time. Everything here is safe for concurrent use; Server.Run owns
// the goroutines of the listener.
package telemetry
