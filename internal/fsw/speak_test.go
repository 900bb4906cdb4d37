package fsw_test

import (
	"context"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signalbox/signalbox/esl"
	"github.com/signalbox/signalbox/internal/fsw"
	"github.com/signalbox/signalbox/internal/fsw/fswtest"
)

// voice is a switch that speaks into files: a text lasts for as many questions after its channel as left says.
type voice struct {
	mu     sync.Mutex
	loaded string
	left   int
	began  []string // UUIDs of channels that spoke
	file   string   // that is there, whole or not
}

var speaks = regexp.MustCompile(`^originate \{origination_uuid=([0-9a-f-]+),RECORD_WRITE_ONLY=true\}null/voice 'm:\^:record_session:([^^]+)\^speak:flite\|slt\|Hana Weber' inline$`)

func (v *voice) api(command string) string {
	v.mu.Lock()
	defer v.mu.Unlock()
	name, arg, _ := strings.Cut(command, " ")
	said := func(is bool) string {
		if is {
			return "true"
		}
		return "false"
	}
	switch {
	case strings.HasPrefix(command, "show channels"):
		return `{"row_count":0}`
	case command == "status":
		return statusOf(0)
	case command == "global_getvar recordings_dir":
		return "/recordings"
	case command == "module_exists mod_flite":
		return v.loaded
	case name == "file_exists":
		return said(arg == v.file)
	case name == "uuid_exists":
		speaking := v.left > 0 && len(v.began) > 0 && v.began[len(v.began)-1] == arg
		v.left--
		return said(speaking)
	case speaks.MatchString(command):
		parts := speaks.FindStringSubmatch(command)
		v.began, v.file, v.left = append(v.began, parts[1]), parts[2], 5
		return "+OK " + parts[1]
	}
	return "-ERR " + command + " Command not found!\n"
}

func TestANameIsSpokenOnceAndWhole(t *testing.T) {
	t.Parallel()
	v := &voice{loaded: "false"}
	up := make(chan struct{}, 1)
	n := runNode(t, fsw.NodeOptions{
		Name: "fs1", Dial: esl.DialOptions{Addr: listenWith(t, v.api), Password: fswtest.Password},
		Attached: func(context.Context, *fsw.Switch) error { up <- struct{}{}; return nil },
	})
	fswtest.Wait(t, "the link", up)
	if file, err := n.Spoken(t.Context(), "flite", "slt", "Hana Weber"); err == nil {
		t.Errorf("without its module the voice spoke %s", file)
	}
	v.mu.Lock()
	v.loaded = "true"
	v.mu.Unlock()

	impatient, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if file, err := n.Spoken(impatient, "flite", "slt", "Hana Weber"); err == nil {
		t.Errorf("%s is half spoken, and was given away", file)
	}
	files := make(chan string, 3)
	for range 3 {
		go func() {
			file, err := n.Spoken(context.WithoutCancel(t.Context()), "flite", "slt", "Hana Weber")
			if err != nil {
				file = err.Error()
			}
			v.mu.Lock()
			defer v.mu.Unlock()
			if v.left > 0 {
				file += " while it is being spoken"
			}
			files <- file
		}()
	}
	for range 3 {
		if got := fswtest.Wait(t, "a file", files); !strings.HasPrefix(got, "/recordings/signalbox-names/") || !strings.HasSuffix(got, ".wav") {
			t.Errorf("spoken: %s", got)
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.began) != 1 {
		t.Errorf("the voice spoke %d times, want once", len(v.began))
	}
}
