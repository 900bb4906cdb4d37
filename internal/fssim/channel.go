package fssim

import (
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/signalbox/signalbox/esl/wire"
)

// chanState is a channel's state, with FreeSWITCH's numbers.
type chanState int

const (
	csNone          chanState = 14
	csNew           chanState = 0
	csInit          chanState = 1
	csRouting       chanState = 2
	csExecute       chanState = 4
	csExchangeMedia chanState = 5
	csPark          chanState = 6
	csConsumeMedia  chanState = 7
	csReset         chanState = 9
	csHangup        chanState = 10
	csReporting     chanState = 11
	csDestroy       chanState = 12
)

func (s chanState) String() string {
	switch s {
	case csNone:
		return "CS_NONE"
	case csNew:
		return "CS_NEW"
	case csInit:
		return "CS_INIT"
	case csRouting:
		return "CS_ROUTING"
	case csExecute:
		return "CS_EXECUTE"
	case csExchangeMedia:
		return "CS_EXCHANGE_MEDIA"
	case csPark:
		return "CS_PARK"
	case csConsumeMedia:
		return "CS_CONSUME_MEDIA"
	case csReset:
		return "CS_RESET"
	case csHangup:
		return "CS_HANGUP"
	case csReporting:
		return "CS_REPORTING"
	}
	return "CS_DESTROY"
}

// callState is what a person would call the state of the call.
type callState int

const (
	ccsDown    callState = 0
	ccsRinging callState = 2
	ccsEarly   callState = 3
	ccsActive  callState = 4
	ccsWait    callState = 6
	ccsHangup  callState = 7
)

func (s callState) String() string {
	switch s {
	case ccsDown:
		return "DOWN"
	case ccsRinging:
		return "RINGING"
	case ccsEarly:
		return "EARLY"
	case ccsActive:
		return "ACTIVE"
	case ccsWait:
		return "RING_WAIT"
	}
	return "HANGUP"
}

// Bounds of one channel. A channel that exceeds maxVariables drops the new variable; one whose owner does not come to
// its queue drops the job. Both are logged and counted.
const (
	maxVariables = 2000
	maxJobs      = 1024
	maxPrivate   = 1000
	maxDepth     = 12 // nested executions, FreeSWITCH's SWITCH_MAX_STACKS is 16
)

type variable struct{ name, value string }

// callerProfile is who calls whom, with the times of the call in microseconds since 1970; 0 = not yet.
type callerProfile struct {
	direction, logical       string
	username, dialplan       string
	cidName, cidNum          string
	origName, origNum        string
	calleeName, calleeNum    string
	netAddr, ani, dest, uuid string
	source, context, rdnis   string
	chanName                 string
	index                    int
	hideName, hideNumber     bool
	profileCreated, created  int64
	answered, progress       int64
	progressMedia, hungup    int64
	bridged                  int64
}

// channel is one leg. Its owner is the goroutine in run: it alone executes applications, and it alone speaks SIP for
// the leg. Other goroutines read and set variables, hang up, transfer, and queue jobs; everything they touch is under
// mu, which is never held while something blocks.
type channel struct {
	s        *Switch
	prof     *profile
	uuid     string
	name     string
	outbound bool
	begun    time.Time
	dialed   bool // by "user/"
	number   int  // session_id

	wake chan struct{} // for the owner, capacity 1

	voice atomic.Pointer[relay] // what hears the party; nil = nothing does

	mu         sync.Mutex
	vars       []variable
	state      chanState
	running    chanState
	call       callState
	cause      cause
	answered   bool
	confirmed  bool // the key of group_confirm_key was pressed
	tookCaller bool // a redirect of this leg moved the caller, and the leg ends by itself
	hooked     bool // what was to run on answer has run
	early      bool
	ringing    bool
	bridged    string // uuid of the other leg while two talk
	hitPlan    bool
	caller     callerProfile
	other      *callerProfile // of the leg this one was bridged with
	transfer   *transferTo
	breakNow   bool
	jobs       []func()
	private    []privateCommand
	digits     []digit // pressed, and read by nobody yet
	pressed    string  // the digits that somebody read
	mixed      bool    // in a conference: read as linear samples
	liberal    bool    // keys by SIP INFO count
	watchers   map[chan struct{}]struct{}
	released   bool // no more SIP for this leg
	hanging    bool // a cause was chosen
	gone       bool // CHANNEL_HANGUP was published
	sends      []func()
	sending    bool
	controller *listener // the outbound connection that has the call

	// Owned by the owner goroutine.
	lock, lockPri int
	depth         int
	controlled    bool
	confMember    int // its number in conferences; 0 = was in none
	appUUID       string
	leg           leg
	lastApp       string
	lastArg       string
}

