package encode

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Conference is the argument of the application conference: NAME@PROFILE+flags{a|b}.
type Conference struct {
	Room    string // 1 to 64 letters, digits or any of _.-
	Profile string // the same; "" = default
	Flags   []string
}

// Arg returns the argument. A PIN is not carried: whether a caller may come in is decided before.
func (c Conference) Arg() (string, error) {
	if err := checkAlphabet("conference", c.Room, "_.-", 64); err != nil {
		return "", err
	}
	profile := c.Profile
	if profile == "" {
		profile = "default"
	}
	if err := checkAlphabet("conference profile", profile, "_.-", 64); err != nil {
		return "", err
	}
	out := c.Room + "@" + profile
	for _, flag := range c.Flags {
		if err := checkAlphabet("member flag", flag, "_-", 64); err != nil {
			return "", err
		}
	}
	if len(c.Flags) > 0 {
		out += "+flags{" + strings.Join(c.Flags, "|") + "}"
	}
	return out, nil
}

// fileString has several sounds played as one, parted by partSounds.
const (
	fileString = "file_string://"
	partSounds = "!"
)

// streams are the formats that play without a file.
var streams = []string{"tone_stream", "silence_stream", "local_stream"}

// Sounds returns several sounds as one that applications can play: absolute paths, or streams such as tone_stream://%(200,0,440),
// silence_stream://500 and local_stream://moh. None is an error.
func Sounds(sounds []string) (string, error) {
	for _, s := range sounds {
		if i := strings.Index(s, "://"); i > 0 && slices.Contains(streams, s[:i]) {
			if err := checkAlphabet("stream", s, ":/%(),;=._-", 512); err != nil {
				return "", err
			}
			continue
		}
		if _, err := Path(s); err != nil {
			return "", err
		}
	}
	switch len(sounds) {
	case 0:
		return "", fmt.Errorf("no sound to play: %w", ErrInvalid)
	case 1:
		return sounds[0], nil
	}
	out := fileString + strings.Join(sounds, partSounds)
	if len(out) > MaxArg {
		return "", fmt.Errorf("%d sounds are too many: %w", len(sounds), ErrInvalid)
	}
	return out, nil
}

// Digits is the argument of the application play_and_get_digits that plays sounds once and collects keys once, from the first
// moment on: what is to be said of a wrong one is the caller's business.
type Digits struct {
	Sounds      []string      // as of the function Sounds
	Most        int           // keys, 1 to 128; so many end it at once
	Wait        time.Duration // for the first key after the sounds; 100 ms to 10 min
	Between     time.Duration // for each further key; 0 = as Wait
	Terminators string        // of 0-9*#; "" = no key ends it but the last
	Variable    string        // gets the keys
}

// Arg returns the argument.
func (d Digits) Arg() (string, error) {
	sounds, err := Sounds(d.Sounds)
	if err != nil {
		return "", err
	}
	if err := checkVarName(d.Variable); err != nil {
		return "", err
	}
	if d.Between == 0 {
		d.Between = d.Wait
	}
	for _, wait := range []time.Duration{d.Wait, d.Between} {
		if wait < 100*time.Millisecond || wait > 10*time.Minute {
			return "", fmt.Errorf("wait for a key of %v has to be 100 ms to 10 min: %w", wait, ErrInvalid)
		}
	}
	if d.Most < 1 || d.Most > 128 || strings.Trim(d.Terminators, "0123456789*#") != "" {
		return "", fmt.Errorf("%d keys ended by %s: %w", d.Most, show(d.Terminators), ErrInvalid)
	}
	terminators := d.Terminators
	if terminators == "" {
		terminators = "none" // no letter of it is a key
	}
	return strings.Join([]string{"1", strconv.Itoa(d.Most), "1", strconv.FormatInt(d.Wait.Milliseconds(), 10), terminators, sounds, "silence_stream://1",
		d.Variable, ".+", strconv.FormatInt(d.Between.Milliseconds(), 10)}, " "), nil
}
