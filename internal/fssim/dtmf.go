package fssim

import (
	"encoding/binary"
	"strconv"
	"strings"

	"github.com/signalbox/signalbox/esl/wire"
)

// Bounds of digits: how many wait on one channel, FreeSWITCH's own, and the lengths it makes of a press, in samples.
const (
	maxDigits    = 1000
	minDigit     = 400
	defaultDigit = 2000
	maxDigit     = 192000
)

// digit is one DTMF press.
type digit struct {
	key     byte
	samples int
	source  string // RTP, ENDPOINT (SIP INFO) or APP
}

func isDigit(k byte) bool { return strings.IndexByte("0123456789*#ABCDabcdFfwW", k) >= 0 }

// queueDigit lets a digit wait for whoever on the channel reads digits.
func (c *channel) queueDigit(d digit) {
	c.mu.Lock()
	if c.state < csHangup && len(c.digits) < maxDigits {
		c.digits = append(c.digits, d)
	}
	c.mu.Unlock()
	c.signal()
}

// nextDigit takes a key off the queue, which publishes it as DTMF. Owner only.
func (c *channel) nextDigit() (byte, bool) {
	d, ok := c.takeDigit()
	return d.key, ok
}

func (c *channel) takeDigit() (digit, bool) {
	c.mu.Lock()
	if len(c.digits) == 0 {
		c.mu.Unlock()
		return digit{}, false
	}
	d := c.digits[0]
	c.digits = c.digits[1:]
	c.pressed += string(d.key)
	c.mu.Unlock()
	d.samples = min(max(d.samples, minDigit), maxDigit)
	c.fire("DTMF", []wire.Field{{Name: "DTMF-Digit", Value: string(d.key)},
		{Name: "DTMF-Duration", Value: strconv.Itoa(d.samples)}, {Name: "DTMF-Source", Value: d.source}})
	return d, true
}

// passDigits takes the keys of a caller who is connected, and sends the other leg as RFC 4733 those that have not come so. Owner only.
func (c *channel) passDigits(peer *channel) {
	for {
		d, ok := c.takeDigit()
		if !ok {
			return
		}
		r, payload := c.leg.relay, telephoneEvent([]byte(peer.get("switch_r_sdp")))
		if r != nil && payload != 0 && d.source != "RTP" && d.source != "INBAND_AUDIO" { // these are in the voice
			r.sendKey(d, payload)
		}
	}
}

// swallowDigits takes the digits that nobody waits for, as a parked channel does. Owner only.
func (c *channel) swallowDigits() {
	for {
		if _, ok := c.nextDigit(); !ok {
			return
		}
	}
}

// apiRecvDTMF is "uuid_recv_dtmf <uuid> <digits>[@milliseconds][+...]": the channel has pressed them.
func apiRecvDTMF(s *Switch, _ *channel, arg string) string {
	const usage = "-USAGE: <uuid> <dtmf_data>\n"
	a := splitArgs(arg, 2)
	if len(a) < 2 {
		return usage
	}
	c := s.find(a[0])
	if c == nil {
		return "-ERR Cannot locate session!\n"
	}
	sent := false
	for _, group := range separate(strings.TrimPrefix(a[1], "~"), '+') {
		keys, ms, timed := strings.Cut(group, "@")
		samples := defaultDigit
		if timed && atoi(ms)*8 > minDigit {
			samples = atoi(ms) * 8
		}
		for i := range len(keys) {
			if isDigit(keys[i]) {
				c.queueDigit(digit{keys[i], samples, "APP"})
				sent = true
			}
		}
	}
	if !sent {
		return usage
	}
	return "+OK " + a[0] + " received DTMF " + a[1] + ".\n"
}

// onInfo takes the key out of an INFO inside a call (application/dtmf-relay and application/dtmf), which counts only on a channel with
// rtp_liberal_dtmf.
func (p *profile) onInfo(m *sipMessage) {
	kind, _, _ := strings.Cut(strings.ToLower(m.get("Content-Type")), ";")
	d := digit{samples: defaultDigit, source: "ENDPOINT"}
	switch strings.TrimSpace(kind) {
	case "application/dtmf-relay":
		for line := range strings.Lines(string(m.body)) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
			switch value = strings.TrimSpace(value); {
			case strings.EqualFold(name, "signal") && value != "":
				d.key = infoKey(value)
			case strings.EqualFold(name, "duration") && atoi(value) > 0:
				d.samples = atoi(value) * 8
			}
		}
	case "application/dtmf":
		d.key = infoKey(strings.TrimSpace(string(m.body)))
	}
	if c := p.dialog(m); c != nil && d.key != 0 && c.hasLiberalDTMF() {
		c.queueDigit(d)
	}
}

// infoKey reads a key, or its number by RFC 4733.
func infoKey(v string) byte {
	if v == "" {
		return 0
	}
	if strings.IndexByte("*#ABCD", v[0]) >= 0 {
		return v[0]
	}
	if n := atoi(v); n >= 0 && n < len(rtpKeys) {
		return rtpKeys[n]
	}
	return 0
}

// hasLiberalDTMF reports whether rtp_liberal_dtmf was true when the channel got its SDP.
func (c *channel) hasLiberalDTMF() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.liberal
}

// keypad reads the digits out of one stream of RTP (RFC 4733): a press counts once, at the first packet that says it
// has ended.
type keypad struct {
	payload byte // of telephone-event; 0 = the far end offered none
	ended   bool
	stamp   uint32
}

// press returns the digit that a packet ends.
func (k *keypad) press(p []byte) (digit, bool) {
	if k.payload == 0 || len(p) < 16 || p[0]>>6 != 2 || p[1]&0x7f != k.payload {
		return digit{}, false
	}
	at := 12 + 4*int(p[0]&0x0f)
	if p[0]&0x10 != 0 || len(p) < at+4 { // nobody extends the header of a digit
		return digit{}, false
	}
	stamp := binary.BigEndian.Uint32(p[4:])
	event, end := p[at], p[at+1]&0x80 != 0
	if !end || k.ended && k.stamp == stamp || int(event) >= len(rtpKeys) {
		return digit{}, false
	}
	k.ended, k.stamp = true, stamp
	return digit{rtpKeys[event], int(binary.BigEndian.Uint16(p[at+2:])), "RTP"}, true
}

// rtpKeys are the events of RFC 4733 section 3.2 by their number.
const rtpKeys = "0123456789*#ABCD"

// telephoneEvent is the payload type of telephone-event in an SDP; 0 = none.
func telephoneEvent(sdp []byte) byte {
	for line := range strings.SplitSeq(string(sdp), "\n") {
		rest, ok := strings.CutPrefix(line, "a=rtpmap:")
		pt, name, ok2 := strings.Cut(rest, " ")
		if n := atoi(pt); ok && ok2 && strings.HasPrefix(strings.ToLower(name), "telephone-event/") && n > 0 && n < 128 {
			return byte(n)
		}
	}
	return 0
}
