package hep

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/signalbox/signalbox/sipproxy"
)

// Bounds and defaults of an Exporter.
const (
	DefaultQueue = 4096 // packets
	DefaultRate  = 5000 // packets a second, bursts of a second's worth
	maxHeader    = 512  // bytes of a correlation id
	dialTimeout  = 3 * time.Second
	writeTimeout = 2 * time.Second
	firstPause   = 500 * time.Millisecond // after a collector that cannot be reached; doubled up to lastPause
	lastPause    = 30 * time.Second
)

// Options of an Exporter.
type Options struct {
	Network   string // "udp" or "tcp"
	Addr      string // host:port of the collector, 9060 by convention
	CaptureID uint32 // tells this proxy apart in Homer
	Key       string // what the collector asks for; "" = nothing
	Queue     int
	Rate      float64
	Logger    *zap.Logger
}

// Stats are counts since New.
type Stats struct {
	Sent    uint64 // packets written
	Dropped uint64 // no room in the queue
	Limited uint64 // over the rate
	TooLong uint64 // do not fit into HEP3
	Failed  uint64 // could not be written, or were lost with a connection
}

// Exporter sends copies of messages to one collector.
type Exporter struct {
	o     Options
	log   *zap.Logger
	queue chan Packet

	// tokens is the bucket of the rate in nanoseconds: the time at which it would be empty.
	tokens atomic.Int64
	begin  time.Time

	sent, dropped, limited, tooLong, failed atomic.Uint64
}

// New checks the options. Nothing is opened before Run.
func New(o Options) (*Exporter, error) {
	if o.Network != "udp" && o.Network != "tcp" {
		return nil, fmt.Errorf("hep: network %q: write udp or tcp", o.Network)
	}
	if _, _, err := net.SplitHostPort(o.Addr); err != nil {
		return nil, fmt.Errorf("hep: collector %q: write HOST:PORT, 9060 is usual", o.Addr)
	}
	if o.Queue <= 0 {
		o.Queue = DefaultQueue
	}
	if o.Rate <= 0 {
		o.Rate = DefaultRate
	}
	e := &Exporter{o: o, log: o.Logger, queue: make(chan Packet, o.Queue), begin: time.Now()}
	if e.log == nil {
		e.log = zap.NewNop()
	}
	return e, nil
}

// Stats gives the counts.
func (e *Exporter) Stats() Stats {
	return Stats{Sent: e.sent.Load(), Dropped: e.dropped.Load(), Limited: e.limited.Load(), TooLong: e.tooLong.Load(), Failed: e.failed.Load()}
}

// Tap takes a message of the proxy. It copies it and returns at once.
func (e *Exporter) Tap(t sipproxy.Tapped) {
	now := time.Now()
	if !e.allow(now) {
		e.limited.Add(1)
		return
	}
	p := Packet{
		Transport: t.Transport, Source: t.Source, Destination: t.Destination, Time: now, CaptureID: e.o.CaptureID, Key: e.o.Key,
		Correlation: correlation(t.Raw), Payload: bytes.Clone(t.Raw),
	}
	select {
	case e.queue <- p:
	default:
		e.dropped.Add(1)
	}
}

// allow is a token bucket of one second's worth, as a virtual schedule: each packet moves the time at which the next one is due.
func (e *Exporter) allow(now time.Time) bool {
	cost := int64(float64(time.Second) / e.o.Rate)
	at := int64(now.Sub(e.begin))
	for {
		due := e.tokens.Load()
		if due > at+int64(time.Second) {
			return false
		}
		if e.tokens.CompareAndSwap(due, max(due, at)+cost) {
			return true
		}
	}
}

// correlation finds the id that joins the legs of a call: X-CID, else the Call-ID.
func correlation(raw []byte) string {
	var callID []byte
	for rest := raw; len(rest) > 0; {
		var line []byte
		line, rest, _ = bytes.Cut(rest, []byte("\n"))
		if line = bytes.TrimRight(line, "\r"); len(line) == 0 {
			break
		}
		name, value, ok := bytes.Cut(line, []byte(":"))
		if !ok {
			continue
		}
		switch name = bytes.TrimSpace(name); {
		case bytes.EqualFold(name, []byte("X-CID")):
			return clip(value)
		case callID == nil && (bytes.EqualFold(name, []byte("Call-ID")) || bytes.EqualFold(name, []byte("i"))):
			callID = value
		}
	}
	return clip(callID)
}

func clip(value []byte) string {
	value = bytes.TrimSpace(value)
	return string(value[:min(len(value), maxHeader)])
}

// Run sends until ctx ends, then what is in the queue, for a second at most. It returns nil.
func (e *Exporter) Run(ctx context.Context) error {
	var nc net.Conn
	defer func() {
		if nc != nil {
			_ = nc.Close()
		}
	}()
	pause, until := firstPause, time.Time{}
	var buf []byte
	send := func(p Packet) {
		var ok bool
		if buf, ok = Append(buf[:0], p); !ok {
			e.tooLong.Add(1)
			return
		}
		if nc == nil {
			if time.Now().Before(until) {
				e.failed.Add(1)
				return
			}
			d := net.Dialer{Timeout: dialTimeout}
			c, err := d.DialContext(context.WithoutCancel(ctx), e.o.Network, e.o.Addr)
			if err != nil {
				e.failed.Add(1)
				e.log.Warn("hep collector cannot be reached, copies of messages are dropped", zap.String("collector", e.o.Addr), zap.Duration("again_in", pause), zap.Error(err))
				until = time.Now().Add(pause)
				pause = min(2*pause, lastPause)
				return
			}
			nc, pause = c, firstPause
		}
		_ = nc.SetWriteDeadline(time.Now().Add(writeTimeout))
		if _, err := nc.Write(buf); err != nil {
			e.failed.Add(1)
			if e.o.Network == "tcp" || errors.Is(err, net.ErrClosed) {
				_ = nc.Close()
				nc = nil
			}
			return // by UDP a collector that is not there answers with ICMP, now and then
		}
		e.sent.Add(1)
	}
	for {
		select {
		case p := <-e.queue:
			send(p)
		case <-ctx.Done():
			end := time.Now().Add(time.Second)
			for len(e.queue) > 0 && time.Now().Before(end) {
				send(<-e.queue)
			}
			return nil
		}
	}
}

// Addr is the collector, for logs.
func (e *Exporter) Addr() string { return e.o.Network + ":" + e.o.Addr }
