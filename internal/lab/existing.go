package lab

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/signalbox/signalbox/esl"
)

// Existing is a FreeSWITCH that runs already on this host, with the files of freeswitch-conf in its conf folder.
type Existing struct {
	EventSocket  string         // host:port
	Password     string         // of the Event Socket
	External     netip.AddrPort // carrier-side profile
	Internal     netip.AddrPort // profile where phones register
	UserPassword string         // of users 1001 to 1019
	// Conf is its conf folder. When it is set, the lab puts the operator's extensions of its stories there, has the dialplan
	// read again, and takes them away at the end. Without it the stories with an operator's extension cannot be played.
	Conf string
}

// Start is a RigOptions.StartSwitch: it looks whether the switch is there and prepares it.
func (x Existing) Start(ctx context.Context, files Dropins) (SwitchAt, func(), error) {
	at := SwitchAt{EventSocket: x.EventSocket, Password: x.Password, External: x.External, Internal: x.Internal, UserPassword: x.UserPassword}
	conn, err := esl.Dial(ctx, esl.DialOptions{Addr: x.EventSocket, Password: esl.Secret(x.Password), Timeout: 5 * time.Second})
	if err != nil {
		return at, nil, fmt.Errorf("the FreeSWITCH to play on: %w", err)
	}
	defer func() { _ = conn.Close() }()
	if at.Domain, err = conn.API(ctx, "global_getvar domain"); err != nil {
		return at, nil, fmt.Errorf("asking FreeSWITCH for its domain: %w", err)
	}
	at.Domain = strings.TrimSpace(at.Domain)
	if x.Conf == "" {
		return at, nil, nil
	}
	path := filepath.Join(x.Conf, filepath.FromSlash(strings.Replace(operatorFile, "50_operator", "50_signalbox_lab", 1)))
	if err := os.WriteFile(path, []byte(files[operatorFile]), 0o644); err != nil {
		return at, nil, fmt.Errorf("putting the operator's extensions into FreeSWITCH's conf folder: %w", err)
	}
	undo := func() {
		_ = os.Remove(path)
		ctx, cancel := context.WithTimeout(context.Background(), stopTime)
		defer cancel()
		if conn, err := esl.Dial(ctx, esl.DialOptions{Addr: x.EventSocket, Password: esl.Secret(x.Password)}); err == nil {
			_, _ = conn.API(ctx, "reloadxml")
			_ = conn.Close()
		}
	}
	if _, err := conn.API(ctx, "reloadxml"); err != nil {
		undo()
		return at, nil, fmt.Errorf("having FreeSWITCH read its dialplan again: %w", err)
	}
	return at, undo, nil
}

// WithoutOperator leaves the stories out that need an operator's extension in the dialplan, and names them.
func WithoutOperator(stories []Story) (kept []Story, left []string) {
	for _, s := range stories {
		if s.Line.Operator {
			left = append(left, s.Name)
		} else {
			kept = append(kept, s)
		}
	}
	return kept, left
}
