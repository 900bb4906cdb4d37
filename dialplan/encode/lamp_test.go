package encode

import (
	"errors"
	"testing"
)

func TestMessageWaiting(t *testing.T) {
	got, err := MessageWaiting{User: "1000", Host: "pbx.example.net", Profile: "internal", New: 2, Old: 1, UrgentNew: 1, Mark: "X-By", By: "host/1/a"}.Message()
	want := "sendevent MESSAGE_WAITING\nMWI-Messages-Waiting: yes\nMWI-Message-Account: sip:1000@pbx.example.net\nMWI-Voice-Message: 2/1 (1/0)\n" +
		"Sofia-Profile: internal\nX-By: host/1/a"
	if err != nil || got != want {
		t.Errorf("got %q, %v", got, err)
	}
	for name, m := range map[string]MessageWaiting{
		"a line break in the user": {User: "1000\nunique-id: x", Host: "h.example"},
		"a blank in the host":      {User: "1000", Host: "h example"},
		"a line break in the mark": {User: "1000", Host: "h.example", Mark: "A", By: "b\nc"},
		"fewer than none":          {User: "1000", Host: "h.example", New: -1},
	} {
		if got, err := m.Message(); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}
