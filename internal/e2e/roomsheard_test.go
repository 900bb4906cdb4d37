package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signalbox/signalbox/esl"
	freeswitchconf "github.com/signalbox/signalbox/freeswitch-conf"
	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/lab"
	"github.com/signalbox/signalbox/internal/rooms"
	"github.com/signalbox/signalbox/internal/sound"
	"github.com/signalbox/signalbox/internal/store"
)

const (
	// annasName is the tone that stands for Anna's recorded name.
	annasName = 1130.0
	// noteOfWaiting is the first of the notes that those hear who wait for a host.
	noteOfWaiting = 523.0
	annasClip     = "anna.wav"
	stormSize     = 12
)

// playlist is what a switch has played to conferences, as its events tell.
type playlist struct {
	conn   *esl.Conn
	mu     sync.Mutex
	played map[string][]string // names of files, by conference
}

// listen begins a playlist.
func listen(ctx context.Context, s *lab.Stage) *playlist {
	at := s.Rig.At()
	conn, err := esl.Dial(ctx, esl.DialOptions{Addr: at.EventSocket, Password: esl.Secret(at.Password), Timeout: 5 * time.Second})
	s.Must(err)
	s.Must(conn.Subscribe(ctx, "conference::maintenance"))
	p := &playlist{conn: conn, played: map[string][]string{}}
	go func() {
		for e := range conn.Events() {
			if e.Get("Action") == "play-file-done" {
				p.mu.Lock()
				room := e.Get("Conference-Name")
				p.played[room] = append(p.played[room], path.Base(e.Get("File")))
				p.mu.Unlock()
			}
		}
	}()
	return p
}

func (p *playlist) close() { _ = p.conn.Close() }

func (p *playlist) of(room string) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.played[room])
}

// heard waits until a conference was played these files as the last ones.
func (p *playlist) heard(ctx context.Context, s *lab.Stage, room string, files ...string) {
	for ctx.Err() == nil {
		if got := p.of(room); len(got) >= len(files) && slices.Equal(got[len(got)-len(files):], files) {
			s.Tell("the switch has played %s to %s", strings.Join(files, ", "), room)
			return
		}
		pause(ctx, 50*time.Millisecond)
	}
	s.Fail("%s was played %v, want %v at the end", room, p.of(room), files)
}

func fileOf(p freeswitchconf.Prompt) string { return path.Base(p.File("de")) }

// joinsAndLeavesAreHeard has Anna's name recorded as a tone.
func joinsAndLeavesAreHeard() lab.Story {
	return lab.Story{Name: "rooms-announced", Line: hostLine(), Title: "All hear who has joined, who has left, and who is back: the recorded name, then the words, then silence.", Play: func(ctx context.Context, s *lab.Stage) {
		recordsClip(ctx, s)
		list := listen(ctx, s)
		defer list.close()
		host, anna, name := together(ctx, s)
		host.Sing(0)
		anna.Sing(0)
		s.Together(func() { saysOfAnna(ctx, s, host) }, func() { saysOfAnna(ctx, s, anna) })
		list.heard(ctx, s, name, annasClip, fileOf(freeswitchconf.PromptJoined))
		anna.Hangup()
		saysOfAnna(ctx, s, host)
		list.heard(ctx, s, name, annasClip, fileOf(freeswitchconf.PromptLeft))
		again := asks(ctx, s, s.Party("anna-again", toneB), s.From)
		again.Sing(0)
		saysOfAnna(ctx, s, host)
		list.heard(ctx, s, name, annasClip, fileOf(freeswitchconf.PromptIsBack))
		again.Hangup()
		host.Hangup()
	}}
}

// recordsClip has the tone that stands for a recorded name recorded.
func recordsClip(ctx context.Context, s *lab.Stage) {
	conf, err := s.Rig.API(ctx, "global_getvar conf_dir")
	s.Must(err)
	folder := filepath.Join(conf, rooms.Clips, account.OperatorTenant, s.Row().Account)
	s.Must(os.MkdirAll(folder, 0o700))
	s.Must(os.WriteFile(filepath.Join(folder, annasClip), recordedTone(annasName), 0o600))
}

