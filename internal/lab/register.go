package lab

import (
	"context"
	"fmt"
	"strings"

	"github.com/icholy/digest"
)

// Registration says where a phone registers and as whom.
type Registration struct {
	Registrar hop    // FreeSWITCH's internal profile
	User      string // of FreeSWITCH's directory
	Domain    string
	Password  string
	Expires   int // seconds; 0 takes the registration back
}

// Register registers the agent with digest authentication and waits for the answer.
func (a *Agent) Register(ctx context.Context, r Registration) error {
	callID, tag := token()+"@lab", token()
	var final *Message
	var failed bool
	send := func(seq int, authorization string, answer func(*Message)) {
		branch := "z9hG4bK" + token()
		var b builder
		b.line("REGISTER sip:%s SIP/2.0", r.Domain)
		b.line("Via: SIP/2.0/%s %s;branch=%s;rport", strings.ToUpper(r.Registrar.network), a.ep.addr, branch)
		b.line("Max-Forwards: 70")
		b.line("From: <sip:%s@%s>;tag=%s", r.User, r.Domain, tag)
		b.line("To: <sip:%s@%s>", r.User, r.Domain)
		b.line("Call-ID: %s", callID)
		b.line("CSeq: %d REGISTER", seq)
		b.line("Contact: <sip:%s@%s>", r.User, a.ep.addr)
		b.line("Expires: %d", r.Expires)
		if authorization != "" {
			b.line("Authorization: %s", authorization)
		}
		b.line("User-Agent: signalbox-lab %s", a.opts.Name)
		a.begin(branch, "REGISTER", r.Registrar, b.finish("", ""), answer)
	}
	finish := func(m *Message) {
		if m == nil {
			failed = true
		} else if m.Status() >= 200 {
			final = m
		}
	}
	a.do(func() {
		send(1, "", func(m *Message) {
			if m == nil || m.Status() != 401 {
				finish(m)
				return
			}
			authorization, err := authorize(m.Get("www-authenticate"), r, "REGISTER", "sip:"+r.Domain)
			if err != nil {
				finish(m)
				return
			}
			send(2, authorization, finish)
		})
	})
	if err := a.wait(ctx, "the registration is answered", func() bool { return failed || final != nil }); err != nil {
		return err
	}
	if failed {
		return fmt.Errorf("registering %s@%s: %s does not answer", r.User, r.Domain, r.Registrar.addr)
	}
	if final.Status() != 200 {
		return fmt.Errorf("registering %s@%s: %d %s: is the user in the directory, with this password", r.User, r.Domain, final.Status(), final.Phrase())
	}
	return nil
}

func authorize(challenge string, r Registration, method, uri string) (string, error) {
	c, err := digest.ParseChallenge(challenge)
	if err != nil {
		return "", fmt.Errorf("reading the challenge %q: %w", challenge, err)
	}
	credentials, err := digest.Digest(c, digest.Options{
		Method: method, URI: uri, Username: r.User, Password: r.Password, Count: 1,
	})
	if err != nil {
		return "", fmt.Errorf("answering the challenge: %w", err)
	}
	return credentials.String(), nil
}
