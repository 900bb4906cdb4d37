package e2e

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/lab"
)

// hostile are calls whose texts are written to break a switch. Each works, or is refused; the next call works.
func hostile() act {
	return act{
		{Name: "hostile-headers", Title: "Every header that reaches a channel variable asks for a command: none runs, phone and voicemail get harmless ones.", Play: playHostileHeaders},
		{Name: "hostile-from-user", Title: "The user of From is a command.", Play: playHostileFrom},
		{Name: "hostile-request-uri", Title: "The called number is a command.", Play: playHostileURI},
		{Name: "hostile-size", Title: "A header of 60 kB over TCP is refused, one of 25 kB passes.", Play: playHostileSize},
		{Name: "forged-token", Title: "A caller's own X-Signalbox, in any spelling, counts for nothing.", Play: playForgedToken},
		{Name: "forged-token-past-the-proxy", Title: "The same on a call that goes past the proxy: it counts as not screened.", Play: playPastTheProxy},
		{Name: "hostile-subscriber", Title: "A subscriber whose name is a command is rung like any other.", Play: playHostileSubscriber},
		{Name: "hostile-device", Title: "A phone whose user is a command is refused when it is provisioned; written into the store by hand, it is not dialled.",
			Line: lab.Line{Phone: lab.PhoneAbsent}, Play: playHostileDevice},
		{Name: "hostile-device-address", Title: "The same for a phone at a fixed address: it is dialled with the text escaped.", Play: playHostileAddress},
	}
}

// mark is a file that exists only when one of the story's commands ran.
func mark(s *lab.Stage) string { return filepath.Join(s.Rig.Dir(), "ran-"+s.FQDN) }

// payloads are texts that ask FreeSWITCH for a command, or for another header, dial string or argument.
func payloads(s *lab.Stage) []string {
	return []string{
		"${expr(40+2)}", "${system(touch " + mark(s) + ")}", "\\${system(touch " + mark(s) + ")}", "$${system(touch " + mark(s) + ")}",
		"${bgsystem(touch " + mark(s) + ")}", "%0d%0aX-Evil: 1", `\r\nX-Evil: 1`, "^^#a=b#X-Evil=1", "{a=b}[c=d]<e=f>", `'"',|&;:_:`,
	}
}

// harmless checks that nothing of the hostile text is a command or a header for whoever got the call.
func harmless(s *lab.Stage, in *lab.Call) {
	s.Clean(in)
	for line := range strings.Lines(in.Invite().Raw) {
		s.Check(!strings.Contains(line, "${"), "%s got something to expand: %s", in.Agent().Name(), line)
	}
}

// nothingRan checks that no command did, and that the next call works; the phone had n calls so far.
func nothingRan(ctx context.Context, s *lab.Stage, n int) {
	s.NextCallWorks(ctx, n)
	_, err := os.Stat(mark(s))
	s.Check(os.IsNotExist(err), "a command of the caller's was executed: %s exists", mark(s))
}

func playHostileHeaders(ctx context.Context, s *lab.Stage) {
	all := strings.Join(payloads(s), " ")
	quoted := `"Eve ` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(all) + `"`
	escaped := strings.NewReplacer("$", "%24", "{", "%7B", "}", "%7D", "(", "%28", ")", "%29", " ", "%20", "/", "%2F").Replace("${system(touch " + mark(s) + ")}")
	s.Phone.Behave(lab.Behaviour{Ring: true, After: 300 * time.Millisecond, Status: 486})
	c := s.Place(lab.Invite{Display: quoted, Headers: []string{
		"P-Asserted-Identity: " + quoted + " <sip:" + s.From + "@carrier.example>",
		"Diversion: " + quoted + " <sip:" + escaped + "@old.example>;reason=" + `"${system(touch ` + mark(s) + `)}"` + ";counter=1",
		"Diversion: <sip:+493023125902%0D%0AX-Evil:%201@old.example>;reason=unconditional",
		"History-Info: <sip:" + escaped + "@old.example>;index=1;x=" + `"${system(touch ` + mark(s) + `)}"`,
		"History-Info: <sip:a%0D%0AX-Evil:%201@old.example?Reason=SIP%3Bcause%3D302%3Btext%3D%22" + escaped + "%22>;index=1.1",
		"Subject: " + all,
		"X-Note: " + all,
		"X-Escaped: " + escaped,
		"Remote-Party-ID: " + quoted + " <sip:" + s.From + "@carrier.example>;party=calling",
		"User-to-User: " + all,
		"Call-Info: <http://example.test/" + escaped + ">;purpose=info",
	}})
	in := s.Rings(ctx, s.Phone, 1)
	harmless(s, in)
	name := in.Invite().DisplayName()
	s.Check(strings.Contains(name, "Eve") && strings.Contains(name, "40+2"), "the phone shows the name %q, want the caller's, not computed with", name)
	mail := s.Rings(ctx, s.Mail[0], 1)
	harmless(s, mail)
	s.Mailbox(mail, 486, "user-busy")
	s.WaitAnswered(ctx, c)
	s.Talk(ctx, c, mail)
	c.Hangup()
	s.Ended(ctx, mail, "them")
	s.Steps(s.Record(ctx, 1), "ring busy", "mailbox answered")
	nothingRan(ctx, s, 1)
}