// saysOfAnna waits until a silent room has told something of Anna: her name, words behind it, and then nothing.
func saysOfAnna(ctx context.Context, s *lab.Stage, c *lab.Call) {
	s.Must(c.WaitHears(ctx, []float64{annasName}, annasName))
	s.Must(c.WaitHears(ctx, nil, annasName))
	s.Must(c.WaitSound(ctx))
	s.Must(c.WaitQuiet(ctx))
	s.Tell("%s hears the name, words behind it, and then nothing", c.Agent().Name())
}

// recordedTone is a second of a tone as a file.
func recordedTone(hz float64) []byte {
	samples := make([]int16, sound.Rate)
	(&sound.Tone{Hz: []float64{hz}, Level: 8000}).Next(samples)
	return sound.WriteWAV(samples)
}

// stormOf is the number of one of those who come at once.
func stormOf(s *lab.Stage, n int) string {
	return fmt.Sprintf("+4989778%02d%s", n, s.Number[len(s.Number)-4:])
}

func stormContacts(s *lab.Stage, owner string) (out []account.ContactEntry) {
	for n := range stormSize {
		out = append(out, account.ContactEntry{Account: owner, ID: fmt.Sprintf("storm-%02d", n), Name: fmt.Sprintf("Storm %02d", n), Numbers: []string{stormOf(s, n)}})
	}
	return out
}

func manyAtOnce() lab.Story {
	return lab.Story{Name: "rooms-storm", Line: hostLine(), Title: "Twelve join within 3 s: each is in the roster by name, each is in within 2 s of the key, and they are announced by few words.", Play: func(ctx context.Context, s *lab.Stage) {
		list := listen(ctx, s)
		defer list.close()
		host, anna, name := together(ctx, s)
		calls, pressed := make([]*lab.Call, stormSize), make([]time.Time, stormSize)
		for i := range stormSize { // all hear the offer before the first one presses
			calls[i] = s.PlaceBy(s.Party(fmt.Sprintf("storm-%02d", i), toneC), busyForward(s, stormOf(s, i)))
			pause(ctx, 50*time.Millisecond)
		}
		for _, c := range calls {
			c.Sing(0)
			s.WaitAnswered(ctx, c)
			s.Must(c.WaitSound(ctx))
		}
		before := len(list.of(name))
		for i, c := range calls {
			pressed[i] = time.Now()
			s.Must(c.Press(ctx, "1", lab.KeysAsEvents))
			pause(ctx, 3*time.Second/(stormSize+1))
		}
		_, people := roster(ctx, s, "all are in", func(_ store.Room, p []store.Participant) bool { return in(p) == stormSize+2 })
		var took []time.Duration
		for i := range calls {
			at := slices.IndexFunc(people, func(p store.Participant) bool {
				return string(p.Number) == stormOf(s, i) && p.Name == fmt.Sprintf("Storm %02d", i)
			})
			s.Check(at >= 0, "number %d is not in the roster by name: %+v", i, people)
			took = append(took, people[at].Joined.Sub(pressed[i]))
		}
		slices.Sort(took)
		p95 := took[len(took)*95/100]
		s.Check(p95 < 2*time.Second, "from key to membership: %v", took)
		said := func() (n int) {
			for _, f := range list.of(name)[before:] {
				if f == fileOf(freeswitchconf.PromptJoined) || f == fileOf(freeswitchconf.PromptHaveJoined) {
					n++
				}
			}
			return n
		}
		s.Must(host.WaitSound(ctx))
		host.Sing(0)
		anna.Sing(0)
		s.Must(host.WaitQuiet(ctx))
		s.Check(said() > 0 && said() <= 5, "%d announcements of %d people: %v", said(), stormSize, list.of(name)[before:])
		figure := fmt.Sprintf("%d joined: from key to membership median %d ms, p95 %d ms, most %d ms; %d announcements", stormSize, took[len(took)/2].Milliseconds(), p95.Milliseconds(),
			took[len(took)-1].Milliseconds(), said())
		s.Tell("%s", figure)
		fmt.Fprintln(os.Stderr, "rooms-storm:", figure)
		for _, c := range append(calls, anna, host) {
			c.Hangup()
		}
		awaitMembers(ctx, s, name, 0)
	}}
}

