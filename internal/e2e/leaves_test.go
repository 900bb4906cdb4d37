package e2e

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/signalbox/signalbox/internal/lab"
	"github.com/signalbox/signalbox/internal/tel"
)

const (
	olderNumber = "+493023125901" // diverted the call first
	newerNumber = "+493023125902" // diverted it then
	domain      = "lab.example.test"
)

// leaves are stories about the INVITE that a voicemail system gets.
func leaves() act {
	to := func(name, why string, line lab.Line, phone lab.Behaviour, cause int, reason string) lab.Story {
		return lab.Story{Name: "leaves-" + name, Title: why + ": voicemail learns it, and everything that happened to the call before.", Line: line,
			Play: func(ctx context.Context, s *lab.Stage) {
				if s.Phone != nil {
					s.Phone.Behave(phone)
				}
				playLeaves(ctx, s, cause, reason, name == "declined")
			}}
	}
	return act{
		to("no-answer", "Nobody answers", lab.Line{}, lab.Behaviour{Ring: true}, 408, "no-answer"),
		to("busy", "The phone is busy", lab.Line{}, lab.Refuses(486), 486, "user-busy"),
		to("not-registered", "The phone is not registered", lab.Line{Phone: lab.PhoneAbsent}, lab.Behaviour{}, 404, "unavailable"),
		to("declined", "The subscriber declines", lab.Line{}, lab.Refuses(603), 480, "deflection"),
		to("unreachable", "The phone's network fails", lab.Line{}, lab.Refuses(503), 503, "unavailable"),
		{Name: "leaves-withheld", Title: "A withheld number stands nowhere in what phone and voicemail get.", Play: playLeavesWithheld},
	}
}

// before is what happened to the call before it came to us.
func before() []string {
	return []string{
		"Diversion: <sip:" + newerNumber + "@newer.example>;reason=unconditional;counter=1",
		"Diversion: <sip:" + olderNumber + "@older.example>;reason=user-busy;counter=1",
		"History-Info: <sip:" + olderNumber + "@older.example>;index=1",
		"History-Info: <sip:" + newerNumber + "@newer.example;cause=486>;index=1.1",
		"Identity: eyJhbGciOiJFUzI1NiJ9.eyJvcmlnIjoxfQ.c2lnbmVk;info=<https://certs.example/a.pem>;alg=ES256;ppt=shaken",
		"Identity: eyJhbGciOiJFUzI1NiJ9.eyJkaXYiOjF9.c2lnbmVk;info=<https://certs.example/b.pem>;alg=ES256;ppt=div",
		"X-Signalbox: 1.lab.e30.c2lnbmVk",
	}
}

// playLeaves plays the call; with a gap the hop before us did not write into History-Info that it called our number.
func playLeaves(ctx context.Context, s *lab.Stage, cause int, reason string, gap bool) {
	headers, ours := before(), "1.1.0.1" // RFC 7044 section 10.3, number 5
	if !gap {
		headers, ours = append(headers, "History-Info: <sip:"+s.Number+"@"+domain+">;index=1.1.1"), "1.1.1"
	}
	c := s.Place(lab.Invite{Display: `"Ada"`, Headers: headers})
	if s.Phone != nil {
		withoutOurs(s, s.Rings(ctx, s.Phone, 1))
	}
	mail := s.Rings(ctx, s.Mail[0], 1)
	s.WaitAnswered(ctx, c)
	m := mail.Invite()
	s.Mailbox(mail, cause, reason)
	withoutOurs(s, mail)

	uri, params, _ := strings.Cut(m.URI(), ";")
	s.Check(uri == "sip:"+s.Pilot+"@"+s.FQDN, "the Request-URI is %s, want sip:%s@%s", uri, s.Pilot, s.FQDN)
	target, code := "", ""
	for p := range strings.SplitSeq(params, ";") {
		name, value, _ := strings.Cut(p, "=")
		value, err := url.PathUnescape(value)
		s.Must(err)
		switch name {
		case "target":
			target = value
		case "cause":
			code = value
		}
	}
	s.Check(target == "sip:"+s.Number+"@"+domain && code == fmt.Sprint(cause), "target=%s cause=%s, want sip:%s@%s and %d", target, code, s.Number, domain, cause)

	var diverted []string
	for _, d := range tel.ParseDiversions(m.All("diversion"), "DE") {
		diverted = append(diverted, string(d.Number)+" "+d.Reason)
	}
	want := []string{s.Number + " " + reason, newerNumber + " unconditional", olderNumber + " user-busy"}
	s.Check(slices.Equal(diverted, want), "Diversion, newest first, is %q, want %q", diverted, want)

	var history []string
	for _, h := range tel.ParseHistory(m.All("history-info")) {
		at, _, _ := strings.Cut(h.URI, ";")
		history = append(history, h.Index+" "+at)
	}
	want = []string{"1 sip:" + olderNumber + "@older.example", "1.1 sip:" + newerNumber + "@newer.example",
		ours + " sip:" + s.Number + "@" + domain, ours + ".1 sip:" + s.Pilot + "@" + s.FQDN}
	s.Check(slices.Equal(history, want), "History-Info, oldest first, is %q, want %q\n%s", history, want, m.All("history-info"))

	s.Check(m.DisplayName() == "Ada" && strings.Contains(m.Get("from"), "sip:"+s.From+"@"), "the caller is shown as %s, want Ada %s", m.Get("from"), s.From)
	c.Hangup()
	s.Ended(ctx, mail, "them")
	s.Record(ctx, 1)
}

// withoutOurs checks that nothing left which proves something only between proxy and sidecar, or only for the first called number.
func withoutOurs(s *lab.Stage, in *lab.Call) {
	s.Clean(in)
	s.Check(len(in.Invite().All("identity")) == 0, "%s got the caller's Identity, which signs a call to another number: %s", in.Agent().Name(), in.Invite().All("identity"))
}

func playLeavesWithheld(ctx context.Context, s *lab.Stage) {
	s.Phone.Behave(lab.Behaviour{Ring: true, After: 100 * time.Millisecond, Status: 486})
	c := s.Place(lab.Invite{Display: `"Anonymous"`, From: "anonymous", Headers: append(before(),
		`P-Asserted-Identity: "Ada" <sip:`+s.From+"@carrier.example>", "P-Asserted-Identity: <tel:"+s.From+">", "Privacy: id",
		`Remote-Party-ID: "Ada" <sip:`+s.From+"@carrier.example>;party=calling;privacy=full")})
	digits := strings.TrimPrefix(s.From, "+")
	for _, in := range []*lab.Call{s.Rings(ctx, s.Phone, 1), s.Rings(ctx, s.Mail[0], 1)} {
		withoutOurs(s, in)
		for line := range strings.Lines(in.Invite().Raw) {
			s.Check(!strings.Contains(line, digits) && !strings.Contains(line, "Ada"), "the withheld caller stands in what %s got: %s", in.Agent().Name(), line)
		}
		s.Check(strings.Contains(strings.ToLower(in.Invite().Get("from")), "anonymous"), "%s sees the caller as %s", in.Agent().Name(), in.Invite().Get("from"))
	}
	s.WaitAnswered(ctx, c)
	c.Hangup()
	r := s.Record(ctx, 1)
	s.Check(r.Arrival.From.Withheld, "the record does not know that the number was withheld")
}
