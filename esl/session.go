package esl

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/signalbox/signalbox/esl/wire"
)

// Session is one call that FreeSWITCH has put under our control: an outbound
// connection that has answered "connect". Everything of Conn is there. It lives
// until the connection ends; the channel may end before (Hangup), when Linger
// keeps the connection for the last events.
type Session struct {
	*Conn

	begun    begun
	uuid     string
	channel  *wire.Event
	draining <-chan struct{} // of the Server; nil = never

	events   chan struct{} // holds one token while nobody is subscribing
	hangup   chan struct{}
	final    chan struct{}
	stateMu  sync.Mutex
	state    sessionState
	inflight map[string]*Execution
}

// sessionState is what the reader has learnt; guarded by Session.stateMu.
type sessionState struct {
	answered   time.Time // when connect was answered
	written    int       // commands on the wire, connect among them
	subscribed bool
	lingering  bool
	hungUp     bool
	cause      string
	finalEvent *wire.Event
	ended      bool
	endErr     error
}

// Opening is how long the beginning of a session took.
type Opening struct {
	// Connect is the time from taking the connection to FreeSWITCH's answer to connect.
	Connect time.Duration
	// Command is the time from that answer to the first command on the wire: until then nobody answers for
	// the call but the dialplan's own guard.
	Command time.Duration
}

// begun is a connection that was just taken.
type begun struct {
	at      time.Time
	timeout time.Duration // for the answer to connect
	opened  func(Opening) // may be nil
}

// Execution is one application that was started on a session.
type Execution struct {
	id      string
	app     string
	started chan struct{}
	done    chan struct{}
	connEnd <-chan struct{} // Done of the connection
	event   *wire.Event     // these two are set before done is closed
	err     error
}

// openSession sends "connect" on an outbound connection and waits for the answer; none in time means that
// the caller is gone.
func openSession(ctx context.Context, nc net.Conn, opt ConnOptions, from begun) (*Session, error) {
	s := &Session{
		begun:    from,
		events:   make(chan struct{}, 1),
		hangup:   make(chan struct{}),
		final:    make(chan struct{}),
		inflight: make(map[string]*Execution),
	}
	s.events <- struct{}{}
	s.Conn = newConn(nc, opt, hooks{event: s.see, linger: s.seeLinger, end: s.seeEnd, wrote: s.wrote})
	ctx, cancel := context.WithTimeout(ctx, from.timeout)
	defer cancel()
	r, err := s.Send(ctx, Raw("connect"))
	if err == nil {
		err = r.Err()
	}
	if err == nil {
		s.channel, err = wire.ParseEvent(r.message)
	}
	if err != nil {
		_ = s.Close()
		return nil, fmt.Errorf("%w: %w", ErrCallerGone, err)
	}
	s.stateMu.Lock()
	s.uuid = s.channel.UUID()
	s.state.answered = time.Now()
	s.stateMu.Unlock()
	return s, nil
}

// wrote reports the opening when the first command behind connect is on the wire. It runs on the goroutine that wrote it.
func (s *Session) wrote() {
	s.stateMu.Lock()
	s.state.written++
	answered, first := s.state.answered, s.state.written == 2 // connect may be answered before we come to note that it was written
	s.stateMu.Unlock()
	if first && s.begun.opened != nil {
		s.begun.opened(Opening{Connect: answered.Sub(s.begun.at), Command: time.Since(answered)})
	}
}

// UUID is the channel's Unique-ID.
func (s *Session) UUID() string { return s.uuid }

// Channel is the channel's data as "connect" gave it: the caller profile and every
// channel variable at that moment.
func (s *Session) Channel() *wire.Event { return s.channel }

// Path is what stands behind the slash in the dialplan's socket application
// (127.0.0.1:8084/path), or "".
func (s *Session) Path() string { return s.channel.Var("socket_path") }

// Draining is closed when the Server has begun to drain: it takes no further calls, and a handler that has nothing left to do
// for its own should return.
func (s *Session) Draining() <-chan struct{} { return s.draining }

// Linger asks FreeSWITCH to keep the connection for d after the hangup, in whole
// seconds, at least one, so that the last events arrive. Without it they are lost.
func (s *Session) Linger(ctx context.Context, d time.Duration) error {
	return s.run(ctx, string(lingerCommand(d)))
}

func lingerCommand(d time.Duration) Raw {
	seconds := max(int((d+time.Second-1)/time.Second), 1)
	return Raw(fmt.Sprintf("linger %d", seconds))
}

