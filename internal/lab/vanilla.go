package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/signalbox/signalbox/esl"
)

// Vanilla is a real FreeSWITCH that the lab starts for itself, with a copy of the vanilla configuration that was installed
// with it: on loopback, on ports of its own, with folders of its own. What is installed is only read.
type Vanilla struct {
	Program string // the freeswitch binary
	Conf    string // its vanilla conf folder; "" = etc/freeswitch beside the program's folder, or /etc/freeswitch
	Dir     string // where copy, logs and databases go; the caller removes it
	RTPPort uint16 // first of 1,000 ports for voice; 0 = those of a block that no other instance has
	// Reliable has the carrier-side profile send provisional responses reliably (RFC 3262) to who supports that.
	Reliable bool
	// IPv6 keeps the profile external-ipv6, at ::1 and the port of external.
	IPv6 bool
}

// ErrNoVanilla means that no vanilla configuration was found.
var ErrNoVanilla = errors.New("lab: no vanilla configuration of FreeSWITCH was found, name its folder")

// vanillaPorts are the ports one instance needs.
type vanillaPorts struct{ eventSocket, internal, external netip.AddrPort }

// Start is a RigOptions.StartSwitch.
func (v Vanilla) Start(ctx context.Context, files Dropins) (SwitchAt, func(), error) {
	from, err := v.find()
	if err != nil {
		return SwitchAt{}, nil, err
	}
	var ports vanillaPorts
	for _, p := range []*netip.AddrPort{&ports.eventSocket, &ports.internal, &ports.external} {
		if *p, err = freePort(); err != nil {
			return SwitchAt{}, nil, err
		}
	}
	voice := func() {}
	if v.RTPPort == 0 {
		if v.RTPPort, voice, err = voicePorts(); err != nil {
			return SwitchAt{}, nil, err
		}
	}
	started := false
	defer func() {
		if !started {
			voice()
		}
	}()
	home, err := newFolder(v.Dir, "freeswitch")
	if err != nil {
		return SwitchAt{}, nil, err
	}
	conf := filepath.Join(home, "conf")
	if err := errors.Join(copyTree(from, conf), v.edit(conf, ports), files.Write(conf)); err != nil {
		return SwitchAt{}, nil, fmt.Errorf("copying the vanilla configuration: %w", err)
	}
	// Certificates for DTLS and WebSockets, made anew where none came with the configuration, belong to the copy as well.
	args := []string{"-nonat", "-nf", "-nc", "-np", "-conf", conf, "-certs", filepath.Join(conf, "tls")}
	for _, folder := range []string{"log", "db", "run", "storage"} {
		path := filepath.Join(home, folder)
		if err := os.MkdirAll(path, 0o700); err != nil {
			return SwitchAt{}, nil, fmt.Errorf("making a folder for FreeSWITCH: %w", err)
		}
		args = append(args, "-"+folder, path)
	}
	at := SwitchAt{
		EventSocket: ports.eventSocket.String(), Password: eventSocketPassword, External: ports.external, Internal: ports.internal,
		Domain: loopback.String(), UserPassword: vanillaPassword,
	}
	var running *Process
	at.again = func(ctx context.Context) (*Process, error) {
		p, err := Spawn(v.Dir, filepath.Base(home), v.Program, args...)
		if err != nil {
			return nil, err
		}
		if err := v.ready(ctx, p, at); err != nil {
			p.Stop(vanillaStop)
			return nil, err
		}
		running = p
		return p, nil
	}
	if at.process, err = at.again(ctx); err != nil {
		return SwitchAt{}, nil, err
	}
	at.PID, started = running.PID(), true
	return at, func() {
		running.Stop(vanillaStop)
		voice()
	}, nil
}

// vanillaPassword is not vanilla's own, with which every call of a phone sleeps for 10 s.
const vanillaPassword = "4321"

// vanillaStop is what a FreeSWITCH has to end before it is killed.
const vanillaStop = 5 * time.Second

// ready waits until the switch has loaded all its modules and both SIP profiles listen: it answers on the Event Socket long before.
func (v Vanilla) ready(ctx context.Context, p *Process, at SwitchAt) error {
	r := &Rig{}
	return r.until(ctx, p, func() error {
		conn, err := esl.Dial(ctx, esl.DialOptions{Addr: at.EventSocket, Password: esl.Secret(at.Password), Timeout: 2 * time.Second})
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }()
		switch ready, err := conn.API(ctx, "fsctl ready_check"); {
		case err != nil:
			return err
		case strings.TrimSpace(ready) != "true":
			return fmt.Errorf("FreeSWITCH loads its modules: ready_check says %q", ready)
		}
		return errors.Join(dialOnce(ctx, at.Internal.String()), dialOnce(ctx, at.External.String()))
	})
}