func waitsInAnOpenRoom() lab.Story {
	return lab.Story{Name: "rooms-open", Line: hostLine(), Title: "Anna waits for the host in an open room: she hears notes instead of silence, until he comes.", Play: func(ctx context.Context, s *lab.Stage) {
		s.Phone.Behave(lab.Refuses(486))
		anna := asks(ctx, s, s.Party("anna", toneB), s.From)
		roster(ctx, s, "Anna is in", func(_ store.Room, p []store.Participant) bool { return in(p) == 1 })
		for range 2 { // it comes again
			began := time.Now()
			s.Must(anna.WaitHears(ctx, []float64{noteOfWaiting}, noteOfWaiting))
			s.Tell("she hears the note after %d ms", time.Since(began).Milliseconds())
			s.Must(anna.WaitHears(ctx, nil, noteOfWaiting))
		}
		host := s.PlaceBy(s.Party("host", toneA), lab.Invite{To: lab.AccessNumber, From: s.Number})
		s.WaitAnswered(ctx, host)
		s.Must(host.WaitSound(ctx))
		s.Must(host.Press(ctx, "1", lab.KeysAsEvents))
		roster(ctx, s, "both are in", func(_ store.Room, p []store.Participant) bool { return in(p) == 2 })
		hear(ctx, s, hearing{host, tones(toneB)}, hearing{anna, tones(toneA)})
		anna.Hangup()
		host.Hangup()
	}}
}

// lostLeg has Anna's telephone vanish without a word, so that the switch keeps her leg.
func lostLeg() lab.Story {
	return lab.Story{Name: "rooms-lost-leg", Line: hostLine(), Title: "Anna's phone loses its network and FreeSWITCH holds her leg: she calls again and is there once; who calls beside her from her number is a second one.", Play: func(ctx context.Context, s *lab.Stage) {
		host, anna, name := together(ctx, s)
		anna.Agent().Close()
		s.Deed("anna", "is gone without a word")
		again := asks(ctx, s, s.Party("anna-again", toneC), s.From)
		awaitMembers(ctx, s, name, 3) // her old leg is one of them
		_, people := roster(ctx, s, "Anna is back", func(_ store.Room, p []store.Participant) bool { return in(p) == 2 && len(p) == 2 })
		s.Check(slices.ContainsFunc(people, func(p store.Participant) bool { return p.Contact == "anna" && p.Returns == 1 }), "participants %+v", people)
		hear(ctx, s, hearing{host, tones(toneC)}, hearing{again, tones(toneA)})
		colleague := asks(ctx, s, s.Party("colleague", toneB), s.From)
		roster(ctx, s, "somebody joins from the same number", func(_ store.Room, p []store.Participant) bool { return in(p) == 3 && len(p) == 3 })
		hear(ctx, s, hearing{host, tones(toneB, toneC)}, hearing{again, tones(toneA, toneB)}, hearing{colleague, tones(toneA, toneC)})
		command(ctx, s, "conference "+name+" kick all")
		for _, c := range []*lab.Call{again, colleague, host} {
			s.Ended(ctx, c, "them")
		}
		roster(ctx, s, "it is over", func(r store.Room, p []store.Participant) bool { return !r.Closed.IsZero() && in(p) == 0 })
	}}
}

// office is a host's program that uses the API.
type office struct {
	api        integrator
	recordings string
}

const peopleGateway = "people"

func newOffice(t *testing.T) office {
	t.Helper()
	addr, err := lab.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	return office{api: integrator{url: "http://" + addr.String()}, recordings: t.TempDir()}
}

func (o office) configure(yaml string) string {
	yaml = strings.Replace(yaml, "conference: {", fmt.Sprintf("conference: {recordings: %q, gateway: %s, ", o.recordings, peopleGateway), 1)
	return yaml + fmt.Sprintf("api: {listen: %q}\n", strings.TrimPrefix(o.api.url, "http://"))
}

