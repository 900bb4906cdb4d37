package fsw

import (
	"testing"

	"go.uber.org/zap"
)

func TestWhoWaitsForAHostNeverHearsSilence(t *testing.T) {
	l := &Leg{log: zap.NewNop()}
	for music, want := range map[string]string{
		"": waitingNotes, "local_stream://moh": "local_stream://moh", "/srv/music/piano.wav": "/srv/music/piano.wav",
		"music": waitingNotes, "shout://radio.example/x": waitingNotes,
	} {
		if got := l.waitingMusic(music); got != want {
			t.Errorf("conference.music %q: %s, want %s", music, got, want)
		}
	}
}
