package fssim

import (
	"regexp"
	"strings"
	"time"

	"go.uber.org/zap"
)

// play plays a sound and hears digits meanwhile: one that onDigit takes ends it. It reports
// whether there is such a sound. Owner only.
func (c *channel) play(sound string, onDigit func(key byte) bool) (found bool) {
	src, ok := openSound(sound)
	if !ok {
		c.s.log.Info("sound not found", zap.String("uuid", c.uuid), zap.String("file", sound))
		return false
	}
	d := src.Length()
	began := time.Now()
	end := began.Add(d)
	heard := player{r: c.leg.relay, src: src, began: began}
	step := tick
	if heard.r != nil {
		step = frameTime
	}
	defer func() { c.notePlayed(min(time.Since(began), d)) }()
	for c.ready() && !c.broken() {
		c.pump()
		heard.play()
		for {
			key, ok := c.nextDigit()
			if !ok {
				break
			}
			if onDigit(key) {
				return true
			}
		}
		left := time.Until(end)
		if left <= 0 || !c.ready() {
			break
		}
		c.wait(min(left, step))
	}
	return true
}

// notePlayed says how much of a sound was heard.
func (c *channel) notePlayed(d time.Duration) {
	ms := int(d.Milliseconds()) / 20 * 20
	c.set("playback_seconds", itoa(ms/1000))
	c.set("playback_ms", itoa(ms))
	c.set("playback_samples", itoa(ms*8))
	c.set("playback_last_offset_pos", itoa(ms*8))
}

// readStatus is how a read ended, in FreeSWITCH's terms.
type readStatus int

const (
	readSuccess readStatus = iota
	readTimeout
	readTooSmall
	readFailed
)

// order is what read and play_and_get_digits collect.
type order struct {
	least, most      int
	first, next      time.Duration // until the first digit, between digits
	terminators      string
	prompt, variable string
}

// newOrder applies FreeSWITCH's bounds. nextMS 0 = as first.
func newOrder(least, most, firstMS, nextMS int, terminators string) order {
	o := order{least: least, most: max(most, least), first: time.Duration(max(firstMS, 1000)) * time.Millisecond,
		next: time.Duration(nextMS) * time.Millisecond, terminators: firstNonEmpty(terminators, "#")}
	if o.next <= 0 {
		o.next = o.first
	}
	return o
}

// appRead is "<min> <max> <sound> <variable> <timeout ms> <terminators> [<digit timeout ms>]".
func appRead(c *channel, arg string) {
	a := splitArgs(arg, 7)
	if len(a) == 0 {
		return
	}
	for len(a) < 7 {
		a = append(a, "")
	}
	o := newOrder(max(atoi(a[0]), 1), atoi(a[1]), atoi(a[4]), atoi(a[6]), a[5])
	o.prompt, o.variable = a[2], a[3]
	c.readDigits(o)
}

// appPlayAndGetDigits is "<min> <max> <tries> <timeout ms> <terminators> <sound> <invalid sound> [<variable> [<regexp>
// [<digit timeout ms> [<'failure_ext failure_dp failure_context'>]]]]".
func appPlayAndGetDigits(c *channel, arg string) {
	a := splitArgs(arg, 11)
	if len(a) == 0 {
		return
	}
	for len(a) < 11 {
		a = append(a, "")
	}
	o := newOrder(max(atoi(a[0]), 0), atoi(a[1]), atoi(a[3]), atoi(a[9]), a[4])
	o.prompt, o.variable = a[5], a[7]
	pattern := a[8]
	if pattern != "" && o.variable != "" {
		c.set(o.variable+"_invalid", "")
	}
	for tries := atoi(a[2]); c.ready() && tries > 0; tries-- {
		digits, status := c.readDigits(o)
		if status == readTimeout && len(digits) >= o.least {
			status = readSuccess
		}
		if o.least == 0 && digits == "" && c.get("read_terminator_used") != "" {
			return
		}
		if status == readSuccess && digits != "" {
			if pattern == "" || matches(pattern, digits) {
				return
			}
			c.set(o.variable, "")
			if o.variable != "" {
				c.set(o.variable+"_invalid", digits)
			}
		}
		if !c.ready() {
			break
		}
		c.play(a[6], func(byte) bool { return false })
	}
	if f := append(splitArgs(a[10], 4), "", "", ""); f[0] != "" && !c.down() {
		c.moveTo(transferTo{dest: f[0], dialplan: f[1], context: f[2]})
	}
}

func matches(pattern, digits string) bool {
	re, err := regexp.Compile(pattern)
	return err == nil && re.MatchString(digits)
}

// readDigits is switch_ivr_read: the first digit ends the prompt, the others follow in silence. Owner only.
func (c *channel) readDigits(o order) (string, readStatus) {
	c.set("read_result", "")
	c.set(o.variable, "")
	if !c.outbound {
		c.preAnswer(nil)
	}
	digits := ""
	if o.prompt != "" && !strings.EqualFold(o.prompt, "silence") {
		if !c.play(o.prompt, func(key byte) bool { digits = string(key); return true }) {
			return "", readFailed
		}
	}
	status := readSuccess
	terminator := ""
	if len(digits) < max(o.least, o.most) {
		digits, terminator, status = c.collect(o, digits)
	}
	if terminator != "" {
		c.set("read_terminator_used", terminator)
		if i := strings.Index(o.terminators, terminator); i > 0 && o.terminators[i-1] == '+' {
			digits += terminator
		}
	} else if strings.HasPrefix(o.terminators, "=") {
		status = readTooSmall
	}
	if len(digits) < o.least {
		status = readTooSmall
	}
	switch status {
	case readSuccess:
		c.set("read_result", "success")
	case readTimeout:
		c.set("read_result", "timeout")
	default:
		c.set("read_result", "failure")
	}
	if o.most == 1 && len(digits) == 1 && strings.Contains(o.terminators, digits) {
		digits = ""
	}
	if digits != "" {
		c.set(o.variable, digits)
	}
	return digits, status
}

// collect waits for the digits that are missing.
func (c *channel) collect(o order, digits string) (got, terminator string, status readStatus) {
	if digits != "" && strings.Contains(o.terminators, digits[:1]) {
		return "", digits[:1], readSuccess
	}
	wait := o.first
	if digits != "" {
		wait = o.next
	}
	began := time.Now()
	for c.ready() {
		c.pump()
		for {
			key, ok := c.nextDigit()
			if !ok {
				break
			}
			wait, began = o.next, time.Now()
			if strings.IndexByte(o.terminators, key) >= 0 {
				return digits, string(key), readSuccess
			}
			if digits += string(key); len(digits) >= o.most {
				return digits, "", readSuccess
			}
		}
		left := wait - time.Since(began)
		if left <= 0 {
			return digits, "", readTimeout
		}
		c.wait(min(left, tick))
	}
	return digits, "", readFailed
}
