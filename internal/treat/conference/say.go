package conference

import (
	"context"
	"path"

	freeswitchconf "github.com/signalbox/signalbox/freeswitch-conf"
	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/tel"
)

// Recordings is the folder of hosts' own recordings inside FreeSWITCH's configuration folder; TENANT/ACCOUNT/FILE stand in it.
const Recordings = freeswitchconf.Sounds + "/names"

// pause stands between sentences.
const pause = "silence_stream://300"

func (v *visit) prompt(p freeswitchconf.Prompt) string { return p.File(v.c.Host.Language) }

// greeting says whom the caller has reached: by the host's recording, name or number. A host whose network says that he is private is
// not named, nor is his number read out.
func (v *visit) greeting() []string {
	if file := v.c.Settings.Greeting.File(); file != "" && within(v.c.Host) {
		return []string{path.Join(Recordings, v.c.Host.Tenant, v.c.Host.ID, file), pause}
	}
	reached := v.prompt(freeswitchconf.PromptReached)
	var digits []string
	for _, digit := range []byte(v.c.Number) {
		if p, ok := freeswitchconf.PromptKey(digit); ok {
			digits = append(digits, v.prompt(p))
		}
	}
	private, _ := v.private()
	switch {
	case v.name != "":
		return []string{reached, v.name, pause}
	case private || len(digits) == 0:
		return []string{v.prompt(freeswitchconf.PromptNeutral), pause}
	}
	return append(append([]string{reached}, digits...), pause)
}

// private reports whether the host's network asks that his number (RFC 5806 section 4, RFC 7044 section 10.1) and that his name is kept private.
// The arrival's diversions and history say the same of one number.
func (v *visit) private() (number, name bool) {
	for _, d := range v.a.Diversions {
		if d.Number == v.c.Number {
			number, name = number || d.HidesNumber(), name || d.HidesName()
		}
	}
	for _, h := range v.a.History {
		if n, _ := tel.ParsePresented(h.URI, v.c.Number.Region()); n == v.c.Number && h.HidesNumber() {
			return true, true
		}
	}
	return number, name
}

// named reports whether the greeting has the host's name.
func (v *visit) named() bool {
	_, private := v.private()
	return v.c.Settings.Greeting == account.GreetingName && v.c.Host.Name != "" && !private
}

// speakName has the host's name spoken, where the greeting has it, until ctx is over; "" = the number is read instead. What comes too late
// is there for the next caller.
func (v *visit) speakName(ctx context.Context) <-chan string {
	spoken := make(chan string, 1)
	if !v.named() {
		spoken <- ""
		return spoken
	}
	go func() { // ends with ctx
		file, err := v.t.Rooms.Spoken(ctx, v.a.Node, v.c.Host.Name)
		if err != nil {
			file = ""
		}
		spoken <- file
	}()
	return spoken
}

// within reports whether the names of tenant and account are folders and no ways out of one.
func within(host account.Account) bool {
	for _, name := range []string{host.Tenant, host.ID} {
		if name == "." || name == ".." {
			return false
		}
	}
	return true
}

// options says which key does what: in one sentence where the keys are those of the recording.
func (v *visit) options() []string {
	s := v.c.Settings
	if !v.c.NoMessages && s.JoinKey == '1' && s.MessageKey == '2' && s.RepeatKey == '9' {
		return []string{v.prompt(freeswitchconf.PromptOffer)}
	}
	var sounds []string
	for _, part := range []struct {
		words freeswitchconf.Prompt
		key   byte
	}{{freeswitchconf.PromptToJoin, s.JoinKey}, {freeswitchconf.PromptToMessage, s.MessageKey}, {freeswitchconf.PromptToRepeat, s.RepeatKey}} {
		if part.words == freeswitchconf.PromptToMessage && v.c.NoMessages {
			continue
		}
		if key, ok := freeswitchconf.PromptKey(part.key); ok {
			sounds = append(sounds, v.prompt(part.words), v.prompt(key))
		}
	}
	return sounds
}
