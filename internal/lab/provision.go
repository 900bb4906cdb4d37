package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/app"
	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/config"
	"github.com/signalbox/signalbox/internal/store"
)

// maxStories bounds the stories of one rig: each has a user of FreeSWITCH's vanilla directory, 1001 to 1019, if it needs one.
const maxStories = 60

const (
	eventSocketPassword = "lab-ClueCon"
	deniedCaller        = "+498999998666"
	impossibleCaller    = "+10005550100"
)

// The fictional numbers of German films: Berlin for subscribers, Munich for callers.
func subscriberNumber(i int) string { return fmt.Sprintf("+493023125%03d", 100+i) }
func callerNumber(i int) string     { return fmt.Sprintf("+498999998%03d", 100+i) }

// newStage makes a story's agents and its records in the test DNS.
func (r *Rig) newStage(i int, story Story) (s *Stage, err error) {
	if i >= maxStories {
		return nil, fmt.Errorf("lab: more than %d stories in one rig", maxStories)
	}
	s = &Stage{
		Rig: r, Line: story.Line, Trace: NewTrace(nil), Number: subscriberNumber(i), From: callerNumber(i),
		Pilot: fmt.Sprintf("+493023126%03d", 100+i), FQDN: fmt.Sprintf("vm-%d.lab.example.test", i), user: fmt.Sprint(1001 + i%19),
	}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	hz := 0.0
	agent := func(name string, voice byte, ip netip.Addr, b Behaviour) (*Agent, error) {
		return NewAgent(AgentOptions{Name: name, Voice: voice, IP: ip, Trace: s.Trace, Names: r.names, Behaviour: b, Hz: hz})
	}
	caller := AgentOptions{Name: ColCaller, Voice: voiceCaller, IP: carrierLoopback, Trace: s.Trace, Names: r.names}
	if story.Line.Host {
		caller.Hz = HzAnna
	}
	if story.Line.IPv6 {
		caller.VoiceIP = netip.IPv6Loopback()
	}
	if s.Caller, err = NewAgent(caller); err != nil {
		return nil, fmt.Errorf("%w: callers send from %s, which Linux has; elsewhere give the loopback interface this address", err, carrierLoopback)
	}
	if hz = story.Line.PhoneTone; story.Line.Host {
		hz = HzHost
	}
	if story.Line.Phone == PhoneURI || story.Line.Phone == PhoneRegistered {
		if s.Phone, err = agent(ColPhone, voicePhone, loopback, Behaviour{}); err != nil {
			return nil, err
		}
	}
	if story.Line.Phone == PhoneBehindProxy {
		if s.Phone, err = agent(ColPhone, voicePhone, deviceLoopback, Behaviour{}); err != nil {
			return nil, err
		}
	}
	hz = 0
	if s.Operator, err = agent(ColOperator, voiceOperator, loopback, answersAtOnce()); err != nil {
		return nil, err
	}
	if story.Line.Notifies {
		if s.Notifier, err = agent(ColVoicemail, voiceMailA, mailLoopback, Behaviour{}); err != nil {
			return nil, err
		}
	}
	for n, state := range story.Line.Targets {
		if err = s.newTarget(n, state, agent); err != nil {
			return nil, err
		}
	}
	if story.Line.TLS {
		return s, s.publishTLS()
	}
	return s, s.publish()
}

// publishTLS puts TLS before the voicemail targets, with a certificate of somebody else before the first, and that into the DNS.
func (s *Stage) publishTLS() error {
	var srv []string
	for n, domain := range []string{"impostor.lab.example.test", s.FQDN} {
		cert, err := s.Rig.authority.issue(domain)
		if err != nil {
			return err
		}
		front, err := newTLSFront(cert, s.Mail[n].Addr())
		if err != nil {
			return err
		}
		s.fronts = append(s.fronts, front)
		srv = append(srv, fmt.Sprintf("5 IN SRV %d 0 %d target.%s.", 10*(n+1), front.addr().Port(), s.FQDN))
	}
	if err := s.Rig.dns.Set("target."+s.FQDN, "5 IN A 127.0.0.1"); err != nil {
		return err
	}
	return s.Rig.dns.Set("_sips._tcp."+s.FQDN, srv...)
}

