package encode

import (
	"errors"
	"strings"
	"testing"
)

func TestConferenceCommandsHaveNothingForeignInThem(t *testing.T) {
	got, err := Room("sb-0123456789abcdef", "mute", "17")
	if err != nil || got != "conference sb-0123456789abcdef mute 17" {
		t.Errorf("Room: %q, %v", got, err)
	}
	for _, bad := range [][]string{
		{"sb-1@default", "lock"}, {"sb-1 kick all", "lock"}, {"sb-1", "dial", "user/1000"}, {"sb-1", "mute", "1 all"}, {"sb-1", "play", "${system(x)}"},
		{"sb-1", "kick", "1", "2"}, {"", "lock"}, {"sb-1", "play", "/a b"}, {"sb-1\nhupall", "lock"},
	} {
		if got, err := Room(bad[0], bad[1], bad[2:]...); !errors.Is(err, ErrInvalid) {
			t.Errorf("Room(%q) = %q, %v", bad, got, err)
		}
	}
}

func TestNamesAreSpokenWithoutWhatIsNotSpeech(t *testing.T) {
	for in, want := range map[string]string{
		"Zoë Müller":                        "Zoë Müller",
		"${system(touch /tmp/x)}":           "system touch tmp x",
		"<speak><break time='9s'/></speak>": "speak break time 9s speak",
		"a\r\nSIP/2.0":                      "a SIP 2 0",
		"{tts_engine=x}Анна":                "tts engine x Анна",
		"\u202e\u0000'\"":                   "",
		strings.Repeat("ab ", 200):          strings.TrimSpace(strings.Repeat("ab ", 21)) + " a",
	} {
		if got := Spoken(in); got != want {
			t.Errorf("Spoken(%q) = %q, want %q", in, got, want)
		}
	}
	if got, err := Discard("/var/lib/names/a.wav", "u-1"); err != nil || got != "{origination_uuid=u-1,RECORD_MIN_SEC=86400,RECORD_WRITE_ONLY=true}null/voice 'm:^:record_session:/var/lib/names/a.wav' inline" {
		t.Errorf("Discard: %q, %v", got, err)
	}
	for _, bad := range [][2]string{{"a.wav", "u"}, {"/a^hangup", "u"}, {"/a b", "u"}, {"/${x}", "u"}, {"/a.wav", "u,x=1"}, {"/a.wav", ""}} {
		if got, err := Discard(bad[0], bad[1]); err == nil {
			t.Errorf("Discard%q = %q", bad, got)
		}
	}
	got, err := SpeakInto("/var/lib/names/a.wav", "u-1", "flite", "slt", "Anna' ${x}^hangup")
	if err != nil || got != "{origination_uuid=u-1,RECORD_WRITE_ONLY=true}null/voice 'm:^:record_session:/var/lib/names/a.wav^speak:flite|slt|Anna x hangup' inline" {
		t.Errorf("SpeakInto: %q, %v", got, err)
	}
	for _, bad := range [][5]string{
		{"/a.wav", "u", "flite", "slt", "$%&"}, {"/a.wav", "u", "fl|ite", "slt", "Anna"}, {"/a.wav", "u,x=y", "flite", "slt", "Anna"},
		{"/a^hangup.wav", "u", "flite", "slt", "Anna"}, {"/a b.wav", "u", "flite", "slt", "Anna"}, {"a.wav", "u", "flite", "slt", "Anna"},
	} {
		if got, err := SpeakInto(bad[0], bad[1], bad[2], bad[3], bad[4]); err == nil {
			t.Errorf("SpeakInto%q = %q", bad, got)
		}
	}
}

func TestDialledLegsComeIntoARoom(t *testing.T) {
	room := Conference{Room: "sb-1", Profile: "signalbox"}
	if got, err := IntoRoom("sofia/external/sip:x@127.0.0.1", room); err != nil || got != "sofia/external/sip:x@127.0.0.1 &conference(sb-1@signalbox)" {
		t.Errorf("IntoRoom: %q, %v", got, err)
	}
	if _, err := IntoRoom("sofia/x y", room); !errors.Is(err, ErrUnsafe) {
		t.Errorf("a dial string with a blank: %v", err)
	}
}
