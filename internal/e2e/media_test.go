package e2e

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/signalbox/signalbox/dialplan/encode"
	freeswitchconf "github.com/signalbox/signalbox/freeswitch-conf"
	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/lab"
	"github.com/signalbox/signalbox/internal/sound"
	"github.com/signalbox/signalbox/internal/spoken"
)

func TestSimMedia(t *testing.T)  { onSimulator(t, voices(t)) }
func TestRealMedia(t *testing.T) { onFreeSWITCH(t, voices(t, throughAnyDoor(), spokenInARoom())) }

// voices is who hears whom in FreeSWITCH's conferences, and how keys come there: each party's voice is a tone of its own. What stands in
// the way of the calls is a dialplan, so that this tells of the switch alone; what Signalbox makes of it is told in other chapters.
func voices(t *testing.T, more ...lab.Story) chapter {
	return chapter{
		acts: []act{append(more, roomOfThree(), mutedAndDeaf(), kicked(), waitingForTheModerator(), prompts(), spokenNames(),
			keysIn("events", lab.KeysAsEvents), keysIn("info", lab.KeysAsInfo), keysIn("tones", lab.KeysInBand))},
		configure: func(yaml string) string {
			return edit(t, yaml, "conference: {", "conference: {voice: {engine: flite, name: slt}, ")
		},
		provision: func(d *account.Document, stages map[string]*lab.Stage) {
			for i := range d.Contacts {
				if s := stages["media-spoken"]; s != nil && slices.Contains(d.Contacts[i].Numbers, s.From) {
					d.Contacts[i].Name = neverSpoken
				}
			}
		},
		files: func(files lab.Dropins, _ map[string]*lab.Stage) {
			files["dialplan/public/00_rooms.xml"] = roomsDialplan
		},
	}
}

// roomsDialplan has an extension for each way into a room; the last digits are the room's.
const roomsDialplan = `<include>
  <extension name="room">
    <condition field="destination_number" expression="^\+?49305551(\d\d)$">
      <action application="answer"/>
      <action application="set" data="conference_controls=none"/>
      <action application="conference" data="room-$1@signalbox"/>
    </condition>
  </extension>
  <extension name="waiting">
    <condition field="destination_number" expression="^\+?49305552(\d\d)$">
      <action application="answer"/>
      <action application="conference" data="room-$1@signalbox+flags{wait-mod}"/>
    </condition>
  </extension>
  <extension name="moderator">
    <condition field="destination_number" expression="^\+?49305553(\d\d)$">
      <action application="answer"/>
      <action application="conference" data="room-$1@signalbox+flags{wait-mod|moderator}"/>
    </condition>
  </extension>
  <extension name="menu">
    <condition field="destination_number" expression="^\+?49305554(\d\d)$">
      <action application="set" data="rtp_liberal_dtmf=true"/>
      <action application="set" data="hangup_after_conference=false"/>
      <action application="set" data="conference_controls=none"/>
      <action application="answer"/>
      <action application="start_dtmf"/>
      <action application="play_and_get_digits" data="1 1 5 2000 # ${conf_dir}/sounds/signalbox/en/offer.wav ${conf_dir}/sounds/signalbox/en/invalid.wav pressed [12]"/>
      <action application="conference" data="room-$1-${pressed}@signalbox"/>
    </condition>
  </extension>
</include>
`

// The parties' tones: none is a multiple of another, nor what two of them make together.
const (
	toneA, toneB, toneC = 440.0, 620.0, 790.0
)

func allTones() []float64 { return []float64{toneA, toneB, toneC} }

// enters places a party's call and waits until the switch has it in the room.
func enters(ctx context.Context, s *lab.Stage, a *lab.Agent, number, room string, size int) *lab.Call {
	c := s.PlaceBy(a, lab.Invite{To: number})
	s.WaitAnswered(ctx, c)
	awaitMembers(ctx, s, room, size)
	return c
}