// recordedAndInvited is for a real switch: the simulator records no rooms.
func (o office) recordedAndInvited() lab.Story {
	return lab.Story{Name: "rooms-recorded", Line: hostLine(), Title: "By the API somebody is called into the room by a gateway, and the room is recorded, with notice.", Play: func(ctx context.Context, s *lab.Stage) {
		list := listen(ctx, s)
		defer list.close()
		ben := s.Party("ben", toneC)
		opensGateway(ctx, s, ben)
		host, anna, name := together(ctx, s)
		out, err := exec.CommandContext(ctx, program, "token", "create", "--config", s.Rig.Config(), "--tenant", "operator", "--scopes", "accounts:read,accounts:write").Output()
		s.Must(err)
		token, room := strings.TrimSpace(string(out)), "/accounts/"+s.Row().Account+"/conferences/"+strings.TrimPrefix(name, store.RoomPrefix)
		do := func(what, body string, want int) {
			status, text := o.api.send(ctx, s, token, http.MethodPost, room+what, "application/json", body)
			s.Check(status == want, "%s %s: %d: %s", what, body, status, text)
		}
		do("/calls", fmt.Sprintf(`{"number":%q}`, benOf(s)), http.StatusAccepted)
		called := s.Rings(ctx, ben, 1)
		s.Check(strings.Contains(called.Invite().URI(), benOf(s)), "the gateway is asked for %s", called.Invite().URI())
		s.Must(called.WaitHeardAnything(ctx, 10))
		s.Must(called.Press(ctx, "1", lab.KeysAsInfo))
		roster(ctx, s, "Ben is in", func(_ store.Room, p []store.Participant) bool {
			return in(p) == 3 && slices.ContainsFunc(p, func(p store.Participant) bool { return p.Contact == "ben" && p.Present() })
		})
		hear(ctx, s, hearing{host, tones(toneB, toneC)}, hearing{called, tones(toneA, toneB)})

		do("/commands", `{"command":"record"}`, http.StatusNoContent)
		list.heard(ctx, s, name, fileOf(freeswitchconf.PromptRecording))
		pause(ctx, time.Second)
		do("/commands", `{"command":"stop_record"}`, http.StatusNoContent)
		list.heard(ctx, s, name, fileOf(freeswitchconf.PromptNotRecord))
		o.hasAllVoices(s, name)
		status, text := o.api.send(ctx, s, token, http.MethodGet, room, "", "")
		var c struct {
			Members   int
			Recording bool
		}
		s.Must(json.Unmarshal(text, &c))
		s.Check(status == http.StatusOK && c.Members == 3 && !c.Recording, "the API tells %d: %s", status, text)
		for _, c := range []*lab.Call{called, anna, host} {
			c.Hangup()
		}
		awaitMembers(ctx, s, name, 0)
	}}
}

// hasAllVoices checks that the recording of a room has everybody's voice.
func (o office) hasAllVoices(s *lab.Stage, name string) {
	files, err := filepath.Glob(filepath.Join(o.recordings, strings.TrimPrefix(name, store.RoomPrefix)+"-*.wav"))
	s.Must(err)
	s.Check(len(files) == 1, "recordings: %v", files)
	text, err := os.ReadFile(files[0])
	s.Must(err)
	samples, ok := sound.ReadWAV(text)
	s.Check(ok && len(samples) > sound.Rate, "the recording has %d bytes, %d samples", len(text), len(samples))
	end := samples[len(samples)-sound.Rate/2:]
	for _, hz := range allTones() {
		s.Check(sound.Level(end, hz) > 800, "the recording has %.0f Hz with a peak of %.0f", hz, sound.Level(end, hz))
	}
	s.Tell("the recording is %d ms long and has all three voices", len(samples)*1000/sound.Rate)
}

// opensGateway gives the switch a gateway at a party.
func opensGateway(ctx context.Context, s *lab.Stage, to *lab.Agent) {
	conf, err := s.Rig.API(ctx, "global_getvar conf_dir")
	s.Must(err)
	folder := filepath.Join(conf, "sip_profiles", "external")
	s.Must(os.MkdirAll(folder, 0o700))
	// FreeSWITCH drops the lines that have the tag include.
	xml := fmt.Sprintf("<include>\n"+`<gateway name="%s"><param name="username" value="lab"/><param name="password" value="lab"/><param name="realm" value="%s"/>`+
		`<param name="register" value="false"/><param name="caller-id-in-from" value="true"/></gateway>`+"\n</include>\n", peopleGateway, to.Addr())
	s.Must(os.WriteFile(filepath.Join(folder, "people.xml"), []byte(xml), 0o600))
	for _, c := range []string{"reloadxml", "sofia profile external rescan"} {
		_, err := s.Rig.API(ctx, c)
		s.Must(err)
	}
	waiting, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	got := ""
	for waiting.Err() == nil {
		if got, err = s.Rig.API(ctx, "sofia status gateway "+peopleGateway); err == nil && strings.Contains(got, "NOREG") {
			return
		}
		pause(ctx, 50*time.Millisecond)
	}
	s.Fail("the switch has no gateway %s: %q %v", peopleGateway, got, err)
}
