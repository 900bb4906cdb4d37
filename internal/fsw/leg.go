package fsw

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/signalbox/signalbox/dialplan/encode"
	"github.com/signalbox/signalbox/esl"
	"github.com/signalbox/signalbox/esl/wire"
	"github.com/signalbox/signalbox/internal/call"
)

const (
	// slack is how much longer than ordered a ring may take before it counts as out of hand.
	slack = 3 * time.Second
	// brief is the guard of what takes no time, and of what takes longer while it is armed again every tick.
	brief = 3 * time.Second
	tick  = time.Second
	// quick bounds commands that FreeSWITCH answers at once.
	quick = 5 * time.Second
	// lastEvents is how long FreeSWITCH keeps the connection after the hangup.
	lastEvents = 10 * time.Second
	// tellsOfHangup is how long after refusing a command FreeSWITCH may take to tell that the channel has ended.
	tellsOfHangup = time.Second
	// fresh is how long a guard counts as just armed: steps that follow each other at once need it once.
	fresh = tick / 4
	// sureOfTalk is how often a leg whose parties talk looks whether FreeSWITCH has noted it.
	sureOfTalk = 100 * time.Millisecond
)

// errTooLong means that an application did not end in the time it was given.
var errTooLong = errors.New("fsw: freeswitch did not end the application in time")

// ErrTakenAway means that FreeSWITCH has sent the call elsewhere, because nothing was heard of us for too long or because somebody
// transferred it: the operator's own dialplan has it, and nothing more may be done to it.
var ErrTakenAway = errors.New("fsw: the call was taken away, its guard has fired or it was transferred")

// errAnswered means that there is nothing to guard any more.
var errAnswered = errors.New("fsw: the caller has been answered")

// errLeft means that the parties talk and that FreeSWITCH, which has noted it, needs nobody of us for the rest of the call.
var errLeft = errors.New("fsw: the parties talk without us")

// Leg is the caller's leg on FreeSWITCH. It implements call.Leg.
type Leg struct {
	session *esl.Session
	log     *zap.Logger
	touched bool // variables of the channel were changed
	guarded bool // a guard stands in FreeSWITCH
	armed   armed
	picked  bool // the caller was answered before the call was handed to us, by the operator's IVR for example
	waiting bool // the caller was told that it rings
	greeted bool // he was answered by us and is not done with
	left    bool // the parties talk and we are stopping
	talked  bool // the caller was connected
	moved   bool // FreeSWITCH has sent the call elsewhere
	answer  func(at time.Time)
	ringing func()          // Answered of the order that rings; nil = nobody is to be told
	lostFar <-chan struct{} // Lost of the order that rings
	cut     bool            // the far end was, because it is lost

	correlation string
	folder      string // where the switch has its configuration; "" = not asked yet
}

var _ call.Leg = (*Leg)(nil)

// NewLeg makes a Leg of a session that has answered "connect". TakeOver comes before anything else.
func NewLeg(session *esl.Session, log *zap.Logger) *Leg {
	if log == nil {
		log = zap.NewNop()
	}
	return &Leg{session: session, log: log, picked: session.Channel().Get("Answer-State") == "answered"}
}

// WithLogger gives the leg a logger that knows more of the call.
func (l *Leg) WithLogger(log *zap.Logger) *Leg {
	l.log = log
	return l
}

// Correlate has every leg that is made for the caller carry this Call-ID, the caller's own, in X-CID: Homer joins them by it.
func (l *Leg) Correlate(callID string) { l.correlation = encode.Header(callID) }

// OnAnswer has f called, in the goroutine of the leg, when the caller was answered.
func (l *Leg) OnAnswer(f func(at time.Time)) { l.answer = f }

// TakeOver puts a guard of ours in the place of the dialplan's; from here on we answer for the call. It changes nothing
// else.
func (l *Leg) TakeOver(ctx context.Context) error {
	l.guarded = l.session.Channel().Var("signalbox_guard") != ""
	ctx, cancel := context.WithTimeout(ctx, quick)
	defer cancel()
	guard, err := l.guard(brief)
	if err != nil {
		return fmt.Errorf("taking over the guard: %w", err)
	}
	began := time.Now()
	replies, err := l.session.Begin(ctx, esl.Beginning{First: guard, Linger: lastEvents, Unwanted: unwanted(l.picked)})
	if err == nil {
		err = l.guardSet(ctx, brief, began, replies)
	}
	if err != nil {
		return fmt.Errorf("taking over the guard: %w", err)
	}
	return nil
}