// awaitMembers waits until a room has so many members; 0 also stands for no room.
func awaitMembers(ctx context.Context, s *lab.Stage, room string, size int) {
	for {
		got, err := s.Rig.API(ctx, "conference "+room+" list count")
		if err != nil {
			got = err.Error()
		}
		if strings.TrimSpace(got) == fmt.Sprint(size) || size == 0 && strings.Contains(got, "not found") {
			return
		}
		if ctx.Err() != nil {
			all, err := s.Rig.API(context.WithoutCancel(ctx), "conference list")
			s.Fail("room %s has not %d members: %s; rooms: %s %v", room, size, got, all, err)
		}
		pause(ctx, 50*time.Millisecond)
	}
}

// member is the number of the member of a room that has a call's leg.
func member(ctx context.Context, s *lab.Stage, room string, c *lab.Call) string {
	uuid, err := s.Rig.Leg(ctx, c)
	s.Must(err)
	list, err := s.Rig.API(ctx, "conference "+room+" list")
	s.Must(err)
	for line := range strings.Lines(list) {
		if f := strings.Split(line, ";"); len(f) > 2 && f[2] == uuid {
			return f[0]
		}
	}
	s.Fail("nobody in room %s has the leg %s:\n%s", room, uuid, list)
	return ""
}

// command gives a conference command that must succeed.
func command(ctx context.Context, s *lab.Stage, text string) {
	got, err := s.Rig.API(ctx, text)
	s.Must(err)
	s.Check(!strings.Contains(got, "-ERR"), "%s: %s", text, got)
}

// hearing is what a party must hear, and nothing else of the tones.
type hearing struct {
	c    *lab.Call
	want []float64
}

func hear(ctx context.Context, s *lab.Stage, all ...hearing) {
	for _, h := range all {
		s.Must(h.c.WaitHears(ctx, h.want, allTones()...))
		s.Tell("%s hears %.0f Hz and nobody else", h.c.Agent().Name(), h.want)
	}
}

func tones(hz ...float64) []float64 { return hz }

func roomOfThree() lab.Story {
	return lab.Story{Name: "media-three", Title: "Three in a room hear each other, and not themselves; who leaves is heard no more.", Play: func(ctx context.Context, s *lab.Stage) {
		a, b, c := s.Party("anna", toneA), s.Party("ben", toneB), s.Party("cleo", toneC)
		first := enters(ctx, s, a, "+4930555101", "room-01", 1)
		s.Must(first.WaitHears(ctx, nil, allTones()...))
		second := enters(ctx, s, b, "+4930555101", "room-01", 2)
		hear(ctx, s, hearing{first, tones(toneB)}, hearing{second, tones(toneA)})
		third := enters(ctx, s, c, "+4930555101", "room-01", 3)
		hear(ctx, s, hearing{first, tones(toneB, toneC)}, hearing{second, tones(toneA, toneC)}, hearing{third, tones(toneA, toneB)})
		second.Hangup()
		awaitMembers(ctx, s, "room-01", 2)
		hear(ctx, s, hearing{first, tones(toneC)}, hearing{third, tones(toneA)})
		first.Hangup()
		third.Hangup()
		awaitMembers(ctx, s, "room-01", 0)
	}}
}

