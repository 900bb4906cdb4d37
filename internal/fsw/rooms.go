package fsw

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/signalbox/signalbox/dialplan/encode"
	"github.com/signalbox/signalbox/esl"
)

// Conference is one conference as FreeSWITCH lists it.
type Conference struct {
	Name    string   `json:"conference_name"`
	UUID    string   `json:"conference_uuid"`
	Locked  bool     `json:"locked"`
	Members []Member `json:"members"`
}

// Member is one leg in a Conference.
type Member struct {
	Type   string `json:"type"` // "caller", or what records the room
	ID     int    `json:"id"`
	UUID   string `json:"uuid"`
	Number string `json:"caller_id_number"`
	Flags  struct {
		Speaks    bool `json:"can_speak"`
		Moderator bool `json:"is_moderator"`
	} `json:"flags"`
}

// Conferences lists the conferences of the switch, without what records them.
func (s *Switch) Conferences(ctx context.Context) ([]Conference, error) {
	ctx, cancel := context.WithTimeout(ctx, aliveTimeout)
	defer cancel()
	answer, err := s.conn.API(ctx, "conference json_list")
	if err != nil {
		return nil, err
	}
	return parseConferences(answer)
}

func parseConferences(answer string) ([]Conference, error) {
	var all []Conference
	if err := json.Unmarshal([]byte(answer), &all); err != nil {
		return nil, fmt.Errorf("conference json_list: %w", err)
	}
	for i := range all {
		people := all[i].Members[:0]
		for _, m := range all[i].Members {
			if m.Type == "caller" {
				people = append(people, m)
			}
		}
		all[i].Members = people
	}
	return all, nil
}

// Conference has a command about a conference carried out; encode.Room says which there are.
func (n *Node) Conference(ctx context.Context, room, verb string, words ...string) error {
	command, err := encode.Room(room, verb, words...)
	if err != nil {
		return err
	}
	return n.do(ctx, command)
}

func (n *Node) do(ctx context.Context, command string) error {
	conn, err := n.conn()
	if err != nil {
		return err
	}
	_, err = conn.API(ctx, command)
	return err
}

// File is the path of a file inside the switch's configuration folder.
func (n *Node) File(ctx context.Context, name string) (string, error) {
	conn, err := n.conn()
	if err != nil {
		return "", err
	}
	folder, err := conn.API(ctx, "global_getvar conf_dir")
	if err != nil {
		return "", err
	}
	return encode.Path(path.Join(folder, name))
}

// Exists reports whether a file is on the switch's disk; false also when nobody says so.
func (n *Node) Exists(ctx context.Context, file string) bool {
	conn, err := n.conn()
	if err != nil {
		return false
	}
	if file, err = encode.Path(file); err != nil {
		return false
	}
	there, err := isTrue(ctx, conn, "file_exists "+file)
	return err == nil && there
}

const (
	// silentFor is how long nothing must have come from a leg that counts as silent, and silentLook how often that is looked at. A
	// telephone that saves packets while nobody speaks sends some more often.
	silentFor  = time.Second
	silentLook = 200 * time.Millisecond
)

// Silent reports whether no packet of voice comes from a leg's party: the telephone has gone and nobody has said so, or it holds the call.
// It takes a second to say yes.
func (n *Node) Silent(ctx context.Context, leg string) (bool, error) {
	uuid, err := encode.UUID(leg)
	if err != nil {
		return false, err
	}
	conn, err := n.conn()
	if err != nil {
		return false, err
	}
	packets := func() (string, error) {
		if _, err := conn.API(ctx, "uuid_set_media_stats "+uuid); err != nil {
			return "", err
		}
		return conn.API(ctx, "uuid_getvar "+uuid+" rtp_audio_in_packet_count")
	}
	first, err := packets()
	if err != nil {
		return false, err
	}
	if _, err := strconv.ParseUint(strings.TrimSpace(first), 10, 64); err != nil {
		return false, fmt.Errorf("freeswitch counts no packets of leg %s: %.40q", uuid, first)
	}
	look := time.NewTicker(silentLook)
	defer look.Stop()
	for range silentFor / silentLook {
		select {
		case <-look.C:
		case <-ctx.Done():
			return false, ctx.Err()
		}
		if now, err := packets(); err != nil || now != first {
			return false, err
		}
	}
	return true, nil
}

// CallIntoConference calls a dial order and puts the one that answers into a conference. With a key the callee is asked for it by a prompt,
// and one that does not press it never gets in. It returns when his leg is in, or when nobody took the call.
func (n *Node) CallIntoConference(ctx context.Context, order ConferenceCall) error {
	line, err := order.line()
	if err != nil {
		return err
	}
	conn, err := n.conn()
	if err != nil {
		return err
	}
	_, err = conn.BgAPI(ctx, "originate "+line)
	return err
}

// HangUp ends legs that FreeSWITCH has made for a call of ours: phones that ring stop. One that is not there, or not yet, is no error.
func (n *Node) HangUp(ctx context.Context, legs ...string) error {
	conn, err := n.conn()
	if err != nil {
		return err
	}
	for _, leg := range legs {
		uuid, err := encode.UUID(leg)
		if err != nil {
			return err
		}
		var refused *esl.ReplyError
		if _, err := conn.API(ctx, "uuid_kill "+uuid+" ORIGINATOR_CANCEL"); err != nil && !errors.As(err, &refused) {
			return err
		}
	}
	return nil
}
