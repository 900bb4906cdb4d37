package otlp

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strconv"
	"strings"
	"time"
)

// TraceID names a trace, SpanID a span in it.
type (
	TraceID [16]byte
	SpanID  [8]byte
)

// TraceOf is the trace of a call, by the Call-ID of the caller's leg.
func TraceOf(callID string) (id TraceID) {
	sum := sha256.Sum256([]byte("signalbox trace\x00" + callID))
	copy(id[:], sum[:])
	return id
}

// SpanOf is a span that is found again: the parts say which of a trace's it is. RootOf has none.
func SpanOf(trace TraceID, parts ...string) (id SpanID) {
	sum := sha256.Sum256(append(trace[:], "\x00"+strings.Join(parts, "\x00")...))
	copy(id[:], sum[:])
	return id
}

// RootOf is the span of the INVITE with which a call came to the proxy; the sidecar's spans stand below it.
func RootOf(trace TraceID) SpanID { return SpanOf(trace, "INVITE request") }

// Kind says on which side of a request a span is; the values are OTLP's.
type Kind int

// The kinds.
const (
	Internal Kind = 1
	Server   Kind = 2
	Client   Kind = 3
)

// Span is something that took time.
type Span struct {
	Trace      TraceID
	ID         SpanID
	Parent     SpanID // zero = none
	Name       string
	Kind       Kind
	Start, End time.Time
	Attributes []Attribute
	Error      string // what went wrong; "" = nothing
}

// Attribute is one thing that is known of a span. Empty ones are left out.
type Attribute struct {
	Key    string
	text   string
	number int64
	kind   byte // 's', 'i'
}

// maxText bounds one attribute in bytes.
const maxText = 256

// Text is an attribute with a string.
func Text(key, value string) Attribute {
	return Attribute{Key: key, text: value[:min(len(value), maxText)], kind: 's'}
}

// Int is an attribute with a whole number; 0 is left out as empty.
func Int(key string, value int) Attribute {
	return Attribute{Key: key, number: int64(value), kind: 'i'}
}

func (a Attribute) empty() bool { return a.text == "" && a.number == 0 }

// The JSON encoding of OTLP 1.x: identifiers in hex, 64-bit numbers as strings.
type (
	jsonRequest struct {
		ResourceSpans []jsonResourceSpans `json:"resourceSpans"`
	}
	jsonResourceSpans struct {
		Resource   jsonResource     `json:"resource"`
		ScopeSpans []jsonScopeSpans `json:"scopeSpans"`
	}
	jsonResource struct {
		Attributes []jsonAttribute `json:"attributes"`
	}
	jsonScopeSpans struct {
		Scope jsonScope  `json:"scope"`
		Spans []jsonSpan `json:"spans"`
	}
	jsonScope struct {
		Name    string `json:"name"`
		Version string `json:"version,omitempty"`
	}
	jsonSpan struct {
		TraceID    string          `json:"traceId"`
		SpanID     string          `json:"spanId"`
		Parent     string          `json:"parentSpanId,omitempty"`
		Name       string          `json:"name"`
		Kind       Kind            `json:"kind"`
		Start      string          `json:"startTimeUnixNano"`
		End        string          `json:"endTimeUnixNano"`
		Attributes []jsonAttribute `json:"attributes,omitempty"`
		Status     *jsonStatus     `json:"status,omitempty"`
	}
	jsonStatus struct {
		Message string `json:"message,omitempty"`
		Code    int    `json:"code"` // 2 = error
	}
	jsonAttribute struct {
		Key   string    `json:"key"`
		Value jsonValue `json:"value"`
	}
	jsonValue struct {
		String *string `json:"stringValue,omitempty"`
		Int    string  `json:"intValue,omitempty"`
	}
)

func (s *Span) json() jsonSpan {
	out := jsonSpan{
		TraceID: hex.EncodeToString(s.Trace[:]), SpanID: hex.EncodeToString(s.ID[:]), Name: s.Name, Kind: s.Kind,
		Start: nanos(s.Start), End: nanos(s.End), Attributes: jsonAttributes(s.Attributes),
	}
	if s.Parent != (SpanID{}) {
		out.Parent = hex.EncodeToString(s.Parent[:])
	}
	if s.Error != "" {
		out.Status = &jsonStatus{Message: s.Error[:min(len(s.Error), maxText)], Code: 2}
	}
	return out
}

func jsonAttributes(list []Attribute) (out []jsonAttribute) {
	for i := range list {
		switch a := &list[i]; {
		case a.empty():
		case a.kind == 'i':
			out = append(out, jsonAttribute{a.Key, jsonValue{Int: strconv.FormatInt(a.number, 10)}})
		default:
			out = append(out, jsonAttribute{a.Key, jsonValue{String: &a.text}})
		}
	}
	return out
}

func nanos(t time.Time) string { return strconv.FormatInt(t.UnixNano(), 10) }

// sampled says whether a trace is among the share of all.
func sampled(id TraceID, share float64) bool {
	return share >= 1 || float64(binary.BigEndian.Uint64(id[:8])>>11) < share*(1<<53)
}
