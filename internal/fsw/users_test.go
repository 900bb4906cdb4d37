package fsw_test

import (
	"testing"

	"github.com/signalbox/signalbox/esl"
	"github.com/signalbox/signalbox/internal/fssim"
	"github.com/signalbox/signalbox/internal/fsw"
	"github.com/signalbox/signalbox/internal/fsw/fswtest"
)

func TestUsersOfTheDirectory(t *testing.T) {
	t.Parallel()
	bench := fswtest.New(t, fswtest.Options{Users: []fssim.User{{Name: "1000", Domain: "127.0.0.1"}}})
	conn, err := esl.Dial(t.Context(), esl.DialOptions{Addr: bench.Switch.EventSocketAddr().String(), Password: fswtest.Password})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if known, err := fsw.UserExists(t.Context(), conn, "nosuch", "127.0.0.1"); err != nil || known {
		t.Errorf("nobody: %v, %v", known, err)
	}
	if known, err := fsw.UserExists(t.Context(), conn, "1000", "127.0.0.1"); err != nil || !known {
		t.Errorf("1000: %v, %v", known, err)
	}
	for _, hostile := range []string{"1000 127.0.0.1|x", "${hostname}", "a\nb", `a\b`} {
		if _, err := fsw.UserExists(t.Context(), conn, hostile, "127.0.0.1"); err == nil {
			t.Errorf("%q was asked for", hostile)
		}
	}
}
