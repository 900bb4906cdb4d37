package lab

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/signalbox/signalbox/esl"
	"github.com/signalbox/signalbox/esl/wire"
)

// watch is the lab's own connection to FreeSWITCH's Event Socket. It puts into each story what the switch reports about the
// caller's leg, and can prove that a call never reached the switch.
type watch struct {
	conn *esl.Conn

	mu     sync.Mutex
	traces map[string]*Trace // by Call-ID of the caller's leg
	saw    map[string]bool
	legs   map[string]string // UUID of the caller's leg, by its Call-ID

	syncs chan chan struct{}
	wg    sync.WaitGroup
}

func openWatch(ctx context.Context, at SwitchAt) (*watch, error) {
	conn, err := esl.Dial(ctx, esl.DialOptions{Addr: at.EventSocket, Password: esl.Secret(at.Password), Timeout: 5 * time.Second})
	if err != nil {
		return nil, fmt.Errorf("looking at the switch: %w", err)
	}
	w := &watch{conn: conn, traces: make(map[string]*Trace), saw: make(map[string]bool), legs: make(map[string]string), syncs: make(chan chan struct{})}
	if err := conn.Subscribe(ctx, "CHANNEL_CREATE", "CHANNEL_ANSWER", "CHANNEL_HANGUP_COMPLETE"); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("subscribing to the switch's events: %w", err)
	}
	w.wg.Add(1)
	go w.read()
	return w, nil
}

func (w *watch) close() {
	_ = w.conn.Close()
	w.wg.Wait()
}

// resume goes on with what an earlier watch knew, whose switch has ended.
func (w *watch) resume(old *watch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.traces, w.saw, w.legs = old.traces, old.saw, old.legs
}

// follow puts what the switch reports about a call into a trace.
func (w *watch) follow(callID string, t *Trace) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.traces[callID] = t
}

// seen reports whether the switch ever had a leg with this Call-ID.
func (w *watch) seen(callID string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.saw[callID]
}

// arrived waits until the switch has a leg with this Call-ID.
func (w *watch) arrived(ctx context.Context, callID string) error {
	for !w.seen(callID) {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: the call arrives at the switch (%w)", ErrNever, context.Cause(ctx))
		case <-time.After(5 * time.Millisecond):
		}
	}
	return nil
}

// leg is the UUID of the caller's leg of a call; "" = the switch never had one.
func (w *watch) leg(callID string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.legs[callID]
}

// sync returns when every event the switch sent before now has been read: a reply stands behind them on the connection.
func (w *watch) sync(ctx context.Context) error {
	if _, err := w.conn.API(ctx, "status"); err != nil {
		return fmt.Errorf("asking the switch: %w", err)
	}
	ack := make(chan struct{})
	select {
	case w.syncs <- ack:
		<-ack
		return nil
	case <-w.conn.Done():
		return fmt.Errorf("asking the switch: %w", w.conn.Err())
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (w *watch) read() {
	defer w.wg.Done()
	for {
		select {
		case e, ok := <-w.conn.Events():
			if !ok {
				return
			}
			w.take(e)
		case ack := <-w.syncs:
			w.drain()
			close(ack)
		case <-w.conn.Done():
			return
		}
	}
}

// drain reads what waits.
func (w *watch) drain() {
	for {
		select {
		case e, ok := <-w.conn.Events():
			if !ok {
				return
			}
			w.take(e)
		default:
			return
		}
	}
}

func (w *watch) take(e *wire.Event) {
	callID := e.Var("sip_call_id")
	w.mu.Lock()
	trace, mine := w.traces[callID]
	if mine {
		w.saw[callID] = true
	}
	if mine && e.Get("Call-Direction") == "inbound" {
		w.legs[callID] = e.UUID()
	}
	w.mu.Unlock()
	if !mine || e.Get("Call-Direction") != "inbound" {
		return
	}
	event := Event{Kind: Switch, From: ColProxy, To: ColSwitch, Raw: e.Name() + " " + e.UUID()}
	switch e.Name() {
	case "CHANNEL_CREATE":
		event.Summary = "the call arrives"
	case "CHANNEL_ANSWER":
		event.From, event.To, event.Summary = ColSwitch, ColProxy, "answered"
	case "CHANNEL_HANGUP_COMPLETE":
		event.From, event.To, event.Summary = ColSwitch, ColProxy, "over: "+e.Get("Hangup-Cause")
	}
	trace.Add(event)
}
