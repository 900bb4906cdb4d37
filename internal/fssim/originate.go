package fssim

import (
	"strings"
	"time"

	"go.uber.org/zap"
)

// pollTime is how often FreeSWITCH looks at the legs it rings: what runs on their answer and takes no longer has run
// when the bridge begins.
const pollTime = 20 * time.Millisecond

// defaultTimeout is how long a bridge rings without call_timeout or originate_timeout.
const defaultTimeout = 60

// earlyMedia is what ignore_early_media makes of a leg's early media.
type earlyMedia int

const (
	earlyBridges earlyMedia = iota // it ends the attempt with success, and the bridge begins
	earlyIgnored                   // true, consume: the attempt goes on until an answer
	earlyRings                     // ring_ready: as ignored, and the caller of a single leg gets 180
)

// earlyMediaOf reads ignore_early_media; what it does not know changes nothing.
func earlyMediaOf(v string) earlyMedia {
	switch {
	case isTrue(v), v == "consume":
		return earlyIgnored
	case v == "ring_ready":
		return earlyRings
	}
	return earlyBridges
}

// attempt is one group of a dial string while it rings.
type attempt struct {
	a        *channel // who calls; nil for api originate
	wake     chan struct{}
	legs     []*channel
	begun    time.Time
	timeout  int // seconds
	progress int
	early    earlyMedia
	relayed  bool
}

// originate dials and returns the leg that answered (or has early media), or the cause why none did. With a caller it
// is called by the caller's owner.
func (s *Switch) originate(a *channel, arg string) (*channel, cause) {
	if a != nil {
		a.set("originate_disposition", "failure")
		a.set("DIALSTATUS", "INVALIDARGS")
	}
	d, err := parseDialString(arg)
	if err != nil {
		return nil, s.disposition(a, causeOutOfOrder)
	}
	early := varOf(d.vars, "ignore_early_media")
	if early == "" && a != nil {
		early = a.get("ignore_early_media")
	}
	t := &attempt{a: a, wake: make(chan struct{}, 1), timeout: defaultTimeout, early: earlyMediaOf(early)}
	if a != nil {
		t.wake = a.wake
		if n := atoi(a.get("call_timeout")); n > 0 {
			t.timeout = n
		}
	}
	if n := atoi(varOf(d.vars, "originate_timeout")); n > 0 {
		t.timeout = n
	}
	t.progress = t.timeout
	if n := atoi(varOf(d.vars, "progress_timeout")); n > 0 {
		t.progress = n
	}
	last := causeOutOfOrder
	for _, group := range d.groups {
		peer, cs, timedOut := s.tryGroup(t, group, d.vars)
		last = cs
		s.disposition(a, cs)
		if peer != nil {
			peer.becomesUser()
			return peer, causeSuccess
		}
		if timedOut || a != nil && !a.ready() || s.stopped() {
			break
		}
	}
	return nil, last
}

// becomesUser gives a leg that was dialled by "user/" the variables of its user, once it has answered.
func (c *channel) becomesUser() {
	if !c.dialed {
		return
	}
	c.set("originate_endpoint", "user")
	u := c.s.user(c.get("dialed_user"), c.get("dialed_domain"))
	if u == nil {
		return
	}
	for _, v := range u.Vars {
		c.set(v.Name, v.Value)
	}
}

// disposition tells the caller's channel how a bridge ended.
func (s *Switch) disposition(a *channel, cs cause) cause {
	if a != nil {
		a.set("originate_disposition", cs.String())
		if cs == causeSuccess {
			a.set("DIALSTATUS", "SUCCESS")
		} else {
			a.set("DIALSTATUS", dialStatus(cs))
		}
	}
	return cs
}

// tryGroup rings the legs of one group at once.
func (s *Switch) tryGroup(t *attempt, group []dialLeg, vars []variable) (*channel, cause, bool) {
	reason := causeNone
	t.legs = nil
	t.begun = time.Now()
	for _, l := range group {
		if t.a != nil && !t.a.ready() {
			break
		}
		dests, cs := s.findDestination(t.a, l)
		if cs != causeSuccess {
			reason = cs
			continue
		}
		for _, d := range dests {
			if leg := s.launch(t, d, l, vars); leg != nil {
				t.legs = append(t.legs, leg)
			} else {
				reason = causeTemporaryFailure
			}
		}
	}
	if len(t.legs) == 0 {
		if t.a != nil && !t.a.ready() {
			return nil, causeOriginatorCancel, false
		}
		return nil, reason, false
	}
	for _, leg := range t.legs {
		defer leg.watch(t.wake)()
	}
	if t.a != nil && t.a.isAnswered() {
		t.a.setCallState(ccsWait)
	}
	peer, cs, timedOut := t.ring()
	t.settle(peer, cs, timedOut)
	if peer != nil && t.a != nil {
		t.a.takeUp(peer)
	}
	if t.a != nil {
		for _, leg := range t.legs {
			t.a.push("originate_causes", leg.uuid+";"+leg.getCause().String())
		}
	}
	return peer, cs, timedOut
}

