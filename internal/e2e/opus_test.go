package e2e

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/signalbox/signalbox/internal/lab"
	"github.com/signalbox/signalbox/internal/sound"
)

// throughAnyDoor is one room in which legs of three kinds meet: a gateway's (G.711 µ-law over UDP), a private exchange's (A-law over TCP),
// and a phone's of others that speaks Opus, as browsers do.
func throughAnyDoor() lab.Story {
	return lab.Story{Name: "media-any-door", Title: "A gateway's leg, a private exchange's and one in Opus hear each other in one room.", Play: func(ctx context.Context, s *lab.Stage) {
		gateway := enters(ctx, s, s.Party("gateway", toneA), "+4930555120", "room-20", 1)
		exchange := s.PlaceBy(s.PBX("exchange", toneB), lab.Invite{To: "+4930555120"}.Through("tcp", s.Rig.ProxyAddr()))
		s.WaitAnswered(ctx, exchange)
		awaitMembers(ctx, s, "room-20", 2)
		hear(ctx, s, hearing{gateway, tones(toneB)}, hearing{exchange, tones(toneA)})
		path, err := exec.LookPath("baresip")
		if err != nil {
			s.Tell("baresip (package baresip-core) is not here: a leg in Opus was NOT tested")
			gateway.Hangup()
			exchange.Hangup()
			return
		}
		opus := startOpus(ctx, s, path, toneC)
		defer opus.stop()
		opus.ask("dial", fmt.Sprintf("sip:+4930555120@%s", s.Rig.At().External))
		opus.wait(ctx, "CALL_ESTABLISHED", 1)
		awaitMembers(ctx, s, "room-20", 3)
		hear(ctx, s, hearing{gateway, tones(toneB, toneC)}, hearing{exchange, tones(toneA, toneC)})
		legs, err := s.Rig.API(ctx, "show channels")
		s.Must(err)
		s.Check(strings.Contains(legs, ",opus,48000,"), "no leg is in Opus:\n%s", legs)
		pause(ctx, time.Second) // of the room's sound, written down by the phone
		opus.ask("hangup", "")
		opus.wait(ctx, "CALL_CLOSED", 1)
		opus.stop()
		samples := opus.heard()
		for hz, want := range map[float64]bool{toneA: true, toneB: true, toneC: false} {
			// A wandering phase of the two clocks costs a little of the level.
			level := loudestSecond(samples, hz)
			s.Check(level > 800 == want && (want || level < 400), "the phone in Opus heard %.0f Hz with level %.0f in %d samples, to be heard: %v", hz, level, len(samples), want)
			s.Tell("the phone in Opus heard %.0f Hz with level %.0f", hz, level)
		}
		gateway.Hangup()
		exchange.Hangup()
		awaitMembers(ctx, s, "room-20", 0)
	}}
}

// loudestSecond is how loud a tone is where it is loudest, in pieces of 200 ms.
func loudestSecond(samples []int16, hz float64) (level float64) {
	for at := 0; at+sound.Rate/5 <= len(samples); at += sound.Rate / 5 {
		level = max(level, sound.Level(samples[at:at+sound.Rate/5], hz))
	}
	return level
}

// opusPhone is a baresip that speaks Opus alone, whistles a tone, and writes down what it hears.
type opusPhone struct {
	baresip
	dir     string
	stopped bool
}

// startOpus starts the phone. It registers nowhere.
func startOpus(ctx context.Context, s *lab.Stage, path string, hz float64) *opusPhone {
	modules := "/usr/lib/baresip/modules"
	if found, err := filepath.Glob("/usr/lib/*/baresip/modules"); err == nil && len(found) > 0 {
		modules = found[0]
	}
	dir := filepath.Join(s.Rig.Dir(), "opus")
	s.Must(os.Mkdir(dir, 0o700))
	sip, err := lab.FreeAddr()
	s.Must(err)
	control, err := lab.FreeAddr()
	s.Must(err)
	account := fmt.Sprintf("<sip:+498999998777@%s>;regint=0;audio_codecs=opus/48000/2\n", sip)
	config := fmt.Sprintf(`sip_listen %s
net_interface 127.0.0.1
module_path %s
module opus.so
module ausine.so
module aubridge.so
module sndfile.so
module_app account.so
module_app menu.so
module_app ctrl_tcp.so
ctrl_tcp_listen %s
audio_source ausine,%.0f
audio_player aubridge,line
audio_alert aubridge,alert
audio_srate 48000
audio_channels 2
snd_path %s
`, sip, modules, control, hz, dir)
	s.Must(errors.Join(os.WriteFile(filepath.Join(dir, "accounts"), []byte(account), 0o600), os.WriteFile(filepath.Join(dir, "config"), []byte(config), 0o600),
		os.WriteFile(filepath.Join(dir, "contacts"), nil, 0o600)))
	b := &opusPhone{baresip: baresip{s: s, events: make(map[string]int)}, dir: dir}
	b.process, err = lab.Spawn(dir, "opus", path, "-f", dir, "-s")
	s.Must(err)
	b.connect(ctx, control)
	return b
}

// stop may be called again.
func (b *opusPhone) stop() {
	if !b.stopped {
		b.stopped = true
		b.baresip.stop()
	}
}

// heard is what the phone wrote down, brought to 8 kHz and one channel.
func (b *opusPhone) heard() (samples []int16) {
	files, err := filepath.Glob(filepath.Join(b.dir, "dump-*-dec.wav"))
	b.s.Must(err)
	b.s.Check(len(files) == 1, "the phone in Opus wrote down %d calls\n%s", len(files), b.process.Tail(60))
	text, err := os.ReadFile(files[0])
	b.s.Must(err)
	b.s.Check(len(text) > 44 && string(text[:4]) == "RIFF", "%s is no recording of %d bytes", files[0], len(text))
	le := binary.LittleEndian
	channels, rate := int(le.Uint16(text[22:])), int(le.Uint32(text[24:]))
	b.s.Check(channels > 0 && rate%sound.Rate == 0 && le.Uint16(text[34:]) == 16, "the recording has %d channels, %d Hz, %d bits", channels, rate, le.Uint16(text[34:]))
	step := channels * rate / sound.Rate
	for at := 44; at+2*step <= len(text); at += 2 * step {
		sum := 0
		for i := 0; i < step; i += channels {
			sum += int(int16(le.Uint16(text[at+2*i:])))
		}
		samples = append(samples, int16(sum*channels/step))
	}
	return samples
}
