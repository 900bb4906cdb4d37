package fssim

import (
	"os"
	"strings"
	"time"

	"github.com/signalbox/signalbox/internal/sound"
)

// maxFileTime bounds how long a file plays.
const maxFileTime = 30 * time.Second

// maxParts bounds what is played one after the other.
const maxParts = 64

// openSound opens what playback and its like are given: generated tones and silence by their parameters, a file, several one after the other
// (file_string://a!b). Music on hold is silence without an end. A file that does not exist, or is none, is not found; one that is
// no WAV of 8 kHz is silence for as long as it would be one.
func openSound(arg string) (sound.Source, bool) {
	if i := strings.LastIndex(arg, "@@"); i >= 0 {
		arg = arg[:i]
	}
	if list, ok := strings.CutPrefix(arg, "file_string://"); ok {
		return openParts(list)
	}
	switch {
	case strings.HasPrefix(arg, "silence_stream://"):
		first, _, _ := strings.Cut(arg[len("silence_stream://"):], ",")
		n := atoi(first)
		if n < 0 {
			return sound.NewSilence(sound.Endless), true
		}
		return sound.NewSilence(time.Duration(n) * time.Millisecond), true
	case strings.HasPrefix(arg, "tone_stream://"), strings.HasPrefix(arg, "%("):
		return sound.NewBeats(strings.TrimPrefix(arg, "tone_stream://")), true
	case strings.HasPrefix(arg, "local_stream://"):
		return sound.NewSilence(sound.Endless), true
	case strings.HasPrefix(arg, "say:"):
		return sound.NewSilence(time.Second), true
	}
	st, err := os.Stat(arg)
	if err != nil || !st.Mode().IsRegular() {
		return nil, false
	}
	length := min(time.Duration(st.Size()/16)*time.Millisecond, maxFileTime)
	if st.Size() > int64(44+maxFileTime/time.Millisecond*16) {
		return sound.NewSilence(length), true
	}
	text, err := os.ReadFile(arg)
	if err != nil {
		return nil, false
	}
	if samples, ok := sound.ReadWAV(text); ok {
		return sound.NewSamples(samples), true
	}
	return sound.NewSilence(length), true
}

// openParts opens "a!b!c"; what is not found among them is left out, and all of them must not be.
func openParts(list string) (sound.Source, bool) {
	var all sound.OneAfterTheOther
	for part := range strings.SplitSeq(list, "!") {
		if one, ok := openSound(part); ok && len(all) < maxParts && !strings.HasPrefix(part, "file_string://") {
			all = append(all, one)
		}
	}
	return &all, len(all) > 0
}
