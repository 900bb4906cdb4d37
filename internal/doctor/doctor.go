package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/signalbox/signalbox/esl"
	"github.com/signalbox/signalbox/internal/config"
)

// Status is the outcome of one check.
type Status string

// The outcomes. Skip is a thing that could not be looked at; Detail says why.
const (
	OK   Status = "ok"
	Warn Status = "warn"
	Fail Status = "fail"
	Skip Status = "skip"
)

// Check is one thing that was looked at.
type Check struct {
	Name   string   `json:"name"`
	Status Status   `json:"status"`
	Detail string   `json:"detail"`          // what was found, and what it means
	Where  string   `json:"where,omitempty"` // file or place of Add
	Add    []string `json:"add,omitempty"`   // exact lines, or commands
}

// Report is what was found at one FreeSWITCH.
type Report struct {
	Node   string  `json:"node"` // address of its Event Socket
	Checks []Check `json:"checks"`
}

// Count is how many checks have a status.
func (r *Report) Count(s Status) (n int) {
	for _, c := range r.Checks {
		if c.Status == s {
			n++
		}
	}
	return n
}

// Target is the FreeSWITCH to look at.
type Target struct {
	Addr     string // Event Socket, host:port
	User     string // user@domain for userauth; "" = the master password
	Password string
	SIP      netip.AddrPort // where the proxy sends its calls; invalid = profile external
}

// System is a voicemail system that has to be found in DNS.
type System struct{ FQDN, Transport string }

// Options of Examine. Everything but Target may be left out; what needs it is then not looked at.
type Options struct {
	Target
	Config  *config.Config
	Conf    string   // conf folder of that FreeSWITCH
	Numbers []string // that must come to the sidecar; none = one made up
	Systems []System
	// Conferences is what those of the store use; nil = that is not known.
	Conferences *Conferences
	// Lookup finds the addresses of a voicemail system.
	Lookup func(ctx context.Context, fqdn, transport string) ([]string, error)
	// Probe asks with SIP whether somebody of ours is at an address that is in use.
	Probe func(ctx context.Context, network string, addr netip.AddrPort) error
}

// askTime bounds one question.
const askTime = 5 * time.Second

// doctor is one examination.
type doctor struct {
	Options
	conn   *esl.Conn
	report *Report
	live   *live // what was asked of the switch
}

// Examine looks at everything. A FreeSWITCH that cannot be reached is a failed check, not an error.
func Examine(ctx context.Context, o Options) *Report {
	d := &doctor{Options: o, report: &Report{Node: o.Addr, Checks: []Check{}}}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	if d.connect(ctx) {
		defer func() { _ = d.conn.Close() }()
		d.live = &live{doctor: d, profiles: map[string]*profile{}}
		d.live.conf, _ = d.ask(ctx, "global_getvar conf_dir")
		d.version(ctx)
		d.rights(ctx)
		d.commands(ctx)
		d.modules(ctx)
		d.eventSocket(ctx)
		d.profile(ctx)
		d.include(ctx)
		d.retrieval(ctx)
		d.limits(ctx)
		d.clock(ctx)
		d.codecs(ctx)
		d.phones(ctx)
	}
	d.tree()
	d.conferences(ctx)
	d.names(ctx)
	d.ports(ctx)
	return d.report
}

// Offline looks at what the configuration's conferences need, in the conf tree alone.
func Offline(ctx context.Context, o Options) *Report {
	d := &doctor{Options: o, report: &Report{Node: o.Conf, Checks: []Check{}}}
	d.conferences(ctx)
	return d.report
}

func (d *doctor) say(name string, s Status, detail string, args ...any) *Check {
	d.report.Checks = append(d.report.Checks, Check{Name: name, Status: s, Detail: fmt.Sprintf(detail, args...)})
	return &d.report.Checks[len(d.report.Checks)-1]
}

// add gives the lines that mend it.
func (c *Check) add(where string, lines ...string) { c.Where, c.Add = where, lines }

// errDenied means that the user of the Event Socket may not ask this.
var errDenied = errors.New("the Event Socket user may not ask this")

// ask runs one api command. An answer that says there is no such command, or that it may not be asked, is an error.
func (d *doctor) ask(ctx context.Context, command string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	answer, err := d.conn.API(ctx, command)
	var refused *esl.ReplyError
	switch {
	case errors.As(err, &refused) && strings.Contains(refused.Text, "permission denied"):
		return "", errDenied
	case errors.Is(err, esl.ErrNoReply):
		return "", nil
	}
	return strings.TrimSpace(answer), err
}

// skip says that a check was not possible.
func (d *doctor) skip(name, command string, err error) {
	word, _, _ := strings.Cut(command, " ")
	if errors.Is(err, errDenied) {
		d.say(name, Skip, "%s may not ask %q; look with the master password, or let the user ask it (esl-allowed-api)", d.User, word)
		return
	}
	d.say(name, Skip, "%s: %v", word, err)
}

