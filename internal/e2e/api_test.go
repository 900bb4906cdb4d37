package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/lab"
	"github.com/signalbox/signalbox/internal/vmadmin"
	"github.com/signalbox/signalbox/internal/vmadmin/vmadmintest"
)

func TestSimAPI(t *testing.T)  { onSimulator(t, newIntegrator(t, "lab.example.test").chapter()) }
func TestRealAPI(t *testing.T) { onFreeSWITCH(t, newIntegrator(t, "127.0.0.1").chapter()) }

// integrator is a CRM that provisions over HTTP, and the mailboxes of the voicemail system behind it.
type integrator struct {
	url       string
	mailboxes *vmadmintest.Server
	domain    string         // in which phones register at the switch
	gateway   net.PacketConn // takes texts to telephone numbers
	texts     chan string    // which it got
}

func newIntegrator(t *testing.T, domain string) *integrator {
	t.Helper()
	addr, err := lab.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	far := vmadmintest.New()
	t.Cleanup(far.Close)
	gateway, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	i := &integrator{url: "http://" + addr.String(), mailboxes: far, domain: domain, gateway: gateway, texts: make(chan string, 10)}
	i.answerTexts(t)
	return i
}

const provisionedByAPI = "provisioned-by-http"

func (i *integrator) chapter() chapter {
	return chapter{
		acts: []act{{{Name: provisionedByAPI, Title: "A subscriber is provisioned over HTTP: an unanswered call reaches voicemail; taken away again, the next one ends with 480.", Play: i.play}},
			{{Name: "invited-by-http", Title: "An address book is imported and people are invited to a conference: the switch texts a phone and a gateway.",
				Play: i.playInvited}}},
		configure: func(yaml string) string {
			yaml = strings.Replace(yaml, "voicemail: {", fmt.Sprintf("voicemail: {mailboxes: [{fqdn: vm-0.lab.example.test, url: %q, token: %s}], ", i.mailboxes.Base(), vmadmintest.Token), 1)
			yaml += fmt.Sprintf("messages: {sip: {device_profile: internal, device_domain: %q, gateway: %q, transport: udp}}\n", i.domain, i.gateway.LocalAddr())
			return yaml + fmt.Sprintf("api: {listen: %q}\n", strings.TrimPrefix(i.url, "http://"))
		},
		provision: func(d *account.Document, stages map[string]*lab.Stage) {
			// The numbers are made by HTTP, and there is one pilot, so that requests need not name it.
			d.Numbers, d.Accounts = nil, nil
			d.Pilots = slices.DeleteFunc(d.Pilots, func(p account.PilotEntry) bool { return p.Number != stages[provisionedByAPI].Pilot })
		},
	}
}

// ask sends one provisioning request and returns how it ended.
func (i *integrator) ask(ctx context.Context, s *lab.Stage, token string, request map[string]any) map[string]any {
	body, err := json.Marshal(request)
	s.Must(err)
	code, text := i.send(ctx, s, token, http.MethodPost, "/provisioning/requests", "application/json", string(body))
	status := map[string]any{}
	s.Must(json.Unmarshal(text, &status))
	s.Check(code == http.StatusOK && status["status"] == "done", "the request ended with %d: %s", code, text)
	return status
}

// send sends one request and returns its status and answer.
func (i *integrator) send(ctx context.Context, s *lab.Stage, token, method, path, media, body string) (int, []byte) {
	req, err := http.NewRequestWithContext(ctx, method, i.url+path, strings.NewReader(body))
	s.Must(err)
	if media != "" {
		req.Header.Set("Content-Type", media)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	s.Must(err)
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	s.Must(err)
	return resp.StatusCode, text
}

func (i *integrator) play(ctx context.Context, s *lab.Stage) {
	out, err := exec.CommandContext(ctx, program, "token", "create", "--config", s.Rig.Config(), "--tenant", "acme", "--scopes", "provisioning").Output()
	s.Must(err)
	token := strings.TrimSpace(string(out))
	phone := s.Phone.Addr()
	i.ask(ctx, s, token, map[string]any{
		"requestId": "r1", "userProfile": "u-1001", "numbers": []string{s.Number},
		"devices":  []any{map[string]any{"kind": "uri", "user": "phone", "host": phone.Addr().String(), "port": phone.Port()}},
		"services": []any{map[string]any{"type": "voicemail", "noAnswerSeconds": 5}},
	})
	s.Tell("the CRM has provisioned %s", s.Number)
	m, made := i.mailboxes.Mailbox(s.Number)
	s.Check(made && m.State == vmadmin.Active, "the mailbox at the voicemail system is %+v", m)

	s.Phone.Behave(lab.Behaviour{Ring: true})
	c := s.Call()
	s.Rings(ctx, s.Phone, 1)
	s.Tell("the phone rings and nobody answers")
	mail := s.Rings(ctx, s.Mail[0], 1)
	s.WaitAnswered(ctx, c)
	s.Talk(ctx, c, mail)
	c.Hangup()
	s.Ended(ctx, mail, "them")
	s.Tell("the caller talks to voicemail")

	i.ask(ctx, s, token, map[string]any{"requestId": "r2", "userProfile": "u-1001", "action": "remove", "services": []any{map[string]any{"type": "voicemail"}}})
	s.Tell("the CRM takes voicemail away")
	c = s.Call()
	s.Rings(ctx, s.Phone, 2)
	s.Ended(ctx, c, "480")
	s.Check(s.Mail[0].Invited() == 1, "the voicemail system had %d calls, want the first alone", s.Mail[0].Invited())
	s.Tell("the next call that nobody answers ends with 480")
	s.Steps(s.Record(ctx, 2), "ring no-answer", "notice ended")
}