func (v Vanilla) find() (string, error) {
	places := []string{v.Conf}
	if v.Conf == "" {
		places = []string{filepath.Join(filepath.Dir(filepath.Dir(v.Program)), "etc", "freeswitch"),
			filepath.Join(filepath.Dir(filepath.Dir(v.Program)), "conf"), "/etc/freeswitch", "/usr/share/freeswitch/conf/vanilla"}
	}
	for _, place := range places {
		if _, err := os.Stat(filepath.Join(place, "vars.xml")); err == nil {
			return place, nil
		}
	}
	return "", fmt.Errorf("%w: looked at %s", ErrNoVanilla, strings.Join(places, ", "))
}

func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		if entry.IsDir() {
			return os.MkdirAll(target, 0o700)
		}
		if !entry.Type().IsRegular() {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(target, text, 0o600)
	})
}

// edit changes a copy of the vanilla configuration: addresses, ports and passwords, and the modules that would speak to
// somebody outside.
func (v Vanilla) edit(conf string, p vanillaPorts) error {
	set := func(name, value string) string { return `<X-PRE-PROCESS cmd="set" data="` + name + "=" + value + `"/>` }
	param := func(name string, value any) string { return fmt.Sprintf(`<param name="%s" value="%v"/>`, name, value) }
	edits := map[string][]string{
		"vars.xml": {
			"<include>", "<include>\n  " + set("local_ip_v4", loopback.String()) + "\n  " + set("local_ip_v6", "::1"),
			`<X-PRE-PROCESS cmd="stun-set" data="external_rtp_ip=stun:stun.freeswitch.org"/>`, set("external_rtp_ip", loopback.String()),
			`<X-PRE-PROCESS cmd="stun-set" data="external_sip_ip=stun:stun.freeswitch.org"/>`, set("external_sip_ip", loopback.String()),
			set("default_password", "1234"), set("default_password", vanillaPassword),
			set("internal_sip_port", "5060"), set("internal_sip_port", fmt.Sprint(p.internal.Port())),
			set("external_sip_port", "5080"), set("external_sip_port", fmt.Sprint(p.external.Port())),
		},
		"autoload_configs/event_socket.conf.xml": {
			param("listen-ip", "::"), param("listen-ip", loopback), param("listen-port", 8021), param("listen-port", p.eventSocket.Port()),
			param("password", "ClueCon"), param("password", eventSocketPassword),
		},
		"autoload_configs/switch.conf.xml": {param("sessions-per-second", 30), param("sessions-per-second", 300), // a lab's stories begin all at once
			"</settings>", param("rtp-start-port", v.RTPPort) + "\n" + param("rtp-end-port", v.RTPPort+voiceBlock-2) + "\n</settings>"},
		"autoload_configs/modules.conf.xml": {`<load module="mod_signalwire"/>`, "", `<load module="mod_verto"/>`, "", `<load module="mod_enum"/>`, ""},
		"sip_profiles/internal.xml":         {`<param name="ws-binding"  value=":5066"/>`, "", `<param name="wss-binding" value=":7443"/>`, ""},
	}
	if v.Reliable {
		edits["sip_profiles/external.xml"] = []string{"</settings>", param("enable-100rel", true) + "\n</settings>"}
	}
	for name, pairs := range edits {
		path := filepath.Join(conf, filepath.FromSlash(name))
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		text := string(raw)
		for i := 0; i < len(pairs); i += 2 {
			if !strings.Contains(text, pairs[i]) && pairs[i+1] != "" {
				return fmt.Errorf("%s is not vanilla: %s is missing", name, pairs[i])
			}
			text = strings.Replace(text, pairs[i], pairs[i+1], 1)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return err
		}
	}
	unwanted := []string{"internal-ipv6.xml"}
	if !v.IPv6 {
		unwanted = append(unwanted, "external-ipv6.xml")
	}
	for _, profile := range unwanted {
		if err := os.Remove(filepath.Join(conf, "sip_profiles", profile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