func playHostileFrom(ctx context.Context, s *lab.Stage) {
	s.Phone.Behave(lab.Answers(100 * time.Millisecond))
	n := 0
	for _, from := range []string{
		"${system(touch " + mark(s) + ")}", "%24%7Bsystem%28touch%20" + strings.ReplaceAll(mark(s), "/", "%2F") + "%29%7D", `+4989';system"{^^#}`,
	} {
		c := s.Place(lab.Invite{From: from})
		limit, cancel := context.WithTimeout(ctx, 3*time.Second)
		err := c.WaitAnswered(limit)
		cancel()
		if err == nil {
			n++
			in := s.Rings(ctx, s.Phone, n)
			harmless(s, in)
			c.Hangup()
			s.Ended(ctx, in, "them")
			continue
		}
		s.Check(strings.HasPrefix(c.EndedBy(), "4") || strings.HasPrefix(c.EndedBy(), "6"), "a call from %s ended with %q, want it refused or answered", from, c.EndedBy())
	}
	nothingRan(ctx, s, n)
}

func playHostileURI(ctx context.Context, s *lab.Stage) {
	path := strings.ReplaceAll(mark(s), "/", "%2F")
	for _, to := range []string{
		"%24%7Bsystem%28touch%20" + path + "%29%7D", s.Number + "%24%7Bsystem%28touch%20" + path + "%29%7D",
		"+49302%0D%0AX-Evil:%201", s.Number + "%20XML%20default", s.Number + "'%20inline",
	} {
		c := s.Place(lab.Invite{To: to})
		s.Must(c.WaitEnded(ctx))
		s.Check(strings.HasPrefix(c.EndedBy(), "4"), "a call to %s ended with %s, want it refused", to, c.EndedBy())
	}
	s.Untouched(s.Phone, s.Mail[0], s.Mail[1], s.Operator)
	nothingRan(ctx, s, 0)
}

func playHostileSize(ctx context.Context, s *lab.Stage) {
	c := s.Place(lab.Invite{Headers: []string{"X-Padding: " + strings.Repeat("${x}", 15000)}}.Through("tcp", s.Rig.ProxyAddr()))
	s.Ended(ctx, c, "513")
	s.Phone.Behave(lab.Answers(100 * time.Millisecond))
	c = s.Place(lab.Invite{Headers: []string{"Subject: " + strings.Repeat("{^^}", 6000)}}.Through("tcp", s.Rig.ProxyAddr()))
	in := s.Rings(ctx, s.Phone, 1)
	harmless(s, in)
	s.WaitAnswered(ctx, c)
	s.Talk(ctx, c, in)
	c.Hangup()
	s.Ended(ctx, in, "them")
	nothingRan(ctx, s, 1)
}

// forged are headers in which a caller says that it was screened and who diverted it.
func forged() []string {
	const token = "1.lab.eyJ2ZXJkaWN0Ijp7Im1vZGVsIjoiZm9yZ2VkIn0sInRydW5rIjoiZm9yZ2VkIn0.c2lnbmF0dXJl"
	return []string{"X-Signalbox: " + token, "x-signalbox: " + token, "X-SIGNALBOX: " + token, "X-Signalbox : " + token, "X-Signalbox-Trunk: forged"}
}

func playForgedToken(ctx context.Context, s *lab.Stage) {
	s.Phone.Behave(lab.Refuses(486))
	c := s.Place(lab.Invite{Display: `"Ada"`, Headers: forged()})
	harmless(s, s.Rings(ctx, s.Phone, 1))
	mail := s.Rings(ctx, s.Mail[0], 1)
	harmless(s, mail)
	s.WaitAnswered(ctx, c)
	c.Hangup()
	s.Ended(ctx, mail, "them")
	r := s.Record(ctx, 1)
	s.Check(r.Arrival.Evidence == call.EvidenceToken && r.Arrival.Trunk == "lab-carrier" && r.Arrival.Verdict.Model != "forged",
		"the call counts as from trunk %q with verdict %+v and evidence %s, want the proxy's own", r.Arrival.Trunk, r.Arrival.Verdict, r.Arrival.Evidence)
	nothingRan(ctx, s, 1)
}

