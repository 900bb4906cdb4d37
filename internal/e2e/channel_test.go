package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/signalbox/signalbox/dialplan/encode"
	"github.com/signalbox/signalbox/internal/lab"
)

// variables reads the variables of the caller's leg by its UUID, by name.
func variables(ctx context.Context, s *lab.Stage, uuid string) map[string]string {
	dump, err := s.Rig.API(ctx, "uuid_dump "+uuid)
	s.Must(err)
	found := make(map[string]string)
	for line := range strings.Lines(dump) {
		name, value, ok := strings.Cut(strings.TrimRight(line, "\n"), ": ")
		if name, mine := strings.CutPrefix(name, "variable_"); ok && mine {
			if value, err = url.PathUnescape(value); err != nil {
				s.Fail("uuid_dump has %q: %w", line, err)
			}
			found[name] = value
		}
	}
	s.Check(found["sip_call_id"] != "", "uuid_dump shows no leg of SIP: %s", dump)
	return found
}

// changed are the variables of FreeSWITCH that a call of ours sets and its hand-back must restore.
var changed = []string{"socket_resume", "hangup_after_bridge", "continue_on_fail", "sip_ignore_remote_cause"}

// settings is a file of the operator's that stands before ours and sets some of them, for every second number.
const settings = `<include>
  <extension name="operator-settings" continue="true">
    <condition field="destination_number" expression="^\+4930231251\d[02468]$">
      <action application="set" data="hangup_after_bridge=false"/>
      <action application="set" data="continue_on_fail=NO_ANSWER,USER_BUSY"/>
      <action application="set" data="sip_ignore_remote_cause=false"/>
    </condition>
  </extension>
</include>
`

// operatorSettings puts the file into the switch's conf folder.
func operatorSettings(files lab.Dropins, _ map[string]*lab.Stage) {
	files["dialplan/public/04_operator_settings.xml"] = settings
}

// set is what that file has set for a number.
func set(number string) map[string]string {
	if strings.ContainsAny(number[len(number)-1:], "02468") {
		return map[string]string{"hangup_after_bridge": "false", "continue_on_fail": "NO_ANSWER,USER_BUSY", "sip_ignore_remote_cause": "false"}
	}
	return nil
}

// untouchedChannel checks that a leg which the operator's own extension has carries nothing of ours, but for the marks that keep
// it from being handed to a sidecar again.
func untouchedChannel(ctx context.Context, s *lab.Stage, c *lab.Call) {
	uuid := ownChannel(ctx, s, c)
	s.Check(guards(ctx, s, uuid) == 0, "a guard of ours still stands behind the call of the operator's extension")
}

// guards takes off what guards of ours stand behind a leg, and counts them.
func guards(ctx context.Context, s *lab.Stage, uuid string) (n int) {
	off, err := encode.GuardOff(uuid)
	s.Must(err)
	answer, err := s.Rig.API(ctx, off)
	s.Must(err)
	_, err = fmt.Sscanf(answer, "+OK Deleted: %d", &n)
	s.Must(err)
	return n
}

// harmlessGuard allows what untouchedChannel does not: the command to a frozen switch that sets our guard anew may be carried out
// when the switch has given the call to the operator's extension already. Such a guard must do nothing when it fires, which it does here at once.
func harmlessGuard(ctx context.Context, s *lab.Stage, c *lab.Call) {
	uuid := ownChannel(ctx, s, c)
	guards(ctx, s, uuid)
	guard, err := encode.Guard{UUID: uuid, Destination: s.Number, Context: "public", After: time.Second}.Command()
	s.Must(err)
	_, fires, ok := strings.Cut(guard, "signalbox-"+uuid+" ")
	s.Check(ok, "the guard is %q, want it in the scheduler's group of its leg", guard)
	answer, err := s.Rig.API(ctx, fires)
	s.Check(err != nil && strings.Contains(err.Error(), "-ERR No such channel"), "a guard that comes late does something to the operator's call: %q %v", answer, err)
}

// ownChannel checks a leg's variables, and returns its UUID.
func ownChannel(ctx context.Context, s *lab.Stage, c *lab.Call) string {
	uuid, err := s.Rig.Leg(ctx, c)
	s.Must(err)
	found := variables(ctx, s, uuid)
	for name, value := range found {
		low := strings.ToLower(name)
		mine := strings.HasPrefix(low, "signalbox_") || strings.HasPrefix(low, "execute_on_answer_signalbox") ||
			strings.HasPrefix(low, "api_on_answer_signalbox") || strings.HasPrefix(low, "sip_h_x-signalbox")
		mark := (name == "signalbox_handed_back" || name == "signalbox_second") && (value == "true" || strings.TrimPrefix(value, "+") == strings.TrimPrefix(s.Number, "+"))
		s.Check(!mine || mark || name == "signalbox_outcome" && value == "not-ours",
			"the operator's extension has a channel with %s=%s of ours", name, value)
	}
	for _, name := range changed {
		s.Check(found[name] == set(s.Number)[name], "the operator's extension has a channel with %s=%q, before it was %q", name, found[name], set(s.Number)[name])
	}
	return uuid
}

// logged waits until a process has written n lines that hold all the words.
func logged(ctx context.Context, s *lab.Stage, process string, n int, words ...string) {
	ctx, cancel := context.WithTimeoutCause(ctx, 10*time.Second, errors.New("not within 10 s"))
	defer cancel()
	for {
		found := lines(s, process, words...)
		if found >= n {
			return
		}
		select {
		case <-ctx.Done():
			s.Fail("%s has written %d lines with %q, want %d: %w", process, found, words, n, context.Cause(ctx))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// lines counts the lines in a process's log that hold all the words.
func lines(s *lab.Stage, process string, words ...string) (n int) {
	raw, err := os.ReadFile(filepath.Join(s.Rig.Dir(), process+".log"))
	s.Must(err)
line:
	for line := range strings.Lines(string(raw)) {
		for _, w := range words {
			if !strings.Contains(line, w) {
				continue line
			}
		}
		n++
	}
	return n
}
