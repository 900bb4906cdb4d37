// Package otlp sends spans to an OpenTelemetry collector: OTLP over HTTP in its JSON encoding, as every collector takes it on port
// 4318 at /v1/traces.
//
// It is an exporter of our own, because the official one brings gRPC and its descriptors into the program, which costs 5 MB of it and 3
// MB of memory also where nobody traces.
//
// Trace and span identifiers are made of the Call-ID of the caller's leg, so that proxy and sidecar tell one story without a header
// between them, and a record that is written twice has its spans once. Whether a call is in the sample follows from its trace
// identifier alone: proxy and sidecar take the same calls.
//
// Invariants: nobody is held up for a span, nor is anything else lost when the collector is; what finds the queue full, or what the
// collector takes at no try, is dropped and counted. No telephone number is in a span.
//
// Concurrency: one goroutine, Run, encodes and sends; Export, Wants and Stats are safe for concurrent use and never block.
package otlp
