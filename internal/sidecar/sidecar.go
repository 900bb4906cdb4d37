package sidecar

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/signalbox/signalbox/esl"
	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/fsw"
	"github.com/signalbox/signalbox/internal/tel"
	"github.com/signalbox/signalbox/internal/token"
	"github.com/signalbox/signalbox/internal/treat"
	"github.com/signalbox/signalbox/internal/treat/conference"
	"github.com/signalbox/signalbox/internal/treat/mailbox"
	"github.com/signalbox/signalbox/internal/treat/recorder"
)

// Profiles reads a subscriber's profile within a bounded time.
type Profiles interface {
	Profile(ctx context.Context, number tel.Number) (account.Profile, error)
}

// Settings may change while the sidecar runs; a call keeps those it began with.
type Settings struct {
	Region   string // where national numbers are read, for example "US"
	Treat    treat.Settings
	Tokens   *token.Checker   // nil = no call counts as screened
	Spool    recorder.Keeper  // keeps messages that no voicemail system took; nil = none are taken
	Resolver mailbox.Resolver // finds voicemail systems
	// Access are the numbers at which calls for many subscribers arrive: for whom one is says what is known of its forwarding.
	Access map[tel.Number]bool
	// Music is played to callers who wait for a host; "" = silence.
	Music string
	// Correlate puts the Call-ID of the caller's leg on the legs that are made for it, so that Homer and traces join them.
	Correlate bool
}

// Options of a Sidecar.
type Options struct {
	Instance string // names this process as the owner of records
	// Node names the FreeSWITCH that hands a call over, by its Core-UUID and the address it connects from.
	Node func(coreUUID, addr string) string
	// Linked says whether the ends of calls on a node can be seen without their own connection: by a link of ours, or of the
	// sidecar that comes after us. nil = they can.
	Linked    func(node string) bool
	Profiles  Profiles
	Directory Directory // what is looked up beside profiles; nil = nothing
	// Conferences keeps the rooms of hosts; nil = there are none.
	Conferences Conferences
	Ledger      *Ledger
	Settings    Settings
	// Orphans takes over the records of calls that go on without us; nil = nobody does.
	Orphans *Undertaker
	Meter   Meter // nil = nobody counts
	Logger  *zap.Logger
}

// Sidecar serves calls that FreeSWITCH hands over.
type Sidecar struct {
	options  Options
	settings atomic.Pointer[Settings]
	log      *zap.Logger
	meter    Meter
	counts   Counts

	verbs func(*fsw.Leg) call.Leg // what a plan is run on; tests put faults in here
}

// Counts are what a Sidecar has done since it started. LeftTalking and LeftWaiting are the calls that FreeSWITCH had to go on with
// when the sidecar stopped: those of parties who talk, and those that went to the operator's own dialplan.
type Counts struct {
	Calls, HandedBack, Screened, TokensRefused, Broken, StoreDown, LeftTalking, LeftWaiting atomic.Int64
}

// New makes a Sidecar.
func New(o Options) *Sidecar {
	s := &Sidecar{options: o, log: o.Logger, meter: o.Meter, verbs: func(leg *fsw.Leg) call.Leg { return leg }}
	if s.log == nil {
		s.log = zap.NewNop()
	}
	if s.meter == nil {
		s.meter = noMeter{}
	}
	s.Reload(o.Settings)
	return s
}

// Reload swaps the settings for calls that come from now on.
func (s *Sidecar) Reload(settings Settings) { s.settings.Store(&settings) }

// Counts are live counters.
func (s *Sidecar) Counts() *Counts { return &s.counts }