// launch starts one leg.
func (s *Switch) launch(t *attempt, d destination, l dialLeg, vars []variable) *channel {
	leg := s.newLeg(t.a, d, l, vars)
	if !s.register(leg) {
		return nil
	}
	if t.a != nil {
		a := t.a
		leg.set("call_uuid", firstNonEmpty(a.get("call_uuid"), a.uuid))
		a.mu.Lock()
		caller := a.caller
		a.mu.Unlock()
		caller.calleeName, caller.calleeNum = "", ""
		leg.mu.Lock()
		leg.other = &caller
		leg.mu.Unlock()
		a.set("originate_signal_bond", leg.uuid)
		a.push("originated_legs", leg.uuid+";Outbound Call;"+leg.caller.calleeNum)
		leg.set("signal_bond", a.uuid)
		leg.set("originating_leg_uuid", a.uuid)
	}
	d.prof.addDialog(leg)
	leg.fire("CHANNEL_OUTGOING", nil)
	if !s.spawn(leg.run) {
		d.prof.removeDialog(leg)
		s.unregister(leg)
		return nil
	}
	return leg
}

// ring waits for the first answer, for early media where that counts, or for the end of all hope. FreeSWITCH counts
// in whole seconds of the clock; so does this.
func (t *attempt) ring() (*channel, cause, bool) {
	for {
		if t.a != nil {
			t.a.pump()
			if !t.a.ready() {
				if t.moved() && t.sleep() {
					continue
				}
				return nil, causeOriginatorCancel, false
			}
		}
		if peer := t.winner(); peer != nil {
			return peer, causeSuccess, false
		}
		alive := 0
		for _, leg := range t.legs {
			if !leg.down() {
				alive++
			}
		}
		if alive == 0 {
			if t.a != nil && !t.a.ready() { // a leg that took the caller elsewhere ended with that
				return nil, causeOriginatorCancel, false
			}
			return nil, t.firstCause(), false
		}
		t.relayProgress()
		elapsed := int(time.Now().Unix() - t.begun.Unix())
		t.legTimeouts(elapsed)
		if elapsed >= t.timeout {
			return nil, causeNoAnswer, true
		}
		if !t.anyProgress() && elapsed > t.progress {
			return nil, causeProgressTimeout, true
		}
		if !t.sleep() {
			return nil, causeOriginatorCancel, true
		}
	}
}

// moved reports whether a leg that took the caller elsewhere is about to end by itself.
func (t *attempt) moved() bool {
	for _, leg := range t.legs {
		leg.mu.Lock()
		took := leg.tookCaller
		leg.mu.Unlock()
		if took && !leg.down() {
			return true
		}
	}
	return false
}

// sleep waits for news; false when the switch stops.
func (t *attempt) sleep() bool {
	if t.a != nil {
		t.a.wait(tick)
		return !t.a.s.stopped()
	}
	s := t.legs[0].s
	timer := time.NewTimer(tick)
	defer timer.Stop()
	select {
	case <-t.wake:
	case <-timer.C:
	case <-s.done:
		return false
	}
	return true
}

func (t *attempt) winner() *channel {
	for _, leg := range t.legs {
		if !leg.down() && leg.answeredFor(pollTime) && !leg.asked() {
			return leg
		}
	}
	if t.early != earlyBridges {
		return nil
	}
	for _, leg := range t.legs {
		if !leg.down() && leg.hasMedia() && !leg.isAnswered() {
			return leg
		}
	}
	return nil
}

func (t *attempt) firstCause() cause {
	for _, leg := range t.legs {
		if cs := leg.getCause(); cs != causeNone {
			return cs
		}
	}
	return causeOutOfOrder
}

