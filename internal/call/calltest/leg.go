// Package calltest is a caller's leg for tests of treatments: a small program with behaviour, which keeps what was done
// to it in words. It is not for production. A Leg is used by one goroutine.
package calltest

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/signalbox/signalbox/internal/call"
)

// ErrSwitchGone is what every verb returns once the switch is gone.
var ErrSwitchGone = errors.New("the switch is gone")

// Leg plays a caller's leg. Each target that is rung ends as Answers says.
type Leg struct {
	// Answers says how a target ends: by a device's String, or by "fqdn addr" of a voicemail target. What is not named
	// does not answer.
	Answers map[string]call.Result
	// Dispositions says, for a target that fails, what FreeSWITCH says it failed of, attempt after attempt; the last
	// one stays.
	Dispositions map[string][]string
	// GoneAt has the caller hang up at the n-th verb, from 1; 0 = never.
	GoneAt int
	// LostAt has the switch vanish at the n-th verb, from 1; 0 = never.
	LostAt int

	// Says is how long a recording gets; 0 = the switch cannot record.
	Says time.Duration
	// Presses are the keys at one menu after the other; "" = none, and so at all behind them.
	Presses []string
	// NoPrompts has the switch play no menu.
	NoPrompts bool
	// Joins is how joining a conference ends; "" = Answered.
	Joins call.Result

	Did    []string         // what was done to the leg, in words
	Orders []call.RingOrder // every ring, as ordered
	verbs  int
}

var _ call.Leg = (*Leg)(nil)

func (l *Leg) step(format string, args ...any) (gone bool, err error) {
	l.verbs++
	if l.LostAt != 0 && l.verbs >= l.LostAt {
		return false, ErrSwitchGone
	}
	l.Did = append(l.Did, fmt.Sprintf(format, args...))
	return l.GoneAt != 0 && l.verbs >= l.GoneAt, nil
}

// Waiting implements call.Leg.
func (l *Leg) Waiting(context.Context, time.Duration) error {
	_, err := l.step("waiting")
	return err
}

// Ring implements call.Leg.
func (l *Leg) Ring(_ context.Context, order call.RingOrder) (call.Attempt, error) {
	l.Orders = append(l.Orders, order)
	names := targets(order)
	gone, err := l.step("ring %v", names)
	attempt := call.Attempt{Target: strings.Join(names, ", "), Started: time.Now(), Ended: time.Now(), Result: call.NoAnswer}
	switch {
	case err != nil:
		attempt.Result = call.Broken
		return attempt, err
	case gone:
		attempt.Result = call.CallerGone
		return attempt, nil
	}
	for _, name := range names {
		if result, ok := l.Answers[name]; ok {
			attempt.Result = result
		}
		if list := l.Dispositions[name]; len(list) > 0 {
			attempt.Disposition = list[0]
			if len(list) > 1 {
				l.Dispositions[name] = list[1:]
			}
			if attempt.Disposition == "SUCCESS" {
				attempt.Result = call.Answered
			}
		}
	}
	if attempt.Result == call.Answered && order.Answered != nil {
		order.Answered()
	}
	return attempt, nil
}

func targets(order call.RingOrder) []string {
	if v := order.Voicemail; v != nil {
		return []string{v.FQDN + " " + v.Addr}
	}
	var names []string
	for _, d := range order.Devices {
		names = append(names, d.String())
	}
	return names
}

// Announce implements call.Leg.
func (l *Leg) Announce(_ context.Context, prompt string, _ time.Duration) (call.Result, error) {
	gone, err := l.step("announce %s", prompt)
	if err != nil {
		return call.Broken, err
	}
	if gone {
		return call.CallerGone, nil
	}
	return call.Ended, nil
}

// Record implements call.Leg.
func (l *Leg) Record(_ context.Context, order call.RecordOrder) (call.Recording, error) {
	gone, err := l.step("record %s", order.Prompt)
	switch {
	case err != nil:
		return call.Recording{Result: call.Broken}, err
	case gone:
		return call.Recording{Result: call.CallerGone}, nil
	case l.Says == 0:
		return call.Recording{Result: call.NotRecorded, Note: "the disk is full"}, nil
	}
	return call.Recording{Result: call.Answered, Length: l.Says}, nil
}

// Menu implements call.Leg.
func (l *Leg) Menu(_ context.Context, order call.MenuOrder) (call.Input, error) {
	names := make([]string, len(order.Sounds))
	for i, s := range order.Sounds {
		names[i] = strings.TrimSuffix(path.Base(s), ".wav")
	}
	gone, err := l.step("menu %s", strings.Join(names, " "))
	switch {
	case err != nil:
		return call.Input{Result: call.Broken}, err
	case gone:
		return call.Input{Result: call.CallerGone}, nil
	case l.NoPrompts:
		return call.Input{Result: call.NotPlayed, Note: "no such file"}, nil
	case len(l.Presses) == 0:
		return call.Input{Result: call.Ended}, nil
	}
	keys := l.Presses[0]
	l.Presses = l.Presses[1:]
	return call.Input{Result: call.Ended, Keys: keys}, nil
}

// Hold implements call.Leg.
func (l *Leg) Hold(ctx context.Context, order call.HoldOrder) (call.Result, error) {
	gone, err := l.step("hold")
	if err != nil {
		return call.Broken, err
	}
	if gone {
		return call.CallerGone, nil
	}
	enough := time.NewTimer(order.Longest)
	defer enough.Stop()
	select {
	case <-order.Until:
	case <-enough.C:
	case <-ctx.Done():
		return call.Broken, ctx.Err()
	}
	return call.Ended, nil
}

// Join implements call.Leg.
func (l *Leg) Join(_ context.Context, order call.JoinOrder) (call.Result, error) {
	gone, err := l.step("join %s", order.Room)
	switch {
	case err != nil:
		return call.Broken, err
	case gone:
		return call.CallerGone, nil
	case l.Joins != "":
		return l.Joins, nil
	}
	return call.Answered, nil
}

// End implements call.Leg.
func (l *Leg) End(_ context.Context, cause string) error {
	_, err := l.step("end %s", cause)
	return err
}

// Refuse implements call.Leg.
func (l *Leg) Refuse(_ context.Context, r call.Refusal) error {
	_, err := l.step("refuse %d", r.Code)
	return err
}

// HandBack implements call.Leg.
func (l *Leg) HandBack(context.Context) error {
	_, err := l.step("hand back")
	return err
}
