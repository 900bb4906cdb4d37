package encode

import (
	"fmt"
	"strings"
)

// MessageWaiting is the event by which mod_sofia tells every phone registered as User@Host of its messages (RFC 3842).
type MessageWaiting struct {
	User, Host string
	Profile    string // the Sofia profile they are registered at; "" = mod_sofia looks for it by Host
	// New and Old are messages that were not heard and that were; those of them that are urgent stand behind.
	New, Old, UrgentNew, UrgentOld int
	Mark, By                       string // a header of its own, and its value: who sent the event; Mark "" = none
}

// Message returns the message "sendevent MESSAGE_WAITING" with its headers. mod_sofia copies the headers that begin with MWI-, and no others.
func (m MessageWaiting) Message() (string, error) {
	err := firstErr(checkDirectoryUser(m.User), checkHost("domain", m.Host))
	if m.Profile != "" {
		err = firstErr(err, checkName("profile", m.Profile))
	}
	if m.Mark != "" {
		err = firstErr(err, checkAlphabet("header", m.Mark, "-", 64), checkAlphabet("value", m.By, "-_./:", 128))
	}
	for _, n := range []int{m.New, m.Old, m.UrgentNew, m.UrgentOld} {
		if n < 0 {
			err = firstErr(err, fmt.Errorf("%d messages: %w", n, ErrInvalid))
		}
	}
	if err != nil {
		return "", fmt.Errorf("message waiting: %w", err)
	}
	waiting := "no"
	if m.New > 0 {
		waiting = "yes"
	}
	var b strings.Builder
	b.WriteString("sendevent MESSAGE_WAITING\nMWI-Messages-Waiting: " + waiting)
	fmt.Fprintf(&b, "\nMWI-Message-Account: sip:%s@%s\nMWI-Voice-Message: %d/%d (%d/%d)", m.User, m.Host, m.New, m.Old, m.UrgentNew, m.UrgentOld)
	if m.Profile != "" {
		b.WriteString("\nSofia-Profile: " + m.Profile)
	}
	if m.Mark != "" {
		b.WriteString("\n" + m.Mark + ": " + m.By)
	}
	return b.String(), nil
}
