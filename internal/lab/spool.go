package lab

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/signalbox/signalbox/internal/call"
)

// voicemailSettings is what the lab's configuration says of voicemail.
const voicemailSettings = "voicemail: {progress_timeout: 2s}"

// reconfigure has the sidecar start again with a text of the configuration replaced.
func (s *Stage) reconfigure(ctx context.Context, old, replacement string) {
	text, err := os.ReadFile(s.Rig.config)
	s.must(err)
	s.check(strings.Contains(string(text), old), "the configuration has no %q to replace", old)
	s.must(os.WriteFile(s.Rig.config, []byte(strings.Replace(string(text), old, replacement, 1)), 0o600))
	s.Rig.Sidecar.Stop(stopTime)
	s.must(s.Rig.startSidecar(ctx))
}

func playLaterDelivery(ctx context.Context, s *Stage) {
	dir := filepath.Join(s.Rig.dir, "messages")
	s.must(os.MkdirAll(dir, 0o700))
	spooling := strings.Replace(voicemailSettings, "}", ", spool: {dir: "+dir+", silence: 1s}}", 1)
	s.reconfigure(ctx, voicemailSettings, spooling)
	defer s.reconfigure(ctx, spooling, voicemailSettings)
	s.deed(ColSwitch, "the sidecar starts with a folder for messages")

	c := s.call()
	s.must(c.WaitAnswered(ctx))
	s.tell("both servers answer 503: Ada is answered here, and speaks after the tone")
	select {
	case <-time.After(4 * time.Second):
	case <-ctx.Done():
		s.must(ctx.Err())
	}
	refused := s.Mail[0].Invited()
	s.Mail[0].Behave(answersAtOnce())
	c.Hangup()
	r := s.record(ctx, 1)
	s.steps(r, "ring not-registered", "mailbox voicemail-down", "spool answered")
	files, err := filepath.Glob(filepath.Join(dir, "*.wav"))
	s.must(err)
	s.check(len(files) == 1, "%d messages are in the folder, want 1: %s", len(files), r.Steps[2].Note)
	s.tell("%s; the voicemail system is up again", r.Steps[2].Note)

	mail, err := s.Mail[0].Incoming(ctx, refused+1)
	s.must(err)
	s.mailbox(mail, 404, "unavailable")
	s.must(mail.WaitEnded(ctx))
	s.check(mail.EndedBy() == "them", "the delivery ended with %s", mail.EndedBy())
	if s.Rig.realVoice {
		s.check(mail.media.total() > 100, "the voicemail system heard %d voice packets of a message of 3 s", mail.media.total())
	}
	s.must(s.until(ctx, func() bool {
		left, err := filepath.Glob(filepath.Join(dir, "*"))
		return err == nil && len(left) == 0
	}))
	s.tell("the message is in the mailbox, and nothing of it is left here")

	s.Mail[0].Behave(Refuses(503))
	c = s.call()
	s.must(c.WaitAnswered(ctx))
	c.Hangup()
	r = s.record(ctx, 2)
	s.check(len(r.Steps) == 3 && r.Steps[2].Kind == call.StepSpool && r.Result == call.Answered, "the record tells %s after %d steps", r.Result, len(r.Steps))
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	s.must(err)
	s.check(len(left) == 0, "a caller who hung up before the tone left %v", left)
	s.tell("a caller who hangs up before the tone leaves no message")
}