func (t *attempt) anyProgress() bool {
	for _, leg := range t.legs {
		leg.mu.Lock()
		yes := leg.ringing || leg.early || leg.answered
		leg.mu.Unlock()
		if yes {
			return true
		}
	}
	return false
}

// relayProgress gives the caller 180 when a leg rings, or 183 when its own variable ringback asks for a tone. With
// ring_ready the early media of a single leg is a ring too.
func (t *attempt) relayProgress() {
	if t.a == nil || t.relayed {
		return
	}
	for _, leg := range t.legs {
		leg.mu.Lock()
		ringing := leg.ringing
		media := leg.early && t.early == earlyRings && len(t.legs) == 1
		leg.mu.Unlock()
		if !ringing && !media {
			continue
		}
		t.relayed = true
		if len(t.legs) == 1 {
			t.a.showCallee(leg)
		}
		if ringing && t.a.get("ringback") != "" {
			t.a.preAnswer(nil)
		} else {
			t.a.ringReady()
		}
		return
	}
}

// showCallee publishes whom the caller reached.
func (c *channel) showCallee(leg *channel) {
	leg.mu.Lock()
	name, number := leg.caller.calleeName, leg.caller.calleeNum
	leg.mu.Unlock()
	c.mu.Lock()
	c.caller.calleeName, c.caller.calleeNum = name, number
	c.mu.Unlock()
}

// legTimeouts hangs up the legs that are over their own limits.
func (t *attempt) legTimeouts(elapsed int) {
	for _, leg := range t.legs {
		if leg.down() {
			continue
		}
		leg.mu.Lock()
		progress := leg.ringing || leg.early || leg.answered
		leg.mu.Unlock()
		if n := atoi(leg.get("leg_progress_timeout")); n > 0 && elapsed > n && !progress {
			leg.hangup(causeProgressTimeout)
			continue
		}
		if n := atoi(leg.get("leg_timeout")); n > 0 && elapsed > n {
			leg.hangup(causeAllottedTimeout)
		}
	}
}

// settle ends the legs that lost.
func (t *attempt) settle(peer *channel, cs cause, timedOut bool) {
	for _, leg := range t.legs {
		if leg == peer || leg.down() {
			continue
		}
		switch {
		case timedOut:
			leg.hangup(cs)
		case peer != nil:
			leg.hangup(causeLoseRace)
		default:
			leg.hangup(causeOriginatorCancel)
		}
	}
}

// bridge is the application: dial, and talk when somebody answers.
func appBridge(c *channel, arg string) {
	if arg == "" {
		return
	}
	peer, cs := c.s.originate(c, arg)
	if peer == nil {
		c.ringsNoMore()
		c.set("originate_failed_cause", cs.String())
		c.handleCause(cs)
		return
	}
	c.s.log.Debug("bridge", zap.String("uuid", c.uuid), zap.String("peer", peer.uuid))
	c.talk(peer)
}

// takeUp answers the caller, or opens early media, as the leg that took the call has; his own data still say that the
// bridge is being tried.
func (c *channel) takeUp(peer *channel) {
	sdp := peer.get("switch_r_sdp")
	c.showCallee(peer)
	c.mu.Lock()
	c.store("switch_m_sdp", sdp)
	c.store("video_media_flow", "inactive")
	c.store("text_media_flow", "inactive")
	c.mu.Unlock()
	if peer.isAnswered() {
		c.answer([]byte(sdp))
	} else {
		c.preAnswer([]byte(sdp))
	}
}

// ringsNoMore ends the wait of an answered caller.
func (c *channel) ringsNoMore() {
	if c.isAnswered() && !c.down() {
		c.setCallState(ccsActive)
	}
}

// talk connects two legs until one leaves. The caller's owner is here; the other leg's owner waits.
func (c *channel) talk(peer *channel) {
	defer peer.watch(c.wake)()
	peer.mu.Lock()
	prof := peer.caller
	peer.mu.Unlock()
	prof.logical = "inbound"
	c.mu.Lock()
	c.other = &prof
	c.store("signal_bond", peer.uuid)
	c.store("originate_signal_bond", "")
	c.mu.Unlock()
	c.ringsNoMore()
	if !c.ready() {
		peer.hangup(firstCause(c.getCause(), causeOriginatorCancel))
		return
	}
	c.connect(peer)
	answered := peer.isAnswered()
	for c.ready() && !peer.down() && peer.getState() == csExchangeMedia {
		c.pump()
		c.passDigits(peer)
		if !answered && peer.isAnswered() {
			answered = true
			c.answer([]byte(peer.get("switch_r_sdp")))
		}
		if !c.ready() || peer.down() {
			break
		}
		c.wait(tick)
	}
	c.disconnect(peer)
}