// transferTo is where a transfer sends a channel; inline means that dest is a list of applications.
type transferTo struct {
	dest, dialplan, context string
	acts                    []action // given = nothing is hunted, and the caller profile stays
	park                    bool     // as well, and the channel waits
}

func (s *Switch) newChannel(p *profile, outbound bool) *channel {
	now := micros(time.Now())
	c := &channel{s: s, prof: p, uuid: newUUID(), outbound: outbound, begun: time.Now(), wake: make(chan struct{}, 1),
		watchers: map[chan struct{}]struct{}{}}
	c.caller.index = 1
	c.caller.uuid = c.uuid
	c.caller.profileCreated, c.caller.created = now, now
	c.caller.direction, c.caller.logical = "inbound", "inbound"
	c.hitPlan = !outbound
	if outbound {
		c.running = csNone
		c.caller.direction, c.caller.logical = "outbound", "outbound"
	}
	return c
}

func micros(t time.Time) int64 { return t.UnixMicro() }

// signal wakes the owner and everybody who watches the channel.
func (c *channel) signal() {
	c.mu.Lock()
	ws := make([]chan struct{}, 0, len(c.watchers)+1)
	for w := range c.watchers {
		ws = append(ws, w)
	}
	c.mu.Unlock()
	for _, w := range append(ws, c.wake) {
		select {
		case w <- struct{}{}:
		default:
		}
	}
}

// watch makes w hear of every change of the channel until the returned function is called.
func (c *channel) watch(w chan struct{}) func() {
	c.mu.Lock()
	c.watchers[w] = struct{}{}
	c.mu.Unlock()
	return func() {
		c.mu.Lock()
		delete(c.watchers, w)
		c.mu.Unlock()
	}
}

// post queues a job for the owner.
func (c *channel) post(job func()) {
	c.mu.Lock()
	if c.released || len(c.jobs) >= maxJobs {
		c.mu.Unlock()
		return
	}
	c.jobs = append(c.jobs, job)
	c.mu.Unlock()
	c.signal()
}

// sendLater queues something to send that may block; one after the other, in order.
func (c *channel) sendLater(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.sends) >= maxJobs {
		return
	}
	c.sends = append(c.sends, f)
	if !c.sending {
		c.sending = c.s.spawn(c.sendAll)
	}
}

// sendAll empties the queue of sendLater.
func (c *channel) sendAll() {
	for {
		c.mu.Lock()
		if len(c.sends) == 0 {
			c.sending = false
			c.mu.Unlock()
			return
		}
		f := c.sends[0]
		c.sends = c.sends[1:]
		c.mu.Unlock()
		f()
	}
}

// runJobs lets the owner do what others queued.
func (c *channel) runJobs() {
	for {
		c.mu.Lock()
		jobs := c.jobs
		c.jobs = nil
		c.mu.Unlock()
		if len(jobs) == 0 {
			return
		}
		for _, j := range jobs {
			j()
		}
	}
}

// wait lets the owner sleep until something changed, at most d.
func (c *channel) wait(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-c.wake:
	case <-t.C:
	case <-c.s.done:
		c.hangup(causeManagerRequest)
	}
}

// ready is switch_channel_ready: the call is up and nothing asked the owner to leave its application.
func (c *channel) ready() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state > csRouting && c.state < csReset && c.transfer == nil
}

func (c *channel) down() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state >= csHangup
}

func (c *channel) getState() chanState {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

func (c *channel) isAnswered() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.answered
}

// answeredFor reports whether the leg is answered and what hangs on its answer has run, or had the time d to run.
func (c *channel) answeredFor(d time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.answered && (c.hooked || micros(time.Now())-c.caller.answered >= d.Microseconds())
}

func (c *channel) hasMedia() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.answered || c.early
}

func (c *channel) getCause() cause {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cause
}

// setState changes the state of a channel that is not hung up.
func (c *channel) setState(s chanState) {
	c.mu.Lock()
	if c.state < csHangup {
		c.state = s
	}
	c.mu.Unlock()
	c.signal()
}

// setRunning is the owner's step into a state, published as CHANNEL_STATE.
func (c *channel) setRunning(s chanState) {
	c.mu.Lock()
	c.running = s
	answered, early := c.answered, c.early
	c.mu.Unlock()
	switch {
	case c.outbound || s >= csHangup:
	case s == csRouting:
		c.setCallState(ccsRinging)
	case answered:
		c.setCallState(ccsActive)
	case early:
		c.setCallState(ccsEarly)
	}
	c.fire("CHANNEL_STATE", nil)
}