// newTarget makes one target of the stage's voicemail system.
func (s *Stage) newTarget(n int, state TargetState, agent func(string, byte, netip.Addr, Behaviour) (*Agent, error)) (err error) {
	name := fmt.Sprintf("%s-%d", ColVoicemail, n+1)
	if at := s.Line.At[n]; at.IsValid() {
		s.mail[n] = at.String()
		s.Rig.names.Set(at, name)
		return nil
	}
	if state == TargetDead {
		dead, err := holdDeadPort(0)
		if err != nil {
			return err
		}
		s.dead, s.mail[n] = append(s.dead, dead), dead.addr.String()
		s.Rig.names.Set(dead.addr, name)
		return nil
	}
	b := map[TargetState]Behaviour{TargetAnswers: answersAtOnce(), TargetRefuses: Refuses(503), TargetSilent: {}}[state]
	ip := loopback
	if s.Line.IPv6 {
		ip = netip.IPv6Loopback()
	}
	if s.Mail[n], err = agent(name, []byte{voiceMailA, voiceMailB}[n], ip, b); err != nil {
		return err
	}
	s.mail[n] = s.Mail[n].Addr().String()
	return nil
}

// publish puts the voicemail system into the test DNS: two targets, the first preferred.
func (s *Stage) publish() error {
	dns := s.Rig.dns
	var srv []string
	for n, addr := range s.mail {
		_, port, err := net.SplitHostPort(addr)
		if err != nil {
			return err
		}
		host := fmt.Sprintf("target-%d.%s", n+1, s.FQDN)
		srv = append(srv, fmt.Sprintf("5 IN SRV %d 0 %s %s.", 10*(n+1), port, host))
		address := "5 IN A 127.0.0.1"
		if s.Line.IPv6 {
			address = "5 IN AAAA ::1"
		}
		if err := dns.Set(host, address); err != nil {
			return err
		}
	}
	return dns.Set("_sip._udp."+s.FQDN, srv...)
}

// configuration is the YAML file of proxy and sidecar.
func (r *Rig) configuration() string {
	node := func(name string, at SwitchAt) string {
		return fmt.Sprintf("  - name: %s\n    sip: %s\n    device_sip: %s\n    event_socket: {addr: %q, password: %q}\n", name, at.External, at.Internal, at.EventSocket, at.Password)
	}
	nodes := node(FirstNode, r.at)
	if r.second.External.IsValid() {
		nodes += node(SecondNode, r.second)
	}
	return fmt.Sprintf(`# written by signalbox lab
region: DE
domain: lab.example.test
store:
  sqlite: %s
nodes:
%sproxy:
  listen: ["udp:%s", "tcp:%s", "tls:%s"]
  tls: {cert: cert.pem, key: key.pem, ca: ca.pem}
  trunks:
    - {name: lab-carrier, prefixes: [%s/32], screening: enforce}
    - {name: lab-verifying-carrier, prefixes: [%s/32], trust_verstat: true}
  devices: {listen: ["udp:%s", "tcp:%s"], flow_key: %s}
sidecar:
  listen: %s
token:
  keys: [{id: lab, secret: %s}]
screening:
  deny: [{number: %q, reason: "a story of the lab"}]
dns:
  servers: [%q]
  allow_loopback: true
voicemail: {progress_timeout: 2s}
conference: {access_numbers: [%q]}
http: {listen: "127.0.0.1:0", proxy_listen: "127.0.0.1:0"}
log: {level: debug, format: console}
`, filepath.Join(r.dir, "lab.db"), nodes, r.proxyAddr, r.proxyAddr, r.proxyTLS, carrierLoopback, verifiedLoopback,
		r.devices, r.devices, token()+token()+token()+token(), r.sidecar, token()+token()+token()+token(), deniedCaller, r.dns.Addr(), AccessNumber)
}