// unwanted are the events of a call that nobody here looks at.
func unwanted(picked bool) []string {
	names := []string{"CHANNEL_APPLICATION", "CHANNEL_CREATE", "CHANNEL_DATA", "CHANNEL_DESTROY", "CHANNEL_EXECUTE", "CHANNEL_ORIGINATE", "CHANNEL_OUTGOING",
		"CHANNEL_PARK", "CHANNEL_PROGRESS", "CHANNEL_PROGRESS_MEDIA", "CHANNEL_STATE", "CHANNEL_UNBRIDGE", "CHANNEL_UNPARK", "CHANNEL_UUID",
		"DETECTED_SPEECH", "DTMF", "NOTALK", "TALK"}
	if !picked { // then the answer tells more
		names = append(names, "CHANNEL_BRIDGE")
	}
	return names
}

// Waiting implements call.Leg.
func (l *Leg) Waiting(ctx context.Context, longest time.Duration) error {
	if err := l.arm(ctx, max(brief, longest+time.Second)); err != nil {
		return l.unlessGone(err)
	}
	if l.waiting || l.picked {
		return nil
	}
	l.waiting = true
	ctx, cancel := context.WithTimeout(ctx, quick)
	defer cancel()
	_, err := l.session.Execute(ctx, "ring_ready", "")
	return l.unlessGone(err)
}

// Ring implements call.Leg.
func (l *Leg) Ring(ctx context.Context, order call.RingOrder) (call.Attempt, error) {
	attempt := call.Attempt{Target: targetName(order), Started: time.Now()}
	vars := l.onAnswer()
	if l.correlation != "" {
		vars = append(vars, encode.Var{Name: "sip_h_X-CID", Value: l.correlation})
	}
	order.Headers = slices.Concat(order.Headers, staying(l.session.Channel()))
	dial, err := dialString(order, vars)
	if err != nil {
		// A target that cannot be encoded is the provisioned data's fault: not reachable, and said so.
		attempt.Ended, attempt.Result, attempt.Note = time.Now(), call.Unreachable, err.Error()
		l.log.Warn("a provisioned target cannot be dialled, the call record says which and why")
		l.log.Debug("target refused", zap.Error(err))
		return attempt, nil
	}
	longest := order.Answer + slack
	if err := l.arm(ctx, brief); err != nil {
		return l.lost(attempt, err)
	}
	// What an earlier bridge left behind is removed. FreeSWITCH does not: a bridge that sends no INVITE, to a phone that is not
	// registered for example, would be read with the status of the one before it (measured).
	stale := []encode.Var{{Name: "sip_invite_failure_status"}}
	if order.Voicemail != nil {
		stale = append(stale, encode.Var{Name: triedVar})
	}
	bridge, err := l.bridge(ctx, stale, dial)
	if err != nil {
		return l.lost(attempt, err)
	}
	l.ringing, l.lostFar, l.cut = order.Answered, order.Lost, false
	defer func() { l.ringing, l.lostFar = nil, nil }()
	done, err := l.await(ctx, bridge, longest)
	attempt.Ended = time.Now()
	if errors.Is(err, errLeft) {
		l.left, attempt.Result, attempt.Note = true, call.Answered, "we stopped while they talked"
		return attempt, nil
	}
	if err == nil && l.movedAway(done) {
		if taken := l.away(ctx); done.Var("originate_disposition") != "SUCCESS" {
			err = taken
		}
	}
	if err != nil {
		return l.lost(attempt, err)
	}
	l.waiting = l.waiting || progressed(done)
	read(&attempt, done, l.hungUp())
	l.settle(&attempt, done)
	if l.cut && !l.hungUp() {
		if err := l.takeBack(ctx); err != nil {
			return l.lost(attempt, err)
		}
		attempt.Result, attempt.Note = call.Unreachable, farEndLost
	}
	return attempt, nil
}