// Beginning is what Session.Begin sends.
type Beginning struct {
	First  []Command     // before everything else
	Linger time.Duration // as Session.Linger
	// Unwanted are events of MyEvents that nobody looks at, such as CHANNEL_OUTGOING. A call has a dozen or two of them, and each is
	// 5 to 12 kB that FreeSWITCH writes and we read. Without CHANNEL_EXECUTE an Execution counts as started when it is over.
	Unwanted []string
}

// Begin is Linger and MyEvents with other commands in front, all sent at once. It gives the replies to First, which may be
// refusals; an error is about the connection, or what else was refused. It is not to be called again.
func (s *Session) Begin(ctx context.Context, b Beginning) ([]Reply, error) {
	select {
	case <-s.events:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { s.events <- struct{}{} }()
	cmds := append(slices.Clone(b.First), lingerCommand(b.Linger), s.myEvents())
	if len(b.Unwanted) > 0 {
		cmds = append(cmds, Raw("nixevent "+strings.Join(b.Unwanted, " ")))
	}
	replies, err := s.SendAll(ctx, cmds...)
	first := replies[:min(len(b.First), len(replies))]
	if err != nil {
		return first, err
	}
	for _, r := range replies[len(first):] {
		if err := r.Err(); err != nil {
			return first, err
		}
	}
	s.setSubscribed()
	return first, nil
}

// MyEvents subscribes to the events of this channel. Calling it again does
// nothing: FreeSWITCH answers a second "myevents" with an error.
func (s *Session) MyEvents(ctx context.Context) error {
	select {
	case <-s.events:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { s.events <- struct{}{} }()
	s.stateMu.Lock()
	subscribed := s.state.subscribed
	s.stateMu.Unlock()
	if subscribed {
		return nil
	}
	if err := s.run(ctx, string(s.myEvents())); err != nil {
		return err
	}
	s.setSubscribed()
	return nil
}

// Want subscribes again to events that Begin did without.
func (s *Session) Want(ctx context.Context, names ...string) error {
	format := "plain"
	if s.opt.Format == JSON {
		format = "json"
	}
	return s.run(ctx, "event "+format+" "+strings.Join(names, " "))
}

func (s *Session) myEvents() Raw {
	if s.opt.Format == JSON {
		return "myevents json"
	}
	return "myevents"
}

func (s *Session) setSubscribed() {
	s.stateMu.Lock()
	defer s.stateMu.Unlock()
	s.state.subscribed = true
}

// run sends a command whose reply says nothing but yes or no.
func (s *Session) run(ctx context.Context, command string) error {
	r, err := s.Send(ctx, Raw(command))
	if err != nil {
		return err
	}
	return r.Err()
}

// Start has FreeSWITCH execute an application on the channel and returns as soon as
// FreeSWITCH has taken the order. Applications run one after the other
// (event-lock), each with an Event-UUID of its own, which FreeSWITCH
// reports as Application-UUID. It subscribes by MyEvents first when that
// has not been done. After the hangup it returns a *HangupError.
//
// FreeSWITCH expands ${...} in arg, and there is no escape: arg must come from
// package dialplan/encode.
func (s *Session) Start(ctx context.Context, app, arg string) (*Execution, error) {
	return s.StartBehind(ctx, nil, app, arg)
}

// StartBehind is Start with other commands in front, sent at once with it. FreeSWITCH runs all of them, whatever it says to one; the
// error is that of the first it refused, and then it may have taken the order nevertheless.
func (s *Session) StartBehind(ctx context.Context, first []Command, app, arg string) (*Execution, error) {
	if err := wire.CheckLine(app); err != nil {
		return nil, err
	}
	if err := s.MyEvents(ctx); err != nil {
		return nil, s.orHangup(err)
	}
	x := &Execution{id: uuid.NewString(), app: app, started: make(chan struct{}), done: make(chan struct{}), connEnd: s.Done()}
	if err := s.register(x); err != nil {
		return nil, err
	}
	replies, err := s.SendAll(ctx, append(slices.Clone(first), Raw(executeMessage(app, arg, x.id)))...)
	for _, r := range replies {
		err = cmp.Or(err, r.Err())
	}
	if err != nil {
		s.forget(x)
		return nil, s.orHangup(fmt.Errorf("executing %s: %w", app, err))
	}
	return x, nil
}

// Execute is Start and Wait. When ctx ends first, the application goes on on
// FreeSWITCH.
func (s *Session) Execute(ctx context.Context, app, arg string) (*wire.Event, error) {
	x, err := s.Start(ctx, app, arg)
	if err != nil {
		return nil, err
	}
	return x.Wait(ctx)
}

// UUID is the Event-UUID of the order and the Application-UUID of its events.
func (x *Execution) UUID() string { return x.id }

// Started is closed when FreeSWITCH has begun to execute it (CHANNEL_EXECUTE), or when
// it is over without that.
func (x *Execution) Started() <-chan struct{} { return x.started }

// Done is closed when Wait would return at once.
func (x *Execution) Done() <-chan struct{} { return x.done }

// Wait gives the application's CHANNEL_EXECUTE_COMPLETE. That event comes also when
// the hangup interrupted the application: look at Session.Hangup. A *HangupError
// means that the channel ended and the application never completed, because it
// was not reached, is unknown to FreeSWITCH, or the last events were not to be had;
// it is returned only after the channel's last event, or the end of the
// connection. An end of the connection with no hangup seen gives its reason,
// ErrDisconnected and the like. When ctx ends, Wait may be called again.
//
// One case FreeSWITCH never reports: an application that needs media on a leg
// that cannot have any is passed over in silence. So bound ctx.
func (x *Execution) Wait(ctx context.Context) (*wire.Event, error) {
	select {
	case <-x.done:
		return x.event, x.err
	default:
	}
	select {
	case <-x.done:
		return x.event, x.err
	case <-ctx.Done():
	}
	select {
	case <-x.connEnd: // then the reader is about to end every execution
		<-x.done
		return x.event, x.err
	default:
		return nil, fmt.Errorf("waiting for %s to complete: %w", x.app, ctx.Err())
	}
}

// Hangup is closed when the channel has hung up.
func (s *Session) Hangup() <-chan struct{} { return s.hangup }

// HangupCause is FreeSWITCH's name of the cause, such as NORMAL_CLEARING; "" before the
// hangup, or when no event told it.
func (s *Session) HangupCause() string {
	s.stateMu.Lock()
	defer s.stateMu.Unlock()
	return s.state.cause
}

// Final is closed when nothing more will come about the channel: its
// CHANNEL_HANGUP_COMPLETE was seen, or the connection has ended.
func (s *Session) Final() <-chan struct{} { return s.final }

// FinalEvent is the CHANNEL_HANGUP_COMPLETE with the channel's last variables, or nil.
func (s *Session) FinalEvent() *wire.Event {
	s.stateMu.Lock()
	defer s.stateMu.Unlock()
	return s.state.finalEvent
}

// HangUp hangs the channel up with a cause, such as USER_BUSY, at once. It goes by
// "api uuid_kill": the hangup of sendmsg would wait until a running application has
// ended (event-lock). A channel that is gone already is no error.
func (s *Session) HangUp(ctx context.Context, cause string) error {
	if cause == "" || strings.ContainsAny(cause, " \t") {
		return fmt.Errorf("%w: hangup cause %q", wire.ErrRefused, cause)
	}
	_, err := s.API(ctx, "uuid_kill "+s.uuid+" "+cause)
	if errors.Is(s.orHangup(err), ErrHangup) {
		return nil
	}
	return err
}

// Break ends the running application, and FreeSWITCH goes on with the next one
// in its queue. It goes by "api uuid_break" and acts at once on playback and sleep; the
// waiting for digits of play_and_get_digits and a bridge it does not end.
func (s *Session) Break(ctx context.Context) error {
	_, err := s.API(ctx, "uuid_break "+s.uuid)
	return err
}

// SetVar sets a channel variable by "api uuid_setvar", which does not expand
// ${...} in the value. An empty value removes the variable.
func (s *Session) SetVar(ctx context.Context, name, value string) error {
	if name == "" || strings.ContainsAny(name, " \t") {
		return fmt.Errorf("%w: variable name %q", wire.ErrRefused, name)
	}
	_, err := s.API(ctx, "uuid_setvar "+s.uuid+" "+name+" "+value)
	return err
}

// GetVar reads a channel variable by "api uuid_getvar"; "" when it is not set.
func (s *Session) GetVar(ctx context.Context, name string) (string, error) {
	v, err := s.API(ctx, "uuid_getvar "+s.uuid+" "+name)
	if v == "_undef_" {
		v = ""
	}
	return v, err
}

// Exit says "exit": FreeSWITCH lets go of the call and the dialplan continues behind
// "socket". It waits until FreeSWITCH has closed the connection.
func (s *Session) Exit(ctx context.Context) error {
	if err := s.run(ctx, "exit"); err != nil {
		return err
	}
	select {
	case <-s.Done():
	case <-ctx.Done():
	}
	switch err := s.Err(); {
	case err == nil:
		return fmt.Errorf("waiting for freeswitch to close after exit: %w", ctx.Err())
	case !errors.Is(err, ErrDisconnected):
		return err
	}
	return nil
}

func (s *Session) register(x *Execution) error {
	s.stateMu.Lock()
	defer s.stateMu.Unlock()
	switch {
	case s.state.hungUp:
		return &HangupError{Cause: s.state.cause}
	case s.state.ended:
		return fmt.Errorf("executing %s: %w", x.app, s.state.endErr)
	case len(s.inflight) >= MaxExecutions:
		return fmt.Errorf("%w: %d applications", ErrTooMany, MaxExecutions)
	}
	s.inflight[x.id] = x
	return nil
}

func (s *Session) forget(x *Execution) {
	s.stateMu.Lock()
	defer s.stateMu.Unlock()
	delete(s.inflight, x.id)
}

// orHangup turns the end of a connection into the hangup, when that was its reason.
func (s *Session) orHangup(err error) error {
	s.stateMu.Lock()
	defer s.stateMu.Unlock()
	if s.state.hungUp {
		return &HangupError{Cause: s.state.cause}
	}
	return err
}

// see is the reader's look at each event, before the event queue.
func (s *Session) see(e *wire.Event) {
	switch e.Name() {
	case "CHANNEL_EXECUTE":
		s.begin(e.Get("Application-UUID"))
	case "CHANNEL_EXECUTE_COMPLETE":
		s.complete(e.Get("Application-UUID"), e)
	case "CHANNEL_HANGUP":
		if e.UUID() == s.ownUUID() {
			s.setHangup(e.Get("Hangup-Cause"))
		}
	case "CHANNEL_HANGUP_COMPLETE":
		if e.UUID() == s.ownUUID() {
			s.setHangup(e.Get("Hangup-Cause"))
			s.setFinal(e, nil)
		}
	}
}

// ownUUID is UUID for the reader, which may run before openSession is done.
func (s *Session) ownUUID() string {
	s.stateMu.Lock()
	defer s.stateMu.Unlock()
	return s.uuid
}

func (s *Session) begin(id string) {
	s.stateMu.Lock()
	defer s.stateMu.Unlock()
	if x := s.inflight[id]; x != nil {
		x.markStarted()
	}
}

func (s *Session) complete(id string, e *wire.Event) {
	s.stateMu.Lock()
	defer s.stateMu.Unlock()
	if x := s.inflight[id]; x != nil {
		delete(s.inflight, id)
		x.finish(e, nil)
	}
}

// markStarted and finish run under Session.stateMu.
func (x *Execution) markStarted() {
	select {
	case <-x.started:
	default:
		close(x.started)
	}
}

func (x *Execution) finish(e *wire.Event, err error) {
	x.event, x.err = e, err
	x.markStarted()
	close(x.done)
}

// seeLinger: the channel is gone. With events subscribed the cause comes in
// CHANNEL_HANGUP, before or after this notice; without, there is nothing to wait for.
func (s *Session) seeLinger() {
	s.stateMu.Lock()
	s.state.lingering = true
	subscribed := s.state.subscribed
	s.stateMu.Unlock()
	if !subscribed {
		s.setHangup("")
	}
}

// seeEnd: the connection has ended.
func (s *Session) seeEnd(err error) {
	s.stateMu.Lock()
	lingering := s.state.lingering
	s.stateMu.Unlock()
	if lingering {
		s.setHangup("")
	}
	s.setFinal(nil, err)
}

func (s *Session) setHangup(cause string) {
	s.stateMu.Lock()
	defer s.stateMu.Unlock()
	if s.state.cause == "" {
		s.state.cause = cause
	}
	if !s.state.hungUp {
		s.state.hungUp = true
		close(s.hangup)
	}
}

// setFinal ends whatever has not completed.
func (s *Session) setFinal(e *wire.Event, endErr error) {
	s.stateMu.Lock()
	defer s.stateMu.Unlock()
	if e != nil && s.state.finalEvent == nil {
		s.state.finalEvent = e
	}
	if endErr != nil {
		s.state.endErr = endErr
	}
	if !s.state.ended {
		s.state.ended = true
		close(s.final)
	}
	for id, x := range s.inflight {
		delete(s.inflight, id)
		var err error = &HangupError{Cause: s.state.cause}
		if !s.state.hungUp {
			err = fmt.Errorf("%s did not complete: %w", x.app, s.state.endErr)
		}
		x.finish(nil, err)
	}
}