// Serve is one call. It returns when the call is over or FreeSWITCH has it back; the caller closes the connection.
func (s *Sidecar) Serve(ctx context.Context, session *esl.Session) {
	settings := s.settings.Load()
	s.counts.Calls.Add(1)
	leg := fsw.NewLeg(session, s.log)
	if err := leg.TakeOver(ctx); err != nil {
		s.meter.Over(NotTaken)
		s.log.Info("call not taken over", zap.String("uuid", session.UUID()), zap.Error(err))
		return
	}
	if text := fsw.RoomToken(session.Channel()); text != "" {
		s.intoRoom(ctx, leg, session, settings, text)
		return
	}
	arrival := s.arrival(session, settings, time.Now())
	around := Around{Profiles: s.options.Profiles, Directory: s.options.Directory, Access: settings.Access, Conferences: s.options.Conferences, Logger: s.log}
	around.Caller(ctx, &arrival)
	log := s.log.With(zap.String("call_id", arrival.CallID), zap.String("uuid", arrival.UUID), zap.String("node", arrival.Node),
		zap.String("from", arrival.From.Number.Masked()), zap.String("to", arrival.To.Masked()))
	leg = leg.WithLogger(log)
	if settings.Correlate {
		leg.Correlate(arrival.CallID)
	}

	around.Logger = log
	profile, from, err := s.subscriber(ctx, around, &arrival, settings.Region)
	if err != nil {
		// Fail open: the operator's own dialplan knows nothing of us and works.
		s.counts.StoreDown.Add(1)
		s.meter.Over(StoreDown)
		log.Warn("no profile to be had, the call goes back to the dialplan", zap.Error(err))
		return
	}
	rec := call.Record{
		ID: uuid.NewString(), Owner: s.options.Instance, UUID: arrival.UUID, Node: arrival.Node,
		Arrival: arrival, Started: arrival.At, Updated: arrival.At,
	}
	look, looked := context.WithDeadline(ctx, arrival.At.Add(lookAroundTime)) // what the profile has left of it
	world := around.Look(look, arrival, profile, from, settings.Region, settings.Treat)
	looked()
	s.run(ctx, leg, rec, settings, profile, world, log)
}

func (s *Sidecar) run(ctx context.Context, leg *fsw.Leg, rec call.Record, settings *Settings, profile *account.Profile, world call.World, log *zap.Logger) {
	keep, ours := func(call.Record) {}, profile != nil && !rec.Arrival.PilotsOnly || world.Retrieves != nil || rec.Arrival.Access != ""
	if ours {
		var states order
		keep = func(r call.Record) { s.options.Ledger.Keep(states.next(r)) }
		leg.OnAnswer(func(at time.Time) {
			if rec.Updated = at; rec.Answered.IsZero() { // else he was asked something before
				rec.Answered = at
			}
			keep(rec)
		})
	}
	safe := false
	defer func() {
		if safe { // else a panic, which the server catches
			return
		}
		s.counts.Broken.Add(1)
		s.meter.Over(Ending(call.Broken))
		rec.Updated = time.Now()
		if ours && s.orphaned(ctx, leg, rec, "a fault of the sidecar") {
			return
		}
		rec.Result, rec.Ended, rec.Note = call.Broken, rec.Updated, "a fault of the sidecar, the operator's own dialplan has the call"
		keep(rec)
	}()
	rec.Plan = treat.Plan(rec.Arrival, profile, world, settings.Treat)
	keep(rec)
	if s.options.Conferences != nil && rec.Plan.Access != nil {
		s.options.Conferences.Decided(conference.Host{Account: profile.Account, Number: profile.Number}, rec)
	}
	tools := treat.Tools{Settings: settings.Treat, Resolver: settings.Resolver, Spool: settings.Spool}
	tools.Conference = conference.Tools{Rooms: s.options.Conferences, Music: settings.Music}
	tools.Progress = func(r call.Record) {
		rec.Steps, rec.Result = r.Steps, r.Result
		r.Answered = rec.Answered
		keep(r)
		s.meter.Step(r.Steps[len(r.Steps)-1])
	}
	done, err := treat.Run(ctx, s.verbs(leg), rec, tools)
	done.Answered = rec.Answered
	safe = true
	if !ours {
		s.counts.HandedBack.Add(1)
		s.meter.Over(NotOurs)
		log.Debug("not ours, handed back")
		return
	}
	if leg.Left() {
		s.leave(leg, &done, log)
		keep(done)
		return
	}
	if err != nil && stopped(ctx) && !leg.HungUp() {
		done.Result = ""
		s.leave(leg, &done, log)
		keep(done)
		return
	}
	if err != nil {
		s.broke(&done, err, log)
		if s.orphaned(ctx, leg, done, "the connection to the call was lost") {
			s.meter.Over(Left)
			return
		}
	} else {
		s.ended(ctx, leg, &done, log)
	}
	if done.Result == call.CallerGone && !done.Answered.IsZero() && !leg.Greeted() {
		done.Result = call.Answered // a conversation so short that FreeSWITCH took its end for a caller who gave up
	}
	if err != nil || leg.HungUp() { // else it was over for us with the last step
		done.Updated = time.Now()
	}
	done.Ended = done.Updated
	keep(done)
	s.meter.Over(Ending(done.Result))
	log.Info("call over", zap.String("result", string(done.Result)), zap.String("cause", done.Cause),
		zap.Int("steps", len(done.Steps)), zap.Duration("after", done.Ended.Sub(done.Started)))
	leg.Linger(ctx)
}