func (c *channel) setCallState(s callState) {
	c.mu.Lock()
	old := c.call
	c.call = s
	c.mu.Unlock()
	if old != s {
		c.fire("CHANNEL_CALLSTATE", []wire.Field{{Name: "Original-Channel-Call-State", Value: old.String()},
			{Name: "Channel-Call-State-Number", Value: strconv.Itoa(int(s))}})
	}
}

// hangup ends the call with a cause, from any goroutine; the owner clears the leg. Only the first call counts.
func (c *channel) hangup(cs cause) {
	c.mu.Lock()
	if c.state >= csHangup || c.hanging {
		c.mu.Unlock()
		return
	}
	c.hanging = true
	c.mu.Unlock()
	// The other leg learns the cause before anybody can see that this one is down.
	c.tellPartner("last_bridge_hangup_cause", cs.String())
	if v := c.get("proto_specific_hangup_cause"); v != "" {
		c.tellPartner("last_bridge_proto_specific_hangup_cause", v)
	}
	c.mu.Lock()
	c.cause = cs
	if c.bridged != "" {
		c.store("last_bridge_role", map[bool]string{false: "originator", true: "originatee"}[c.outbound])
	}
	c.mu.Unlock()
	c.fire("CHANNEL_HANGUP", nil) // before anybody can act on it
	c.mu.Lock()
	c.state, c.gone = csHangup, true
	if _, said := c.find("sip_hangup_disposition"); c.leg.gotBye && !said {
		c.store("sip_hangup_disposition", "recv_bye")
	}
	c.mu.Unlock()
	c.signal()
}

// movedAway reports whether a transfer waits for the owner.
func (c *channel) movedAway() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.transfer != nil
}

// partner is the other leg of a bridge or of an attempt to make one, nil when there is none or it is hung up.
func (c *channel) partner() *channel {
	p := c.s.find(firstNonEmpty(c.get("signal_bond"), c.get("originate_signal_bond")))
	if p == nil || p.down() {
		return nil
	}
	return p
}

// tellPartner sets a variable on the other leg; empty removes it.
func (c *channel) tellPartner(name, value string) {
	if p := c.partner(); p != nil {
		p.set(name, value)
	}
}

// get returns a variable, "" when it is not set. Names that differ in case only are different variables; a look-up
// that finds no exact one takes another spelling, as FreeSWITCH does.
func (c *channel) get(name string) string {
	v, _ := c.lookup(name)
	return v
}

func (c *channel) lookup(name string) (string, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.find(name)
}

func (c *channel) find(name string) (string, bool) {
	for _, v := range c.vars {
		if v.name == name {
			return v.value, true
		}
	}
	for _, v := range c.vars {
		if strings.EqualFold(v.name, name) {
			return v.value, true
		}
	}
	return "", false
}

// set stores a variable as the newest; an empty value removes it.
func (c *channel) set(name, value string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.store(name, value)
}

func (c *channel) store(name, value string) {
	for i, v := range c.vars {
		if v.name == name {
			c.vars = append(c.vars[:i], c.vars[i+1:]...)
			break
		}
	}
	if value != "" && name != "" && len(c.vars) < maxVariables {
		c.vars = append(c.vars, variable{name, value})
	}
}

// push appends to a variable that is a list: the second value makes it "ARRAY::a|:b".
func (c *channel) push(name, value string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	old, ok := c.find(name)
	if ok && !strings.HasPrefix(old, "ARRAY::") {
		old = "ARRAY::" + old
	}
	if ok {
		value = old + "|:" + value
	}
	c.store(name, value)
}

// variables returns a copy of all variables, in order.
func (c *channel) variables() []variable {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]variable(nil), c.vars...)
}

// value resolves a name as ${name} does: a variable, or else a field of the caller profile.
func (c *channel) value(name string) (string, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if v, ok := c.find(name); ok {
		return v, true
	}
	p := &c.caller
	field := ""
	switch strings.ToLower(name) {
	case "username":
		field = p.username
	case "dialplan":
		field = p.dialplan
	case "caller_id_name":
		field = p.cidName
	case "caller_id_number":
		field = p.cidNum
	case "orig_caller_id_name":
		field = p.origName
	case "orig_caller_id_number":
		field = p.origNum
	case "callee_id_name":
		field = p.calleeName
	case "callee_id_number":
		field = p.calleeNum
	case "network_addr":
		field = p.netAddr
	case "ani":
		field = p.ani
	case "rdnis":
		field = p.rdnis
	case "destination_number":
		field = p.dest
	case "uuid":
		field = c.uuid
	case "source":
		field = p.source
	case "context":
		field = p.context
	case "chan_name":
		field = p.chanName
	case "direction":
		field = p.direction
	case "state":
		field = c.state.String()
	case "channel_name":
		field = c.name
	case "caller_direction":
		field = p.direction
	}
	if field != "" {
		return field, true
	}
	return c.s.global(name)
}