// document is what the operator provisions.
func (r *Rig) document(stages []*Stage) account.Document {
	var d account.Document
	for i, s := range stages {
		system := account.SystemEntry{FQDN: s.FQDN}
		if s.Line.TLS {
			system.Transport = "tls"
		}
		if s.Line.IPv6 {
			system.Profile = "external-ipv6"
		}
		if s.Line.Notifies {
			system.Notifies = []netip.Prefix{netip.PrefixFrom(mailLoopback, 32)}
		}
		d.VoicemailSystems = append(d.VoicemailSystems, system)
		d.Pilots = append(d.Pilots, account.PilotEntry{Number: s.Pilot, Systems: []account.PilotSystemEntry{{FQDN: s.FQDN, Priority: 10}}})
		if s.Line.Phone == PhoneNobody {
			continue
		}
		id := fmt.Sprintf("subscriber-%d", i+1)
		d.Accounts = append(d.Accounts, account.AccountEntry{ID: id, Name: "Subscriber of the lab"})
		device := account.DeviceEntry{Kind: account.DeviceRegistered, User: s.user, Host: r.at.Domain}
		if s.Line.Phone == PhoneURI {
			device = account.DeviceEntry{Kind: account.DeviceURI, User: "phone", Host: s.Phone.Addr().Addr().String(), Port: s.Phone.Addr().Port()}
		}
		d.Numbers = append(d.Numbers, account.NumberEntry{
			Number: s.Number, Account: id, Devices: []account.DeviceEntry{device}, NoAnswer: account.Duration(noAnswerTime),
			Voicemail: &account.VoicemailEntry{Pilot: s.Pilot},
		})
		if s.Line.Host {
			d.Numbers[len(d.Numbers)-1].Conference = &account.ConferenceEntry{Room: account.RoomFetch,
				MenuTimeout: account.Duration(2 * time.Second), AcceptTimeout: account.Duration(6 * time.Second)}
			d.Contacts = append(d.Contacts,
				account.ContactEntry{Account: id, ID: "anna", Name: "Anna Schmidt", Numbers: []string{s.From}},
				account.ContactEntry{Account: id, ID: "ben", Name: "Ben Weiß", Numbers: []string{s.Second()}})
		}
	}
	return d
}

// provision writes the configuration and fills the store by the command an operator uses.
func (r *Rig) provision(ctx context.Context, stages []*Stage) error {
	r.config = filepath.Join(r.dir, "signalbox.yaml")
	document, settings := r.document(stages), r.configuration()
	for _, s := range stages {
		r.numbers = append(r.numbers, s.Number)
	}
	if r.opts.Provision != nil {
		r.opts.Provision(&document, r.Stages)
	}
	for _, n := range document.Numbers {
		for _, s := range stages {
			if s.Number == n.Number {
				s.row = n
			}
		}
	}
	if r.opts.Configure != nil {
		settings = r.opts.Configure(settings)
	}
	rows, err := json.MarshalIndent(document, "", "  ") // JSON is YAML
	if err != nil {
		return fmt.Errorf("writing the accounts: %w", err)
	}
	file := filepath.Join(r.dir, "accounts.yaml")
	if err := errors.Join(os.WriteFile(r.config, []byte(settings), 0o600), os.WriteFile(file, rows, 0o600)); err != nil {
		return fmt.Errorf("writing the configuration: %w", err)
	}
	out, err := exec.CommandContext(ctx, r.opts.Program, "provision", "apply", file, "--config", r.config).CombinedOutput()
	if err != nil {
		return fmt.Errorf("provision apply: %w\n%s", err, strings.TrimSpace(string(out)))
	}
	cfg, err := config.Load(r.config, nil)
	if err != nil {
		return fmt.Errorf("reading our own configuration: %w", err)
	}
	s, err := app.OpenStore(ctx, cfg)
	if err != nil {
		return fmt.Errorf("opening the store: %w", err)
	}
	r.store = &records{s}
	return nil
}

// records reads the call records that the sidecar keeps.
type records struct{ s store.Store }

func (r *records) all(ctx context.Context) ([]call.Record, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return r.s.Records(ctx, 1000)
}

func (r *records) close() { _ = r.s.Shut() }