// ended waits for the last of a call whose plan is through, and notes what that tells.
func (s *Sidecar) ended(ctx context.Context, leg *fsw.Leg, rec *call.Record, log *zap.Logger) {
	rec.Cause = leg.Over(context.WithoutCancel(ctx))
	if rec.Result == call.CallerGone && leg.TakenBack() {
		s.broke(rec, fsw.ErrTakenAway, log)
	}
	if !leg.HungUp() && rec.Note == "" {
		rec.Note = "the caller was transferred away; freeswitch has the call"
	}
}

// order numbers the states of one record: a store keeps the one with the latest Updated, and a clock that is stepped back during a
// call, or FreeSWITCH's own that is ahead of ours, shall not hide what comes later.
type order struct{ last time.Time }

func (o *order) next(r call.Record) call.Record {
	r.Updated = r.Updated.Round(0) // what the clock said; the store keeps no more
	if !r.Updated.After(o.last) {
		r.Updated = o.last.Add(time.Nanosecond)
	}
	o.last = r.Updated
	return r
}

// leave notes that we are stopping and FreeSWITCH goes on with the call. Its end is for the next sidecar to see; where no link
// will show it, the record ends here.
func (s *Sidecar) leave(leg *fsw.Leg, rec *call.Record, log *zap.Logger) {
	s.meter.Over(Left)
	rec.Updated = time.Now()
	rec.Note = "the sidecar was stopped during the call, freeswitch went on with it"
	if rec.Answered.IsZero() || leg.Greeted() {
		s.counts.LeftWaiting.Add(1)
	} else {
		s.counts.LeftTalking.Add(1)
	}
	if s.options.Linked != nil && !s.options.Linked(rec.Node) {
		rec.Ended = rec.Updated
		rec.Note += "; its end was not seen"
		if rec.Result = call.Broken; !rec.Answered.IsZero() {
			rec.Result = call.Answered
		}
	}
	log.Info("call left to freeswitch", zap.Bool("talking", !rec.Answered.IsZero()))
}

