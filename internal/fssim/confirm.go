package fssim

import (
	"strings"
	"time"
)

// confirmRead is how long a callee is waited for after the file of group_confirm_file, when group_confirm_read_timeout does not say.
const confirmRead = 5 * time.Second

// confirms reports whether a leg may be taken that was called with group_confirm_key: once the key was pressed.
func (c *channel) confirms() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.confirmed
}

// asked reports whether a leg has to press a key before it is taken, and has not.
func (c *channel) asked() bool { return c.get("group_confirm_key") != "" && !c.confirms() }

// confirm plays group_confirm_file to a leg that has answered, again and again, until it presses the key. Owner only.
func (c *channel) confirm() {
	key, file := c.get("group_confirm_key"), c.get("group_confirm_file")
	read := time.Duration(atoi(c.get("group_confirm_read_timeout"))) * time.Millisecond
	if read <= 0 {
		read = confirmRead
	}
	pressed := ""
	enough := func(k byte) bool {
		pressed += string(k)
		return len(pressed) >= len(key)
	}
	for c.ready() && c.isAnswered() {
		pressed = ""
		if file != "" && !c.play(file, enough) {
			c.hangup(causeOutOfOrder)
			return
		}
		if len(pressed) < len(key) {
			more, _, _ := c.collect(order{most: len(key), first: read, next: read}, pressed)
			pressed = more
		}
		if strings.HasPrefix(pressed, key) {
			c.mu.Lock()
			c.confirmed = true
			c.mu.Unlock()
			c.set("group_dial_status", "winner")
			return
		}
	}
}