// await waits for a bridge or a prompt: for the longest time while nobody has answered, without bound once they talk, unless
// the server drains. Until then the guard is armed again every second, so that a frozen sidecar is noticed as soon as at
// any other time.
func (l *Leg) await(ctx context.Context, bridge *esl.Execution, longest time.Duration) (*wire.Event, error) {
	timer, ticker := time.NewTimer(longest), time.NewTicker(tick)
	defer timer.Stop()
	defer ticker.Stop()
	events := l.session.Events()
	defer l.drain(events)           // however it ends, the answer may still be in the queue
	var letGo, lost <-chan struct{} // once they talk
	var cut <-chan time.Time
	talking := func() {
		timer.Stop()
		ticker.Stop()
		letGo, lost = l.session.Draining(), l.lostFar
	}
	for {
		select {
		case <-bridge.Done():
			return bridge.Wait(ctx)
		case event, ok := <-events:
			if !ok {
				events = nil
				continue
			}
			if l.answered(event) {
				talking()
			}
		case <-ticker.C:
			switch err := l.arm(ctx, brief); {
			case errors.Is(err, errAnswered):
				talking()
			case err != nil && l.unlessGone(err) != nil:
				return nil, err
			}
		case <-letGo:
			return l.leaveTalking(ctx, bridge)
		case <-lost:
			lost, cut = nil, time.After(0)
		case <-cut:
			if err := l.cutOff(ctx); err != nil { // the answer may be a moment old, and the bridge to come
				l.log.Debug("not cut off yet from a far end that is lost", zap.Error(err))
				cut = time.After(tick)
				continue
			}
			l.cut = true
		case <-timer.C:
			return nil, fmt.Errorf("%w: %s", errTooLong, longest)
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// leaveTalking waits until FreeSWITCH has noted that the call is the talking parties', which it does a moment after it says that
// the caller was answered: a connection closed before would take the call to the fallback. Then the error is errLeft.
func (l *Leg) leaveTalking(ctx context.Context, bridge *esl.Execution) (*wire.Event, error) {
	again := time.NewTicker(sureOfTalk)
	defer again.Stop()
	for {
		ask, cancel := context.WithTimeout(ctx, quick)
		stage, err := l.session.GetVar(ask, "signalbox_stage")
		cancel()
		if err == nil && stage == "talked" {
			return nil, errLeft
		}
		select {
		case <-bridge.Done():
			return bridge.Wait(ctx)
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-again.C:
		}
	}
}

// Announce implements call.Leg.
func (l *Leg) Announce(ctx context.Context, prompt string, longest time.Duration) (call.Result, error) {
	arg, err := encode.Arg(prompt)
	if err != nil {
		l.log.Warn("announcement refused", zap.Error(err))
		return call.NotPlayed, nil
	}
	if err := l.arm(ctx, brief); err != nil {
		return l.gone(err)
	}
	playback, err := l.session.Start(ctx, "playback", arg)
	if err != nil {
		return l.gone(err)
	}
	played, err := l.await(ctx, playback, longest)
	if err == nil && l.movedAway(played) {
		err = l.away(ctx)
	}
	if errors.Is(err, errTooLong) {
		return call.Ended, nil // long enough; the hangup that follows ends it
	}
	if err != nil {
		return l.gone(err)
	}
	if l.hungUp() {
		return call.CallerGone, nil
	}
	if response := played.Get("Application-Response"); response == "FILE NOT FOUND" || response == "PLAYBACK ERROR" {
		l.log.Warn("announcement not played: look at the path and the module that reads such files", zap.String("prompt", prompt), zap.String("freeswitch", response))
		return call.NotPlayed, nil
	}
	return call.Ended, nil
}

// End implements call.Leg.
func (l *Leg) End(ctx context.Context, cause string) error {
	cause, err := encode.Cause(cause)
	if err != nil {
		return err
	}
	if err := l.arm(ctx, brief); err != nil && !errors.Is(err, errAnswered) { // then no guard is needed
		return l.unlessGone(err)
	}
	if err := l.prepare(ctx); err != nil {
		return l.unlessGone(err)
	}
	ctx, cancel := context.WithTimeout(ctx, quick)
	defer cancel()
	if err := l.session.HangUp(ctx, cause); err != nil {
		return l.unlessGone(err)
	}
	return l.awaitHangup(ctx)
}

// Refuse implements call.Leg.
func (l *Leg) Refuse(ctx context.Context, refusal call.Refusal) error {
	if l.picked { // an answered call has no status to be refused with
		return l.End(ctx, "NORMAL_CLEARING")
	}
	arg, err := encode.Respond(refusal.Code, refusal.Phrase)
	if err != nil {
		return err
	}
	if err := l.arm(ctx, brief); err != nil {
		return l.unlessGone(err)
	}
	ctx, cancel := context.WithTimeout(ctx, quick)
	defer cancel()
	if _, err := l.session.Execute(ctx, "respond", arg); err != nil {
		return l.unlessGone(err)
	}
	return l.awaitHangup(ctx)
}

// HandBack implements call.Leg.
func (l *Leg) HandBack(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, quick)
	defer cancel()
	if !l.touched {
		if err := l.session.SetVar(ctx, "signalbox_outcome", "not-ours"); err != nil {
			return l.unlessGone(err)
		}
	}
	return l.unlessGone(l.session.Exit(ctx))
}

// Over waits until FreeSWITCH has told the last of the leg, at most for the time it keeps the connection, and returns
// the hangup cause, "" when it is not known. A leg that was transferred goes on without us.
func (l *Leg) Over(ctx context.Context) string {
	if l.moved {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, lastEvents)
	defer cancel()
	select {
	case <-l.session.Final():
	case <-ctx.Done():
	}
	if l.armed.stands() { // it would find nobody; but the scheduler's list shall not grow
		if err := l.disarm(ctx); err != nil {
			l.log.Debug("guard of an ended call stays until it fires", zap.Error(err))
		}
	}
	return l.session.HangupCause()
}

// bridge makes the channel fit for our bridges when that has not been done, sets further variables, and starts a bridge, all in one
// message.
func (l *Leg) bridge(ctx context.Context, further []encode.Var, dial string) (*esl.Execution, error) {
	ctx, cancel := context.WithTimeout(ctx, quick)
	defer cancel()
	first, err := apis(l.set(append(l.preparation(), further...)))
	if err != nil {
		return nil, err
	}
	return l.session.StartBehind(ctx, first, "bridge", dial)
}

// prepare makes the channel fit for our bridges when that has not been done.
func (l *Leg) prepare(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, quick)
	defer cancel()
	replies, err := askAll(ctx, l.session, l.set(l.preparation()))
	if err == nil {
		err = refused(replies)
	}
	if err != nil {
		return fmt.Errorf("preparing the channel for a bridge: %w", err)
	}
	return nil
}

// preparation are the variables that the channel needs for our bridges, once; what was there is kept for the fallback to restore.
func (l *Leg) preparation() []encode.Var {
	if l.touched {
		return nil
	}
	l.touched = true
	vars := ours(l.session.Channel())
	if l.picked && l.session.Channel().Var("transfer_ringback") == "" {
		vars = append(vars, encode.Var{Name: "transfer_ringback", Value: ringback})
	}
	return vars
}

// set are the commands that set variables of the channel.
func (l *Leg) set(vars []encode.Var) []string {
	commands, err := encode.SetVars(l.session.UUID(), vars)
	if err != nil {
		// A header with a name that nobody writes, from a caller who came past the proxy. The call goes on.
		l.log.Warn("variable not removed", zap.Error(err))
	}
	return commands
}

// ringback is what a caller hears while it rings who was answered before he came to us: the North American tone.
const ringback = "tone_stream://%(2000,4000,440,480);loops=-1"

// onAnswer is what a B-leg does when it answers. The first comes a moment before the dialplan's own hook at the answer of the
// A-leg: between the caller's 200 and that hook a connection that breaks would cost an answered call. The stage is not turned
// so early, for a caller whom nothing answers in the end is to reach the fallback. A caller who was answered before needs all
// of it here: FreeSWITCH runs the hooks of the dialplan only at the answer of the A-leg itself, and that has been.
func (l *Leg) onAnswer() []encode.Var {
	uuid := l.session.UUID()
	hooks := []encode.Var{{Name: "api_on_answer_signalbox_1", Value: "uuid_setvar " + uuid + " socket_resume false"}}
	if !l.picked {
		return hooks
	}
	return append(hooks,
		encode.Var{Name: "api_on_answer_signalbox_2", Value: "uuid_setvar " + uuid + " signalbox_stage talked"},
		encode.Var{Name: "api_on_answer_signalbox_3", Value: "sched_del signalbox-" + uuid},
	)
}

// armed is a guard as we have set it last.
type armed struct {
	at    time.Time
	after time.Duration
	reply string // FreeSWITCH's, with the guard's number
}

// stands reports whether it may not have fired yet.
func (a armed) stands() bool { return !a.at.IsZero() && time.Since(a.at) < a.after+slack }

// arm sets the guard anew: unless we arm it again within d, FreeSWITCH takes the call back. When there is no guard left
// to be replaced it has done so already, while we were frozen or cut off, and ErrTakenAway says that the call is not ours
// any more. A guard that was set this very moment need not be looked at.
func (l *Leg) arm(ctx context.Context, d time.Duration) error {
	if l.armed.after == d && time.Since(l.armed.at) < fresh {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, quick)
	defer cancel()
	guard, err := l.guard(d)
	if err != nil {
		return err
	}
	began := time.Now()
	replies, err := l.session.SendAll(ctx, guard...)
	if err != nil {
		return err
	}
	return l.guardSet(ctx, d, began, replies)
}

// guard are the commands that take the guard off and set a new one. They go together: one that is set for a call that is not ours any
// more does nothing, for it asks for the stage when it fires.
func (l *Leg) guard(d time.Duration) ([]esl.Command, error) {
	uuid, channel := l.session.UUID(), l.session.Channel()
	off, err := encode.GuardOff(uuid)
	if err != nil {
		return nil, err
	}
	add, err := encode.Guard{
		UUID: uuid, After: d,
		Destination: channel.Get("Channel-Destination-Number"), Context: channel.Get("Channel-Context"),
	}.Command()
	if err != nil {
		return nil, err
	}
	return apis([]string{off, add})
}

// guardSet judges the replies to guard.
func (l *Leg) guardSet(ctx context.Context, d time.Duration, began time.Time, replies []esl.Reply) error {
	if err := refused(replies); err != nil {
		return err
	}
	l.armed = armed{at: began, after: d, reply: replies[1].Text}
	if none := strings.HasSuffix(strings.TrimSpace(replies[0].Text), "Deleted: 0"); !none || !l.guarded {
		l.guarded = true
		return nil
	}
	// Either it has fired, or FreeSWITCH took it off because the caller was answered this very moment.
	if err := l.disarm(ctx); err != nil {
		return err
	}
	switch stage, err := l.session.GetVar(ctx, "signalbox_stage"); {
	case err != nil: // the channel has ended, for example
		return err
	case stage == "talked":
		return errAnswered
	}
	l.moved = true
	return ErrTakenAway
}

// disarm takes the guard off.
func (l *Leg) disarm(ctx context.Context) error {
	off, err := encode.GuardOff(l.session.UUID())
	if err != nil {
		return err
	}
	_, err = ask(ctx, l.session, off)
	l.armed = armed{}
	return err
}

func (l *Leg) awaitHangup(ctx context.Context) error {
	select {
	case <-l.session.Hangup():
		return nil
	case <-l.session.Done():
		return l.unlessGone(l.session.Err())
	case <-ctx.Done():
		return fmt.Errorf("waiting for the hangup: %w", ctx.Err())
	}
}

// Left reports whether the parties talk and Ring returned before their end, because the server drains.
func (l *Leg) Left() bool { return l.left }

// Drop closes the connection: FreeSWITCH goes on with the dialplan, or leaves those alone who talk.
func (l *Leg) Drop() { _ = l.session.Close() }

// HungUp reports whether the caller's leg has ended.
func (l *Leg) HungUp() bool { return l.hungUp() }

func (l *Leg) hungUp() bool {
	select {
	case <-l.session.Hangup():
		return true
	default:
		return false
	}
}

// unlessGone makes nothing of an error that only says that the caller has hung up. A call that was taken away was so before that.
func (l *Leg) unlessGone(err error) error {
	if errors.Is(err, ErrTakenAway) {
		return err
	}
	if err == nil || errors.Is(err, esl.ErrHangup) || l.hungUp() {
		return nil
	}
	// FreeSWITCH refuses commands on a channel from the moment it ends, and tells of the end a little later.
	var refused *esl.ReplyError
	if errors.As(err, &refused) {
		timer := time.NewTimer(tellsOfHangup)
		defer timer.Stop()
		select {
		case <-l.session.Hangup():
			return nil
		case <-l.session.Done():
		case <-timer.C:
		}
	}
	return err
}

func (l *Leg) gone(err error) (call.Result, error) {
	if l.unlessGone(err) == nil {
		return call.CallerGone, nil
	}
	return call.Broken, err
}

// lost ends an attempt whose leg hung up, or is out of our hands.
func (l *Leg) lost(attempt call.Attempt, err error) (call.Attempt, error) {
	attempt.Ended = time.Now()
	attempt.Result, err = l.gone(err)
	return attempt, err
}