// orphaned deals with a call of parties who talk and go on without us, and reports whether it was one. Its record stays open for
// the Undertaker, who sees the end on the node's link; where there is no link it is closed with what is known.
func (s *Sidecar) orphaned(ctx context.Context, leg *fsw.Leg, rec call.Record, why string) bool {
	if leg.HungUp() || leg.Moved() && rec.Answered.IsZero() {
		return false
	}
	if !leg.Moved() {
		leg.Drop() // what there is to find out is found out while FreeSWITCH goes on with the call
	}
	rec.Result, rec.Updated = "", time.Now()
	rec.Note = why + " during the conversation, freeswitch went on with it"
	talks := !rec.Answered.IsZero() && !leg.Greeted() // as far as we know
	if s.options.Orphans != nil && s.options.Orphans.Adopt(context.WithoutCancel(ctx), rec, talks) {
		return true
	}
	if !talks {
		return false
	}
	rec.Result, rec.Ended = call.Answered, rec.Updated
	rec.Note += "; its end was not seen, for its node has no event_socket configured"
	s.options.Ledger.Keep(rec)
	return true
}

// stopped reports whether it was us who ended a session, because the time to drain was over. ctx ends with the connection
// too, and a connection that FreeSWITCH closed is another story: nobody would look at an open record of ours again.
func stopped(ctx context.Context) bool {
	cause := context.Cause(ctx)
	return errors.Is(cause, context.Canceled) || errors.Is(cause, esl.ErrClosed)
}

// broke notes why a leg went out of our hands. FreeSWITCH has the call now.
func (s *Sidecar) broke(rec *call.Record, err error, log *zap.Logger) {
	s.counts.Broken.Add(1)
	rec.Result = call.Broken
	rec.Note = "the sidecar lost the call, the operator's own dialplan has it: " + err.Error()
	if errors.Is(err, esl.ErrDisconnected) {
		rec.Note = "freeswitch closed the connection: the guard fired, the call was transferred, or the switch was stopped"
	}
	log.Warn("call lost", zap.Error(err))
}

// arrival takes the token first; without a good one what FreeSWITCH's variables still know.
func (s *Sidecar) arrival(session *esl.Session, settings *Settings, now time.Time) call.Arrival {
	channel := session.Channel()
	node := s.options.Node(channel.Get("Core-UUID"), session.RemoteAddr().String())
	a := fsw.Variables(channel, node, settings.Region, now)
	header := fsw.Token(channel)
	if header == "" || settings.Tokens == nil {
		return a
	}
	evidence, err := settings.Tokens.Check(header, a.CallID, a.UUID, now)
	if err != nil {
		s.counts.TokensRefused.Add(1)
		s.log.Warn("token refused: the call counts as not screened", zap.String("uuid", a.UUID), zap.Error(err))
		return a
	}
	s.counts.Screened.Add(1)
	region := settings.Region
	if evidence.Region != "" && evidence.Region != region {
		// The trunk's national numbers are another country's: who called and who was called are read again, as the proxy did.
		region = evidence.Region
		a = fsw.Variables(channel, node, region, now)
	}
	a = withEvidence(a, evidence, region)
	tel.MarkPrivate(a.Diversions, a.History, fsw.Privacy(channel), region)
	return a
}

// withEvidence replaces what FreeSWITCH lost by what the proxy saw. region is where the trunk's national numbers are read.
func withEvidence(a call.Arrival, e token.Evidence, region string) call.Arrival {
	a.Evidence = call.EvidenceToken
	a.Verdict = e.Verdict
	a.Trunk = e.Trunk
	a.Source = e.Source
	a.Diversions = tel.ParseDiversions(e.Diversion, region)
	a.History = tel.ParseHistory(e.HistoryInfo)
	a.Target, a.Cause = e.Target, e.Cause
	return a
}

// subscriber finds out whom a call is for, and times it.
func (s *Sidecar) subscriber(ctx context.Context, around Around, a *call.Arrival, region string) (*account.Profile, *call.Forward, error) {
	if a.To == "" {
		return nil, nil, nil
	}
	began := time.Now()
	p, from, err := around.Subscriber(ctx, a, region)
	outcome := "found"
	switch {
	case err != nil:
		outcome = "unavailable"
	case p == nil:
		outcome = "unknown"
	}
	s.meter.Profile(outcome, time.Since(began))
	return p, from, err
}
