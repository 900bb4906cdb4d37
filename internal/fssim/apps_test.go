package fssim

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestPlayback(t *testing.T) {
	_, a, _, c, uuid, _ := plainCall(t, nil)
	dir := t.TempDir()
	file := filepath.Join(dir, "short.wav")
	if err := os.WriteFile(file, make([]byte, 16*200), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		arg, response string
		least, most   time.Duration
	}{
		{filepath.Join(dir, "nothere.wav"), "FILE NOT FOUND", 0, 150 * time.Millisecond},
		{"ivr/nothere.wav", "FILE NOT FOUND", 0, 150 * time.Millisecond},
		{dir, "FILE NOT FOUND", 0, 150 * time.Millisecond},
		{file, "FILE PLAYED", 200 * time.Millisecond, 2 * time.Second},
		{"silence_stream://150", "FILE PLAYED", 150 * time.Millisecond, 2 * time.Second},
		{"tone_stream://%(100,50,440)", "FILE PLAYED", 150 * time.Millisecond, 2 * time.Second},
	} {
		began := time.Now()
		e := c.execute("playback", x.arg)
		if got := e.Get("Application-Response"); got != x.response {
			t.Errorf("%s: Application-Response %q, want %q", x.arg, got, x.response)
		}
		if d := time.Since(began); d < x.least || d > x.most {
			t.Errorf("%s: lasted %v", x.arg, d)
		}
	}
	a.expect("183")
	if got := c.api("uuid_exists " + uuid); got != "true" {
		t.Errorf("a missing file ended the call: uuid_exists %q", got)
	}
	big := filepath.Join(dir, "big.wav")
	if err := os.WriteFile(big, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(big, 1<<30); err != nil {
		t.Fatal(err)
	}
	if src, ok := openSound(big); !ok || src.Length() != maxFileTime {
		t.Errorf("a file of a day plays %v, %v", src, ok)
	}
}

func TestRespondOnAnAnsweredCall(t *testing.T) {
	for _, x := range []struct{ arg, cause, reason string }{
		{"486 Busy Here", "USER_BUSY", `Q.850;cause=17;text="USER_BUSY"`},
		{"603", "CALL_REJECTED", `Q.850;cause=21;text="CALL_REJECTED"`},
	} {
		s, a, inv, c, _, _ := plainCall(t, nil)
		c.execute("answer", "")
		ok := a.expect("200")
		a.ack(inv, ok, s.ExternalAddr())
		for _, ignored := range []string{"180", "183", "200", "302 sip:x@127.0.0.9", "488", "nonsense"} {
			c.execute("respond", ignored)
		}
		a.nothing()
		c.start("respond", x.arg)
		bye := a.expect("BYE")
		if got := bye.get("Reason"); got != x.reason {
			t.Errorf("respond %s: Reason %q, want %q", x.arg, got, x.reason)
		}
		a.reply(bye, 200, "")
		if got := c.event("CHANNEL_HANGUP_COMPLETE").Var("hangup_cause"); got != x.cause {
			t.Errorf("respond %s: hangup_cause %q", x.arg, got)
		}
	}
}

func TestUUIDSetvarWithoutValueUnsets(t *testing.T) {
	_, _, _, c, uuid, _ := plainCall(t, nil)
	for _, x := range []struct{ cmd, want, value string }{
		{" note a b  c", "+OK\n", "a b  c"}, {" note", "+OK\n", "_undef_"}, {" note x", "+OK\n", "x"}, {" note ", "+OK\n", "_undef_"},
		{"", "-USAGE: <uuid> <var> [value]\n", "_undef_"}} {
		if got := c.api("uuid_setvar " + uuid + x.cmd); got != x.want {
			t.Errorf("uuid_setvar%s: %q, want %q", x.cmd, got, x.want)
		}
		if got := c.api("uuid_getvar " + uuid + " note"); got != x.value {
			t.Errorf("after uuid_setvar%s: %q, want %q", x.cmd, got, x.value)
		}
	}
}

func TestUUIDKillTakesACause(t *testing.T) {
	for _, x := range []struct{ arg, status, cause string }{
		{"", "480", "NORMAL_CLEARING"}, {" USER_BUSY", "486", "USER_BUSY"}, {" 21", "603", "CALL_REJECTED"},
		{" NONSENSE", "480", "NORMAL_CLEARING"}} {
		s, a, _, c, uuid, _ := plainCall(t, nil)
		in := link(t, s)
		if got := in.api("uuid_kill " + uuid + x.arg); got != "+OK\n" {
			t.Errorf("uuid_kill%s: %q", x.arg, got)
		}
		a.expect(x.status)
		if got := c.event("CHANNEL_HANGUP_COMPLETE").Var("hangup_cause"); got != x.cause {
			t.Errorf("uuid_kill%s: hangup_cause %q, want %q", x.arg, got, x.cause)
		}
		if got := in.api("uuid_kill nonesuch"); got != noChannel {
			t.Errorf("uuid_kill of nobody: %q", got)
		}
	}
}
