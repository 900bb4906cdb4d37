package e2e

import (
	"context"
	"os"
	"strings"
	"time"

	"github.com/signalbox/signalbox/internal/lab"
)

// hostileHost is the name of a host that a voice has never spoken, with what means something to FreeSWITCH and a shell.
func hostileHost() string {
	letters := []byte("Hana ")
	for n := time.Now().UnixNano() / 1000; n > 0 && len(letters) < 10; n /= 20 {
		letters = append(letters, "bcdfghjklmnpqrstvwxz"[n%20])
	}
	return string(letters) + " $${x}`'|"
}

// hostNamed is how the greeting says whom the caller has reached, by what FreeSWITCH plays.
func hostNamed() lab.Story {
	return story("conf-host-named", "The host is greeted for by name, which a voice speaks; a host whose network asks for privacy is neither named nor is his number read.", func(ctx context.Context, s *lab.Stage) {
		voice := false
		if s.Rig.Real() {
			_, _ = s.Rig.API(ctx, "load mod_flite") // vanilla has it commented out, and not every machine has it
			loaded, err := s.Rig.API(ctx, "module_exists mod_flite")
			voice = err == nil && strings.TrimSpace(loaded) == "true"
		}
		calls := 0
		plays := func(inv lab.Invite) string {
			c := offered(ctx, s, inv)
			uuid, err := s.Rig.Leg(ctx, c)
			s.Must(err)
			data, err := s.Rig.API(ctx, "uuid_getvar "+uuid+" current_application_data")
			s.Must(err)
			c.Hangup()
			calls++
			s.Steps(s.Record(ctx, calls), "conference caller-gone")
			return data
		}
		played := plays(s.Forwarded(s.From, "user-busy"))
		for voice && !strings.Contains(played, voiceFolder) && calls < 3 { // the first time the voice may take longer than callers wait
			played = plays(s.Forwarded(s.From, "user-busy"))
		}
		if voice {
			s.Check(strings.Contains(played, voiceFolder) && !strings.Contains(played, "number-"), "the greeting is %s, want the host's name", played)
			file := played[strings.LastIndex(played[:strings.Index(played, voiceFolder)], "!")+1:]
			file, _, _ = strings.Cut(file, "!")
			info, err := os.Stat(file)
			s.Check(err == nil && info.Size() > 5000, "nothing is spoken in %s: %v", file, err)
			s.Tell("the host's name is spoken, at call %d", calls)
		} else {
			s.Check(strings.Contains(played, "number-"), "the greeting is %s, want the host's number where there is no voice", played)
			s.Tell("there is no voice here: the number is read")
		}
		private := s.Forwarded(s.From, "user-busy")
		private.Headers[0] += ";privacy=full"
		played = plays(private)
		s.Check(strings.Contains(played, "reached-neutral") && !strings.Contains(played, "number-") && !strings.Contains(played, voiceFolder), "the greeting of a private host is %s", played)
	})
}

// voiceFolder is the folder of names that a voice has spoken.
const voiceFolder = "/signalbox-names/"