func mutedAndDeaf() lab.Story {
	return lab.Story{Name: "media-muted", Title: "Who is muted is heard by nobody and hears all; who is deaf hears nobody.", Play: func(ctx context.Context, s *lab.Stage) {
		a, b, c := s.Party("anna", toneA), s.Party("ben", toneB), s.Party("cleo", toneC)
		first := enters(ctx, s, a, "+4930555102", "room-02", 1)
		second := enters(ctx, s, b, "+4930555102", "room-02", 2)
		third := enters(ctx, s, c, "+4930555102", "room-02", 3)
		ben, cleo := member(ctx, s, "room-02", second), member(ctx, s, "room-02", third)
		command(ctx, s, "conference room-02 mute "+ben)
		hear(ctx, s, hearing{first, tones(toneC)}, hearing{second, tones(toneA, toneC)}, hearing{third, tones(toneA)})
		command(ctx, s, "conference room-02 deaf "+cleo)
		hear(ctx, s, hearing{third, nil}, hearing{first, tones(toneC)})
		command(ctx, s, "conference room-02 unmute "+ben)
		command(ctx, s, "conference room-02 undeaf "+cleo)
		hear(ctx, s, hearing{first, tones(toneB, toneC)}, hearing{second, tones(toneA, toneC)}, hearing{third, tones(toneA, toneB)})
		for _, x := range []*lab.Call{first, second, third} {
			x.Hangup()
		}
		awaitMembers(ctx, s, "room-02", 0)
	}}
}

func kicked() lab.Story {
	return lab.Story{Name: "media-kicked", Title: "Who is sent out hears nobody from then on, and is heard by nobody.", Play: func(ctx context.Context, s *lab.Stage) {
		a, b, c := s.Party("anna", toneA), s.Party("ben", toneB), s.Party("cleo", toneC)
		first := enters(ctx, s, a, "+4930555103", "room-03", 1)
		second := enters(ctx, s, b, "+4930555103", "room-03", 2)
		third := enters(ctx, s, c, "+4930555103", "room-03", 3)
		hear(ctx, s, hearing{first, tones(toneB, toneC)})
		command(ctx, s, "conference room-03 kick "+member(ctx, s, "room-03", second))
		s.Ended(ctx, second, "them")
		hear(ctx, s, hearing{first, tones(toneC)}, hearing{third, tones(toneA)})
		first.Hangup()
		third.Hangup()
		awaitMembers(ctx, s, "room-03", 0)
	}}
}

func waitingForTheModerator() lab.Story {
	return lab.Story{Name: "media-waiting", Title: "Who waits for the moderator hears nobody, not even who waits with him; then all hear each other.", Play: func(ctx context.Context, s *lab.Stage) {
		a, b, c := s.Party("anna", toneA), s.Party("ben", toneB), s.Party("cleo", toneC)
		first := enters(ctx, s, a, "+4930555204", "room-04", 1)
		second := enters(ctx, s, b, "+4930555204", "room-04", 2)
		hear(ctx, s, hearing{first, nil}, hearing{second, nil})
		third := enters(ctx, s, c, "+4930555304", "room-04", 3)
		hear(ctx, s, hearing{first, tones(toneB, toneC)}, hearing{second, tones(toneA, toneC)}, hearing{third, tones(toneA, toneB)})
		for _, x := range []*lab.Call{first, second, third} {
			x.Hangup()
		}
		awaitMembers(ctx, s, "room-04", 0)
	}}
}

func prompts() lab.Story {
	return lab.Story{Name: "media-prompts", Title: "What is played to a room is heard by all in it, over their voices; what is played to one, by him alone.", Play: func(ctx context.Context, s *lab.Stage) {
		a, b := s.Party("anna", toneA), s.Party("ben", toneB)
		first := enters(ctx, s, a, "+4930555105", "room-05", 1)
		second := enters(ctx, s, b, "+4930555105", "room-05", 2)
		hear(ctx, s, hearing{first, tones(toneB)}, hearing{second, tones(toneA)})
		ben := member(ctx, s, "room-05", second)
		command(ctx, s, "conference room-05 play tone_stream://%(2000,0,790)")
		s.Together(func() { hear(ctx, s, hearing{first, tones(toneB, toneC)}) }, func() { hear(ctx, s, hearing{second, tones(toneA, toneC)}) })
		hear(ctx, s, hearing{first, tones(toneB)}, hearing{second, tones(toneA)})
		command(ctx, s, "conference room-05 play tone_stream://%(2000,0,790) "+ben)
		s.Must(second.WaitHears(ctx, tones(toneC), toneC))
		hear(ctx, s, hearing{first, tones(toneB)})
		first.Hangup()
		second.Hangup()
		awaitMembers(ctx, s, "room-05", 0)
	}}
}