// connect opens the connection.
func (d *doctor) connect(ctx context.Context) bool {
	conn, err := esl.Dial(ctx, esl.DialOptions{Addr: d.Addr, User: d.User, Password: esl.Secret(d.Password), Timeout: askTime})
	if err == nil {
		d.conn = conn
		who := "the master password"
		if d.User != "" {
			who = d.User
		}
		d.say("event-socket", OK, "connected to %s with %s", d.Addr, who)
		return true
	}
	c := d.say("event-socket", Fail, "%s: %v", d.Addr, err)
	switch {
	case errors.Is(err, esl.ErrAuth) && d.User != "":
		c.add("directory/default/signalbox.xml", `<param name="esl-password" value="THE PASSWORD OF nodes[].event_socket"/>`, "then: fs_cli -x reloadxml")
	case errors.Is(err, esl.ErrAuth):
		c.add("autoload_configs/event_socket.conf.xml", `<param name="password" value="THE PASSWORD OF nodes[].event_socket"/>`, `then: fs_cli -x "reload mod_event_socket"`)
	case errors.Is(err, esl.ErrRejected):
		c.add("autoload_configs/event_socket.conf.xml", `<param name="apply-inbound-acl" value="loopback.auto"/>  (or a list with our address)`, `then: fs_cli -x "reload mod_event_socket"`)
	default:
		c.add("autoload_configs/event_socket.conf.xml", `<param name="listen-ip" value="127.0.0.1"/>`, `<param name="listen-port" value="8021"/>`, "autoload_configs/modules.conf.xml: <load module=\"mod_event_socket\"/>", "and see that FreeSWITCH runs: fs_cli -x status")
	}
	return false
}

// notes of versions that behave otherwise than the one everything was measured on.
const (
	measuredOn = "1.10.12"
	notes111   = "FreeSWITCH 1.11 compiles patterns with PCRE2 (run dialplan lint), takes at most 16 MiB of Event Socket message, can hide APIs by an allow-list, and passes 603 Network Blocked on only with sip_603plus_passthrough=true"
)

func (d *doctor) version(ctx context.Context) {
	answer, err := d.ask(ctx, "version")
	if err != nil {
		d.skip("version", "version", err)
		return
	}
	rest, ok := strings.CutPrefix(answer, "FreeSWITCH Version ")
	version, _, _ := strings.Cut(rest, "-")
	version, _, _ = strings.Cut(version, "+")
	var major, minor int
	if n, _ := fmt.Sscanf(version, "%d.%d", &major, &minor); !ok || n < 2 {
		d.say("version", Warn, "%q is not read: everything was measured on %s", clip(answer), measuredOn)
		return
	}
	switch {
	case major == 1 && minor == 10:
		d.say("version", OK, "%s; everything was measured on %s", version, measuredOn)
	case major > 1 || minor > 10:
		d.say("version", Warn, "%s is newer than %s, on which everything was measured. %s", version, measuredOn, notes111)
	default:
		d.say("version", Warn, "%s is older than 1.10: Signalbox was never tried with it", version)
	}
}

func clip(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	if len(s) > 80 {
		return s[:80] + "..."
	}
	return s
}

// neededModules are those without which no call works, and what the others are for.
var (
	neededModules = []string{"mod_sofia", "mod_dptools", "mod_commands", "mod_dialplan_xml", "mod_event_socket"}
	usefulModules = []struct{ name, what string }{
		{"mod_tone_stream", "the tone of a call that nobody took is silence"},
		{"mod_sndfile", "prompts from files are silence"},
		{"mod_conference", "nobody can be joined into a conference"},
	}
)

func (d *doctor) modules(ctx context.Context) {
	var missing, useful, what []string
	for _, name := range neededModules {
		answer, err := d.ask(ctx, "module_exists "+name)
		if err != nil {
			d.skip("modules", "module_exists", err)
			return
		}
		if answer != "true" {
			missing = append(missing, name)
		}
	}
	for _, m := range usefulModules {
		if answer, err := d.ask(ctx, "module_exists "+m.name); err == nil && answer != "true" {
			useful, what = append(useful, m.name), append(what, m.what)
		}
	}
	switch {
	case len(missing) > 0:
		d.say("modules", Fail, "not loaded: %s", strings.Join(missing, ", ")).add("autoload_configs/modules.conf.xml", loads(missing)...)
	case len(useful) > 0:
		d.say("modules", Warn, "not loaded: %s (%s)", strings.Join(useful, ", "), strings.Join(what, "; ")).add("autoload_configs/modules.conf.xml", loads(useful)...)
	default:
		d.say("modules", OK, "%s and %d more that are used", strings.Join(neededModules, ", "), len(usefulModules))
	}
}

func loads(modules []string) (lines []string) {
	for _, m := range modules {
		lines = append(lines, fmt.Sprintf(`<load module="%s"/>`, m))
	}
	for _, m := range modules {
		lines = append(lines, fmt.Sprintf(`then: fs_cli -x "load %s"`, m))
	}
	return lines
}
