package mwi

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/signalbox/signalbox/internal/store"
)

// ErrBody means that a text is no application/simple-message-summary.
var ErrBody = errors.New("no message summary")

// maxCount is the largest count that is believed; larger ones are taken for it.
const maxCount = 9999

// ParseBody reads an application/simple-message-summary (RFC 3842 section 5.2): whose mailbox it says it is, "" when it does not say,
// and its voice messages. A summary that gives no counts counts one new message when it says that there are some.
func ParseBody(body []byte) (mailbox string, counts store.Counts, err error) {
	waiting, counted := "", false
	for line := range strings.SplitSeq(string(body), "\n") {
		name, value, ok := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		if !ok {
			continue
		}
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "messages-waiting":
			waiting = strings.ToLower(value)
		case "message-account":
			mailbox = value
		case "voice-message":
			if counts, err = ParseCounts(value); err != nil {
				return "", store.Counts{}, err
			}
			counted = true
		}
	}
	if waiting != "yes" && waiting != "no" {
		return "", store.Counts{}, fmt.Errorf("%w: Messages-Waiting is neither yes nor no", ErrBody)
	}
	if !counted && waiting == "yes" {
		counts.New = 1
	}
	return mailbox, counts, nil
}

// ParseCounts reads "2/1 (1/0)": new and old messages, and in brackets those of them that are urgent.
func ParseCounts(s string) (store.Counts, error) {
	all, urgent, bracket := strings.Cut(s, "(")
	n, o, err := pair(all)
	c := store.Counts{New: n, Old: o}
	if err == nil && bracket {
		c.UrgentNew, c.UrgentOld, err = pair(strings.TrimSuffix(strings.TrimSpace(urgent), ")"))
	}
	if err != nil {
		return store.Counts{}, fmt.Errorf("%w: %.40q are no counts", ErrBody, s)
	}
	return c, nil
}

func pair(s string) (first, second int, err error) {
	a, b, ok := strings.Cut(s, "/")
	if !ok {
		return 0, 0, ErrBody
	}
	if first, err = count(a); err == nil {
		second, err = count(b)
	}
	return first, second, err
}

func count(s string) (int, error) {
	s = strings.TrimSpace(s)
	if s == "" || len(s) > 10 || strings.Trim(s, "0123456789") != "" {
		return 0, ErrBody
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return int(min(n, maxCount)), err
}