func spokenNames() lab.Story {
	return lab.Story{Name: "media-names", Title: "Names are spoken where the switch has a voice, hostile ones harmlessly, and without stopping the room; else guests join.", Play: func(ctx context.Context, s *lab.Stage) {
		first := enters(ctx, s, s.Party("anna", 0.1), "+4930555106", "room-06", 1)
		second := enters(ctx, s, s.Party("ben", 0.1), "+4930555106", "room-06", 2)
		first.Sing(0)
		second.Sing(0)
		conf, err := s.Rig.API(ctx, "global_getvar conf_dir")
		s.Must(err)
		shipped := func(p freeswitchconf.Prompt) string { return conf + "/" + p.File("de") }
		told := []string{shipped(freeswitchconf.PromptGuest)}
		trap := filepath.Join(os.TempDir(), "signalbox-trap") // with few digits, or it would be a number
		if s.Rig.Real() {
			_, _ = s.Rig.API(ctx, "load mod_flite") // vanilla has it commented out, and not every machine has it
		}
		if voice, err := s.Rig.API(ctx, "module_exists mod_flite"); err != nil || voice != "true" {
			s.Tell("this switch has no voice: guests join")
		} else {
			for i, name := range []string{"Anna Smith", "${system(touch " + trap + ")}", "Ben' inline\n\nexecute^system:touch " + trap} {
				told = append(told, speaks(ctx, s, i, name))
			}
		}
		_, err = os.Stat(trap)
		s.Check(errors.Is(err, fs.ErrNotExist), "a name has run a command on the switch")
		for _, name := range told {
			s.Together(func() { s.Must(first.WaitQuiet(ctx)) }, func() { s.Must(second.WaitQuiet(ctx)) })
			command(ctx, s, "conference room-06 play file_string://"+name+"!"+shipped(freeswitchconf.PromptJoined))
			s.Together(func() { s.Must(first.WaitSound(ctx)) }, func() { s.Must(second.WaitSound(ctx)) })
		}
		first.Hangup()
		second.Hangup()
		awaitMembers(ctx, s, "room-06", 0)
	}}
}

// speaks has a name spoken into a file, as the sidecar does, and returns the file.
func speaks(ctx context.Context, s *lab.Stage, n int, name string) (file string) {
	file = filepath.Join(s.Rig.Dir(), fmt.Sprintf("name-%d.wav", n))
	uuid := fmt.Sprintf("00000000-0000-4000-8000-00000000000%d", n)
	arg, err := encode.SpeakInto(file, uuid, "flite", "slt", spoken.Name(name))
	s.Must(err)
	command(ctx, s, "originate "+arg)
	for ctx.Err() == nil {
		if lives, err := s.Rig.API(ctx, "uuid_exists "+uuid); err == nil && lives == "false" {
			break
		}
		pause(ctx, 100*time.Millisecond)
	}
	text, err := os.ReadFile(file)
	s.Must(err)
	samples, ok := sound.ReadWAV(text)
	s.Check(ok && len(samples) > sound.Rate/3 && sound.Peak(samples) > 3000, "%q is spoken in %d samples with a peak of %d", name, len(samples), sound.Peak(samples))
	s.Tell("%q is spoken as %q in %d ms", name, spoken.Name(name), len(samples)*1000/sound.Rate)
	return file
}

// neverSpoken is a name that no run before had spoken, with accents and what must not be said.
var neverSpoken = fmt.Sprintf("Zoë ${x} %s", strings.Map(func(r rune) rune { return r - '0' + 'a' }, fmt.Sprint(time.Now().UnixNano())))

