package mailbox

import (
	"fmt"
	"strings"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/call"
)

// Settings are the operator's choices for all mailboxes.
type Settings struct {
	ProgressTimeout time.Duration // a target without any ringing for so long is dead; 4 s by default
	AnswerTimeout   time.Duration // a target that rings but does not answer for so long has failed; 20 s by default
	TotalTimeout    time.Duration // all targets of all systems together, name look-ups included; 30 s by default
	LookupTimeout   time.Duration // looking up one system's name; 2 s by default
	Domain          string        // host part of the URIs in which we name our subscribers
}

// Defaults are the settings of an operator who set none.
func Defaults() Settings {
	return Settings{ProgressTimeout: 4 * time.Second, AnswerTimeout: 20 * time.Second, TotalTimeout: 30 * time.Second, LookupTimeout: 2 * time.Second, Domain: "localhost"}
}

// Offer says for which results of the phones this call goes to voicemail, and where.
func Offer(_ call.Arrival, p account.Profile, s Settings) []call.Step {
	vm := p.Voicemail
	if vm == nil {
		return nil
	}
	on := accepted(vm.Conditions)
	if len(on) == 0 || len(p.Systems) == 0 {
		return nil
	}
	names := make([]string, len(p.Systems))
	for i, system := range p.Systems {
		names[i] = system.FQDN
	}
	return []call.Step{{
		Kind: call.StepMailbox,
		On:   on,
		Reason: call.Reason{Name: "mailbox", Sentence: fmt.Sprintf("voicemail is provisioned with pilot %s, which is %s",
			vm.Pilot, strings.Join(names, ", then "))},
		Mailbox: &call.Mailbox{
			Pilot: vm.Pilot, Systems: p.Systems,
			ProgressTimeout: s.ProgressTimeout, AnswerTimeout: s.AnswerTimeout, TotalTimeout: s.TotalTimeout,
		},
	}}
}

func accepted(c account.Conditions) []call.Result {
	var on []call.Result
	for _, condition := range []struct {
		enabled bool
		result  call.Result
	}{
		{c.NoAnswer, call.NoAnswer},
		{c.Busy, call.Busy},
		{c.NotRegistered, call.NotRegistered},
		{c.Unreachable, call.Unreachable},
		{c.Declined, call.Declined},
	} {
		if condition.enabled {
			on = append(on, condition.result)
		}
	}
	return on
}
