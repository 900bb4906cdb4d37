package doctor

import (
	"context"
	"errors"
	"io/fs"
	"strings"

	freeswitchconf "github.com/signalbox/signalbox/freeswitch-conf"
)

// need is something that the sidecar's link uses and an Event Socket user may be denied. Whoever has the link use more adds it here and
// to the directory user that we ship.
type need struct {
	try  string // an api command that changes nothing, or an event
	lost string // what does not work without it; "" = the link itself
}

const (
	noUUID   = "00000000-0000-0000-0000-000000000000"
	noDelay  = "messages that were taken while voicemail was down are not delivered"
	noRooms  = "conferences are not followed, announced or ended"
	noStats  = "who calls a conference again, while the call that was cut off stands, is in it twice"
	noNames  = "names are not spoken in conferences"
	noLamp   = "phones are not told of their messages"
	noLooks  = "provision reconcile does not look for phones"
	noWarmth = "profiles are not read ahead when phones register, and phones are not told of their messages then"
)

var (
	linkCommands = []need{
		{"status", ""}, {"show channels as json", ""}, {"uuid_exists " + noUUID, ""}, {"uuid_getvar " + noUUID + " signalbox_stage", ""}, {"global_getvar core_uuid", ""},
		{"originate", noDelay}, {"conference json_list", noRooms}, {"uuid_set_media_stats " + noUUID, noStats}, {"user_exists id nobody nowhere.invalid", noLooks},
		{"file_exists /nowhere", noNames}, {"module_exists mod_flite", noNames},
	}
	linkEvents = []need{
		{"HEARTBEAT", ""}, {"BACKGROUND_JOB", ""}, {"CHANNEL_HANGUP_COMPLETE", ""},
		{"MESSAGE_WAITING", noLamp}, {"MESSAGE_QUERY", noLamp}, {"sofia::register", noWarmth}, {"sofia::unregister", noWarmth}, {"DTMF", noRooms}, {"conference::maintenance", noRooms},
	}
)

// word names what is needed.
func (n need) word() string {
	word, _, _ := strings.Cut(n.try, " ")
	return word
}

// rights tries what the link needs.
func (d *doctor) rights(ctx context.Context) {
	d.denied("rights-api", "use", "esl-allowed-api", linkCommands, func(command string) bool {
		_, err := d.ask(ctx, command)
		return errors.Is(err, errDenied)
	})
	d.denied("rights-events", "subscribe to", "esl-allowed-events", linkEvents, func(event string) bool {
		ctx, cancel := context.WithTimeout(ctx, askTime)
		defer cancel()
		return d.conn.Subscribe(ctx, event) != nil
	})
}

// denied says what the user may not do, and what is lost by that.
func (d *doctor) denied(name, verb, param string, needs []need, denied func(string) bool) {
	status := OK
	var all, lacking, lost []string
	for _, n := range needs {
		all = append(all, n.word())
		if !denied(n.try) {
			continue
		}
		lacking = append(lacking, n.word())
		switch {
		case n.lost == "":
			status = Fail
		case status == OK:
			status = Warn
		}
		if n.lost != "" && (len(lost) == 0 || lost[len(lost)-1] != n.lost) {
			lost = append(lost, n.lost)
		}
	}
	switch {
	case status == OK:
		d.say(name, OK, "the link may %s all it needs: %s", verb, strings.Join(all, ", "))
		return
	case status == Fail:
		lost = append([]string{"the sidecar's link needs that"}, lost...)
	}
	d.say(name, status, "%s may not %s %s: %s", d.User, verb, strings.Join(lacking, ", "), strings.Join(lost, "; ")).
		add(userFile, shippedParam(param), "then: fs_cli -x reloadxml, and the sidecar's next connection has it")
}

const userFile = "directory/default/signalbox.xml"

// shippedParam is the line of the directory user that we ship.
func shippedParam(name string) string {
	text, err := fs.ReadFile(freeswitchconf.Files, userFile)
	if err != nil { // only a wrong path
		panic(err)
	}
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, `name="`+name+`"`) {
			return strings.TrimSpace(line)
		}
	}
	return ""
}