func spokenInARoom() lab.Story {
	return lab.Story{Name: "media-spoken", Title: "Anna joins and the room is told her name, which FreeSWITCH has spoken into a file.", Line: lab.Line{Host: true}, Play: lab.Linked(func(ctx context.Context, s *lab.Stage) {
		_, _ = s.Rig.API(ctx, "load mod_flite")
		if voice, err := s.Rig.API(ctx, "module_exists mod_flite"); err != nil || voice != "true" {
			s.Tell("this switch has no voice (mod_flite): a name spoken in a room was NOT tested")
			return
		}
		folder, err := s.Rig.API(ctx, "global_getvar recordings_dir")
		s.Must(err)
		sum := sha256.Sum256([]byte("flite|slt|" + spoken.Name(neverSpoken)))
		file := filepath.Join(folder, "signalbox-names", hex.EncodeToString(sum[:8])+".wav")
		defer func() { _ = os.Remove(file) }()
		host, room := s.HostEnters(ctx)
		anna := s.Place(s.Forwarded(s.From, "user-busy"))
		s.Joins(ctx, anna)
		s.Members(ctx, room, 2)
		anna.Sing(0)
		for info, err := os.Stat(file); err != nil || info.Size() < 2*sound.Rate; info, err = os.Stat(file) {
			s.Must(ctx.Err())
			pause(ctx, 50*time.Millisecond)
		}
		s.Must(host.WaitSound(ctx))
		s.Tell("the room is told of %q, spoken as %q", neverSpoken, spoken.Name(neverSpoken))
		s.Must(host.WaitQuiet(ctx))
		anna.Hangup()
		s.Members(ctx, room, 1)
		host.Hangup()
		s.Members(ctx, room, 0)

		recs, err := s.Rig.Records(ctx)
		s.Must(err)
		account := ""
		for _, r := range recs {
			if string(r.Arrival.From.Number) == s.From && r.Plan.Account != "" {
				account = r.Plan.Account
			}
		}
		out, err := exec.CommandContext(ctx, program, "contacts", "forget", account, "--number", s.From, "--config", s.Rig.Config()).CombinedOutput()
		s.Check(err == nil && strings.Contains(string(out), "1 files"), "Anna is forgotten: %v %s", err, out)
		for _, err := os.Stat(file); err == nil; _, err = os.Stat(file) {
			s.Must(ctx.Err())
			pause(ctx, 100*time.Millisecond)
		}
		s.Tell("Anna is forgotten, and FreeSWITCH has removed the file with her name")
	})}
}

// keysIn is a menu in which a party presses a wrong key, waits for the prompt again and presses a right one into it.
func keysIn(name string, how lab.Keying) lab.Story {
	return lab.Story{Name: "media-keys-" + name, Title: "Keys by " + how.String() + ": a wrong one, then a right one into the prompt, which it ends at once; who is in the menu hears nobody.", Play: func(ctx context.Context, s *lab.Stage) {
		room := fmt.Sprintf("%02d", 10+int(how))
		other := enters(ctx, s, s.Party("ben", toneB), "+49305551"+room, "room-"+room, 1)
		c := s.PlaceBy(s.Party("anna", toneA), lab.Invite{To: "+49305554" + room})
		s.WaitAnswered(ctx, c)
		s.Must(c.WaitSound(ctx))
		s.Must(c.Press(ctx, "7", how))
		pause(ctx, 2500*time.Millisecond) // the wrong key's prompt is over, the offer plays again
		s.Must(c.WaitSound(ctx))
		s.Must(c.WaitHears(ctx, nil, toneB, toneC))
		pressed := time.Now()
		s.Must(c.Press(ctx, "1", how))
		awaitMembers(ctx, s, "room-"+room+"-1", 1)
		took := time.Since(pressed)
		s.Check(took < 2*time.Second, "the key took %s to work: the prompt was played to its end", took)
		s.Tell("the key took %d ms", took.Milliseconds())
		s.Must(other.WaitHears(ctx, nil, allTones()...))
		c.Hangup()
		other.Hangup()
		awaitMembers(ctx, s, "room-"+room, 0)
	}}
}
