package e2e

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	freeswitchconf "github.com/signalbox/signalbox/freeswitch-conf"
	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/lab"
	"github.com/signalbox/signalbox/internal/rooms"
	"github.com/signalbox/signalbox/internal/store"
)

// acmesClip is the recorded name of a firm, a tone.
const acmesClip = "acme.wav"

// times is how often files were played to a conference, one behind the other.
func (p *playlist) times(room string, files ...string) (n int) {
	got := p.of(room)
	for i := 0; i+len(files) <= len(got); i++ {
		if slices.Equal(got[i:i+len(files)], files) {
			n++
		}
	}
	return n
}

// saidOfACME waits until it was said so often that someone from ACME has come, or has gone.
func saidOfACME(ctx context.Context, s *lab.Stage, p *playlist, room string, what freeswitchconf.Prompt, n int) {
	words := []string{fileOf(freeswitchconf.PromptSomeone), acmesClip, fileOf(what)}
	for ctx.Err() == nil {
		if p.times(room, words...) == n {
			s.Tell("the switch has played %s to %s, %d in all", strings.Join(words, ", "), room, n)
			return
		}
		pause(ctx, 50*time.Millisecond)
	}
	s.Fail("%s was played %v, want %d times %v", room, p.of(room), n, words)
}

func colleaguesOfAFirm() lab.Story {
	return lab.Story{Name: "rooms-shared", Line: hostLine(), Title: "Two of ACME come at once from its one number: both are in, each as someone from ACME; one leaves, the other stays; who comes next is somebody else.", Play: func(ctx context.Context, s *lab.Stage) {
		conf, err := s.Rig.API(ctx, "global_getvar conf_dir")
		s.Must(err)
		folder := filepath.Join(conf, rooms.Clips, account.OperatorTenant, s.Row().Account)
		s.Must(os.MkdirAll(folder, 0o700))
		s.Must(os.WriteFile(filepath.Join(folder, acmesClip), recordedTone(annasName), 0o600))
		list := listen(ctx, s)
		defer list.close()
		host := s.PlaceBy(s.Party("host", toneA), lab.Invite{To: lab.AccessNumber, From: s.Number})
		s.Joins(ctx, host)
		roster(ctx, s, "the host is in", func(_ store.Room, p []store.Participant) bool { return in(p) == 1 })
		one := s.PlaceBy(s.Party("one", toneB), busyForward(s, s.From))
		other := s.PlaceBy(s.Party("other", toneC), busyForward(s, s.From))
		room := ""
		for i, c := range []*lab.Call{one, other} {
			s.WaitAnswered(ctx, c)
			s.Must(c.WaitSound(ctx))
			s.Must(c.Press(ctx, "1", lab.KeysAsEvents))
			r, _ := roster(ctx, s, "one more is in", func(_ store.Room, p []store.Participant) bool { return in(p) == 2+i })
			room = r.Name()
			saidOfACME(ctx, s, list, room, freeswitchconf.PromptJoined, 1+i)
		}
		_, people := roster(ctx, s, "two of ACME are in", func(_ store.Room, p []store.Participant) bool { return in(p) == 3 })
		s.Check(len(people) == 3, "participants %+v", people)
		for _, p := range people {
			s.Check(p.Host || p.Shared && p.Contact == "acme" && strings.HasPrefix(p.Name, "ACME") && string(p.Number) == s.From, "participant %+v", p)
		}
		hear(ctx, s, hearing{host, tones(toneB, toneC)}, hearing{one, tones(toneA, toneC)}, hearing{other, tones(toneA, toneB)})
		one.Hangup()
		saidOfACME(ctx, s, list, room, freeswitchconf.PromptLeft, 1)
		roster(ctx, s, "one has left", func(_ store.Room, p []store.Participant) bool { return in(p) == 2 })
		hear(ctx, s, hearing{host, tones(toneC)}, hearing{other, tones(toneA)})

		third := asks(ctx, s, s.Party("third", toneB), s.From)
		_, people = roster(ctx, s, "a third one is in", func(_ store.Room, p []store.Participant) bool { return in(p) == 3 })
		s.Check(len(people) == 4 && !slices.ContainsFunc(people, func(p store.Participant) bool { return p.Returns > 0 }), "participants %+v", people)
		saidOfACME(ctx, s, list, room, freeswitchconf.PromptJoined, 3)
		hear(ctx, s, hearing{host, tones(toneB, toneC)}, hearing{other, tones(toneA, toneB)}, hearing{third, tones(toneA, toneC)})
		s.Must(host.Press(ctx, "*7", lab.KeysAsInfo))
		s.Must(third.WaitEnded(ctx))
		fourth := s.PlaceBy(s.Party("fourth", toneB), busyForward(s, s.From))
		mail := s.Rings(ctx, s.Mail[0], 1)
		s.WaitAnswered(ctx, fourth)
		fourth.Hangup()
		s.Ended(ctx, mail, "them")
		roster(ctx, s, "the host and one of ACME are left", func(_ store.Room, p []store.Participant) bool { return in(p) == 2 && len(p) == 4 })
		hear(ctx, s, hearing{host, tones(toneC)}, hearing{other, tones(toneA)})
		other.Hangup()
		host.Hangup()
		roster(ctx, s, "it is over", func(r store.Room, p []store.Participant) bool { return !r.Closed.IsZero() && in(p) == 0 })
		s.Check(list.times(room, fileOf(freeswitchconf.PromptIsBack)) == 0, "somebody was back: %v", list.of(room))
		access := map[string]int{}
		for n := 1; n <= 5; n++ {
			access[s.Record(ctx, n).Plan.Access.Reason.Name]++
		}
		s.Check(access["host"] == 1 && access["shared-in-address-book"] == 3 && access["removed"] == 1, "who was let in, and why: %v", access)
	}}
}