func firstCause(cs ...cause) cause {
	for _, c := range cs {
		if c != causeNone {
			return c
		}
	}
	return causeNormalClearing
}

// connect marks two legs as bridged.
func (c *channel) connect(peer *channel) {
	now := micros(time.Now())
	peer.setState(csExchangeMedia)
	for _, pair := range [][2]*channel{{c, peer}, {peer, c}} {
		x, y := pair[0], pair[1]
		name := y.name
		x.mu.Lock()
		x.bridged = y.uuid
		x.mu.Unlock()
		if x == c {
			c.markBridged(now)
			x.fireBridge("CHANNEL_BRIDGE", y.uuid)
		} else { // by its own owner, who may still be telling of the answer
			x.post(func() {
				x.markBridged(now)
				if !x.down() {
					x.setRunning(csExchangeMedia)
				}
			})
		}
		x.set("bridge_to", y.uuid)
		x.set("last_bridge_to", y.uuid)
		x.set("bridge_channel", name)
		x.set("bridge_uuid", y.uuid)
		x.set("signal_bond", y.uuid)
	}
	peer.set("call_uuid", c.uuid)
	c.set("last_sent_callee_id_name", "Outbound Call")
	c.set("last_sent_callee_id_number", peer.caller.calleeNum)
}

// markBridged notes when the leg was connected.
func (c *channel) markBridged(at int64) {
	c.mu.Lock()
	c.caller.bridged = at
	c.mu.Unlock()
}

// disconnect ends a bridge: the other leg is released, and the caller goes on or not, as its variables say.
func (c *channel) disconnect(peer *channel) {
	if cs := c.getCause(); cs != causeNone {
		peer.set("bridge_hangup_cause", cs.String())
	}
	peerCause := peer.getCause()
	if !peer.down() && peer.getState() != csExchangeMedia { // it was transferred away
		peerCause = causeNormalClearing
	} else if !peer.down() {
		moved := c.movedAway()
		peer.mu.Lock()
		peer.bridged = ""
		peer.store("bridge_to", "")
		if moved { // it learns nothing of the leg it left
			peer.store("signal_bond", "")
		}
		peer.mu.Unlock()
		if peer.isAnswered() {
			peer.hangup(causeNormalClearing)
		} else { // a bridge in early media is withdrawn
			peer.hangup(causeOriginatorCancel)
		}
		peerCause = peer.getCause()
	}
	for _, x := range []*channel{c, peer} {
		x.mu.Lock()
		x.bridged = ""
		x.store("bridge_to", "")
		x.mu.Unlock()
	}
	c.set("bridge_hangup_cause", peerCause.String())
	c.fireBridge("CHANNEL_UNBRIDGE", peer.uuid)
	c.mu.Lock()
	transferred := c.transfer != nil || c.state >= csReset
	c.mu.Unlock()
	if transferred {
		return
	}
	if !peer.isAnswered() {
		c.handleCause(peerCause)
		return
	}
	hup := c.get("hangup_after_bridge")
	if strings.EqualFold(hup, "explicit") || isTrue(hup) {
		c.hangup(peerCause)
	}
}

// handleCause decides whether a failed bridge ends the call: continue_on_fail, failure_causes, and without both the
// three causes FreeSWITCH always goes on after.
func (c *channel) handleCause(cs cause) {
	if c.down() {
		return
	}
	cont, haveCont := c.lookup("continue_on_fail")
	fail, haveFail := c.lookup("failure_causes")
	names := func(list string) bool {
		for n := range strings.SplitSeq(list, ",") {
			n = strings.TrimSpace(n)
			if strings.EqualFold(n, cs.String()) || n == itoa(int(cs)) {
				return true
			}
		}
		return false
	}
	switch {
	case haveFail && !names(fail):
		return
	case haveCont && (isTrue(cont) || names(cont)):
		return
	case !haveCont && !haveFail && (cs == causeNoAnswer || cs == causeNoUserResponse || cs == causeOriginatorCancel):
		return
	}
	c.mu.Lock()
	moving := c.transfer != nil || c.state == csRouting
	c.mu.Unlock()
	if !moving {
		c.hangup(cs)
	}
}