func playPastTheProxy(ctx context.Context, s *lab.Stage) {
	s.Phone.Behave(lab.Answers(100 * time.Millisecond))
	c := s.Place(lab.Invite{Display: `"Ada"`, Headers: forged()}.Through("udp", s.Rig.At().External))
	in := s.Rings(ctx, s.Phone, 1)
	harmless(s, in)
	s.WaitAnswered(ctx, c)
	s.Talk(ctx, c, in)
	c.Hangup()
	s.Ended(ctx, in, "them")
	r := s.Record(ctx, 1)
	s.Check(r.Arrival.Evidence == call.EvidenceVariables && r.Arrival.Trunk == "" && !r.Arrival.Verdict.Screened(),
		"the call counts as from trunk %q with verdict %+v and evidence %s, want not screened", r.Arrival.Trunk, r.Arrival.Verdict, r.Arrival.Evidence)
	nothingRan(ctx, s, 1)
}

func playHostileSubscriber(ctx context.Context, s *lab.Stage) {
	s.Phone.Behave(lab.Refuses(486))
	c := s.Call()
	harmless(s, s.Rings(ctx, s.Phone, 1))
	mail := s.Rings(ctx, s.Mail[0], 1)
	harmless(s, mail)
	s.WaitAnswered(ctx, c)
	c.Hangup()
	s.Ended(ctx, mail, "them")
	s.Check(s.Record(ctx, 1).Plan.Account != "", "the record names no account")
	nothingRan(ctx, s, 1)
}

func playHostileDevice(ctx context.Context, s *lab.Stage) {
	user := "${system(touch " + mark(s) + ")}"
	file := filepath.Join(s.Rig.Dir(), "hostile.yaml")
	s.Must(os.WriteFile(file, fmt.Appendf(nil, "numbers:\n  - {number: %q, account: subscriber-1, devices: [{user: '%s', host: 127.0.0.1}]}\n", s.Number, user), 0o600))
	out, err := exec.CommandContext(ctx, program, "provision", "apply", file, "--config", s.Rig.Config()).CombinedOutput()
	s.Check(err != nil && strings.Contains(string(out), "numbers[0].devices[0].user"), "provision apply took a phone named %s: %v %s", user, err, out)

	edited(ctx, s, user)
	c := s.Call()
	mail := s.Rings(ctx, s.Mail[0], 1)
	harmless(s, mail)
	s.WaitAnswered(ctx, c)
	s.Talk(ctx, c, mail)
	c.Hangup()
	s.Ended(ctx, mail, "them")
	r := s.Record(ctx, 1)
	s.Steps(r, "ring unreachable", "mailbox answered")
	s.Check(r.Steps[0].Attempts[0].Note != "", "the record does not say why the phone was not dialled: %+v", r.Steps[0])
	_, err = os.Stat(mark(s))
	s.Check(os.IsNotExist(err), "the phone's name was executed: %s exists", mark(s))
}

func playHostileAddress(ctx context.Context, s *lab.Stage) {
	edited(ctx, s, "${system(touch "+mark(s)+")}")
	s.Phone.Behave(lab.Answers(0))
	c := s.Call()
	in := s.Rings(ctx, s.Phone, 1)
	harmless(s, in)
	s.WaitAnswered(ctx, c)
	c.Hangup()
	s.Ended(ctx, in, "them")
	nothingRan(ctx, s, 1)
}

// edited writes the user of the story's phone into the store as somebody with a hand on the file would.
func edited(ctx context.Context, s *lab.Stage, user string) {
	db, err := sql.Open("sqlite", filepath.Join(s.Rig.Dir(), "lab.db")+"?_pragma=busy_timeout(2000)")
	s.Must(err)
	defer func() { _ = db.Close() }()
	changed, err := db.ExecContext(ctx, `UPDATE numbers SET entry = json_set(entry, '$.devices[0].user', ?) WHERE key = ?`, user, s.Number)
	s.Must(err)
	rows, err := changed.RowsAffected()
	s.Must(err)
	s.Check(rows == 1, "%d phones of %s were changed, want 1", rows, s.Number)
	_, err = db.ExecContext(ctx, `UPDATE revision SET revision = revision + 1`)
	s.Must(err)
}

// eventually tries until something is true.
func eventually(ctx context.Context, d time.Duration, try func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	for !try() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("not within %s: %w", d, ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
	return nil
}
