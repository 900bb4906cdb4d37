package fssim

import (
	"strconv"
	"time"

	"github.com/signalbox/signalbox/esl/wire"
)

// carriesVariables tells the events of a channel that say its variables.
func carriesVariables(name string) bool {
	switch name {
	case "CHANNEL_STATE", "CHANNEL_CALLSTATE", "CHANNEL_OUTGOING", "DTMF":
		return false
	}
	return true
}

// fire publishes an event of the channel; extra headers stand behind the channel's data.
func (c *channel) fire(name string, extra []wire.Field) {
	c.s.publish(name, "", append(c.data(carriesVariables(name)), extra...), nil)
}

// fireBridge publishes CHANNEL_BRIDGE and CHANNEL_UNBRIDGE, whose own headers stand in front.
func (c *channel) fireBridge(name, peer string) {
	f := []wire.Field{{Name: "Bridge-A-Unique-ID", Value: c.uuid}, {Name: "Bridge-B-Unique-ID", Value: peer}}
	c.s.publish(name, "", append(f, c.data(true)...), nil)
}

// data are the headers every event of a channel has, in FreeSWITCH's order.
func (c *channel) data(vars bool) []wire.Field {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := make([]wire.Field, 0, 80+len(c.vars))
	add := func(n, v string) {
		if v != "" {
			f = append(f, wire.Field{Name: n, Value: v})
		}
	}
	add("Channel-State", c.running.String())
	add("Channel-Call-State", c.call.String())
	state := c.state
	if c.cause != causeNone {
		state = max(state, csHangup)
	}
	add("Channel-State-Number", strconv.Itoa(int(state)))
	add("Channel-Name", c.name)
	add("Unique-ID", c.uuid)
	add("Call-Direction", c.caller.direction)
	add("Presence-Call-Direction", c.caller.direction)
	add("Channel-HIT-Dialplan", strconv.FormatBool(c.hitPlan))
	if v, ok := c.find("presence_id"); ok {
		add("Channel-Presence-ID", v)
	}
	callUUID := c.uuid
	if v, ok := c.find("call_uuid"); ok {
		callUUID = v
	}
	add("Channel-Call-UUID", callUUID)
	switch {
	case state >= csHangup:
		add("Answer-State", "hangup")
	case c.answered:
		add("Answer-State", "answered")
	case c.early:
		add("Answer-State", "early")
	default:
		add("Answer-State", "ringing")
	}
	if c.cause != causeNone {
		add("Hangup-Cause", c.cause.String())
	}
	if c.early || c.answered {
		for _, rw := range []string{"Read", "Write"} {
			codec, bits := "PCMU", "64000"
			if rw == "Read" && c.mixed {
				codec, bits = "L16", "128000"
			}
			add("Channel-"+rw+"-Codec-Name", codec)
			add("Channel-"+rw+"-Codec-Rate", "8000")
			add("Channel-"+rw+"-Codec-Bit-Rate", bits)
		}
	}
	f = c.caller.append(f, "Caller", true)
	if c.other != nil {
		if c.outbound {
			add("Other-Type", "originator")
		} else {
			add("Other-Type", "originatee")
		}
		f = c.other.append(f, "Other-Leg", false)
	}
	if vars {
		for _, v := range c.vars {
			f = append(f, wire.Field{Name: "variable_" + v.name, Value: v.value})
		}
	}
	return f
}

// append writes the profile with a prefix, empty fields left out.
func (p *callerProfile) append(f []wire.Field, prefix string, index bool) []wire.Field {
	add := func(n, v string) {
		if v != "" {
			f = append(f, wire.Field{Name: prefix + "-" + n, Value: v})
		}
	}
	add("Direction", p.direction)
	add("Logical-Direction", p.logical)
	add("Username", p.username)
	add("Dialplan", p.dialplan)
	add("Caller-ID-Name", p.cidName)
	add("Caller-ID-Number", p.cidNum)
	add("Orig-Caller-ID-Name", p.origName)
	add("Orig-Caller-ID-Number", p.origNum)
	add("Callee-ID-Name", p.calleeName)
	add("Callee-ID-Number", p.calleeNum)
	add("Network-Addr", p.netAddr)
	add("ANI", p.ani)
	add("Destination-Number", p.dest)
	add("Unique-ID", p.uuid)
	add("Source", p.source)
	add("Context", p.context)
	add("RDNIS", p.rdnis)
	add("Channel-Name", p.chanName)
	if index {
		add("Profile-Index", strconv.Itoa(p.index))
	}
	for _, t := range []struct {
		name string
		at   int64
	}{
		{"Profile-Created-Time", p.profileCreated}, {"Channel-Created-Time", p.created},
		{"Channel-Answered-Time", p.answered}, {"Channel-Progress-Time", p.progress},
		{"Channel-Progress-Media-Time", p.progressMedia}, {"Channel-Hangup-Time", p.hungup},
		{"Channel-Transfer-Time", 0}, {"Channel-Resurrect-Time", 0},
		{"Channel-Bridged-Time", p.bridged}, {"Channel-Last-Hold", 0}, {"Channel-Hold-Accum", 0},
	} {
		add(t.name, strconv.FormatInt(t.at, 10))
	}
	add("Screen-Bit", "true")
	add("Privacy-Hide-Name", strconv.FormatBool(p.hideName))
	add("Privacy-Hide-Number", strconv.FormatBool(p.hideNumber))
	return f
}

// setCallTimes writes the variables of the finished call, as switch_channel_set_timestamps does.
func (c *channel) setCallTimes() {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := &c.caller
	set := func(name string, at int64) {
		if at != 0 {
			c.store(name+"_stamp", time.UnixMicro(at).Format("2006-01-02 15:04:05"))
		}
	}
	c.store("hangup_cause", c.cause.String())
	c.store("hangup_cause_q850", strconv.Itoa(c.cause.q850()))
	c.store("digits_dialed", firstNonEmpty(c.pressed, "none"))
	times := []struct {
		name string
		at   int64
	}{{"start", p.created}, {"profile_start", p.profileCreated}, {"answer", p.answered}, {"bridge", p.bridged},
		{"progress", p.progress}, {"progress_media", p.progressMedia}, {"end", p.hungup}}
	for _, t := range times {
		set(t.name, t.at)
	}
	for _, t := range times {
		c.store(t.name+"_epoch", strconv.FormatInt(t.at/1e6, 10))
		c.store(t.name+"_uepoch", strconv.FormatInt(t.at, 10))
	}
	c.store("last_app", c.lastApp)
	c.store("last_arg", c.lastArg)
	if p.cidName == "" {
		c.store("caller_id", p.cidNum)
	} else {
		c.store("caller_id", `"`+p.cidName+`" <`+p.cidNum+`>`)
	}
	since := func(from, to int64) int64 {
		if from == 0 || to < from {
			return 0
		}
		return to - from
	}
	for _, d := range []struct {
		name string
		us   int64
	}{{"duration", since(p.created, p.hungup)}, {"billsec", since(p.answered, p.hungup)},
		{"progresssec", since(p.created, p.progress)}, {"answersec", since(p.created, p.answered)},
		{"waitsec", since(p.created, p.bridged)}, {"progress_mediasec", since(p.created, p.progressMedia)}} {
		c.store(d.name, strconv.FormatInt(d.us/1e6, 10))
	}
	for _, name := range []string{"last_hold_epoch", "last_hold_uepoch", "hold_accum_seconds", "hold_accum_usec",
		"hold_accum_ms", "resurrect_epoch", "resurrect_uepoch"} {
		c.store(name, "0")
	}
	for _, d := range []struct {
		name string
		us   int64
	}{{"flow_bill", since(p.created, p.hungup)}, {"bill", since(p.answered, p.hungup)},
		{"progress", since(p.created, p.progress)}, {"answer", since(p.created, p.answered)},
		{"wait", since(p.created, p.bridged)}, {"progress_media", since(p.created, p.progressMedia)}} {
		c.store(d.name+"msec", strconv.FormatInt(d.us/1e3, 10))
		c.store(d.name+"usec", strconv.FormatInt(d.us, 10))
	}
	c.store("flow_billsec", strconv.FormatInt(since(p.created, p.hungup)/1e6, 10))
	c.store("uduration", strconv.FormatInt(since(p.created, p.hungup), 10))
	c.store("mduration", strconv.FormatInt(since(p.created, p.hungup)/1e3, 10))
}

// q850 is the cause as ISUP would carry it.
func (c cause) q850() int {
	if c > 127 {
		return int(causeNormalClearing)
	}
	return int(c)
}
