package e2e

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// script writes a scenario for SIPp, one step after the other, as a caller or as somebody who is called. Its transport is not in it:
// [via] and [contact] are given when it is played.
type script struct {
	name   string
	xml    strings.Builder
	steps  int    // messages and pauses so far, by which SIPp counts its branches
	invite int    // the step at which the INVITE that begins the call was sent
	cseq   int    // of the last request that was sent
	number int    // of the last INVITE that was sent
	want   string // what is done with the next answer that is waited for
	called bool   // the other side began the call
	many   int    // calls at one time; 0 = one
	from   string // who begins a call
	to     string // who is called
	uri    string // who is called, in the request line
}

// newScript begins a scenario.
func newScript(name string) *script {
	p := &script{name: name, from: callerIs, to: calledIs, uri: "sip:[service]@[proxy]"}
	fmt.Fprintf(&p.xml, "<?xml version=\"1.0\" encoding=\"ISO-8859-1\" ?>\n<!DOCTYPE scenario SYSTEM \"sipp.dtd\">\n<scenario name=%q>\n", name)
	return p
}

// write puts the scenario into a file of its own in a folder: stories that play the same one run beside each other.
func (p *script) write(dir string) (path string, err error) {
	f, err := os.CreateTemp(dir, p.name+"-*.xml")
	if err != nil {
		return "", err
	}
	_, err = f.WriteString(p.xml.String() + "</scenario>\n")
	return f.Name(), errors.Join(err, f.Close())
}

const (
	callerIs = `"Ada" <sip:[caller]@[local_ip]:[local_port]>;tag=[pid]SIPp[call_number]`
	calledIs = `<sip:[service]@[proxy]>`
	phoneIs  = `<sip:[caller]@[domain]>;tag=[pid]SIPp[call_number]`
	sippSDP  = `v=0
o=carrier 1 1 IN IP[local_ip_type] [local_ip]
s=-
c=IN IP[media_ip_type] [media_ip]
t=0 0
m=audio [media_port] RTP/AVP 0
a=rtpmap:0 PCMU/8000
`
)

// send writes one message; an answer of ours is not sent again by itself.
func (p *script) send(again bool, lines []string, body string) {
	element := "<send>"
	if again {
		element = `<send retrans="500">`
	}
	if body != "" {
		lines = append(lines, "Content-Type: application/sdp")
	}
	fmt.Fprintf(&p.xml, "  %s<![CDATA[\n\n%s\nContent-Length: [len]\n\n%s\n  ]]></send>\n", element, strings.Join(lines, "\n"), body)
	p.steps++
}

// calls sends the INVITE that begins a call.
func (p *script) calls(headers ...string) *script {
	p.cseq++
	p.number, p.invite = p.cseq, p.steps
	p.send(true, append([]string{
		"INVITE " + p.uri + " SIP/2.0", "Via: SIP/2.0/[via];branch=[branch]", "From: " + p.from, "To: " + p.to,
		"Call-ID: [call_id]", fmt.Sprintf("CSeq: %d INVITE", p.cseq), "Contact: <sip:[caller]@[contact]>", "Max-Forwards: 70",
	}, headers...), sippSDP)
	return p
}

// callsBy begins a call to somebody who is named in another way.
func (p *script) callsBy(uri, to string, headers ...string) *script {
	p.uri, p.to = uri, to
	return p.calls(headers...)
}

// dials begins a call as a registered phone, which is asked for its password.
func (p *script) dials(user, password string) *script {
	p.from = phoneIs
	p.calls().gets(407, `auth="true"`).ofInvite("ACK", "[peer_tag_param]")
	return p.calls("[authentication username=" + user + " password=" + password + "]")
}

// request sends a request inside the dialog, with a session description where one belongs.
func (p *script) request(method string, headers ...string) *script {
	p.cseq++
	body := ""
	if method == "INVITE" {
		body, p.number = sippSDP, p.cseq
	}
	switch method {
	case "INVITE", "UPDATE", "REFER":
		headers = append(headers, "Contact: <sip:[caller]@[contact]>")
	}
	// A REFER is not repeated: the edge waits for the answer to each that it sees.
	p.send(method != "REFER", p.inside(method, p.cseq, "[branch]", headers), body)
	return p
}

func (p *script) inside(method string, cseq int, branch string, headers []string) []string {
	from, to := p.from, p.to+"[peer_tag_param]"
	if p.called {
		from, to = "[$3]", "[$4]"
	}
	return append([]string{
		method + " [next_url] SIP/2.0", "Via: SIP/2.0/[via];branch=" + branch, "[routes]", "From: " + from, "To: " + to,
		"Call-ID: [call_id]", fmt.Sprintf("CSeq: %d %s", cseq, method), "Max-Forwards: 70",
	}, headers...)
}

// ack acknowledges the last INVITE's 2xx.
func (p *script) ack() *script {
	p.send(false, p.inside("ACK", p.number, "[branch]", nil), "")
	return p
}

// ofInvite writes the ACK of a refusal, or a CANCEL, which belong to the transaction of the INVITE that began the call.
func (p *script) ofInvite(method, tag string) *script {
	p.send(method == "CANCEL", []string{
		method + " " + p.uri + " SIP/2.0", fmt.Sprintf("Via: SIP/2.0/[via];branch=[branch-%d]", p.steps-p.invite),
		"From: " + p.from, "To: " + p.to + tag, "Call-ID: [call_id]", fmt.Sprintf("CSeq: %d %s", p.number, method), "Max-Forwards: 70",
	}, "")
	return p
}

func (p *script) cancels() *script { return p.ofInvite("CANCEL", "") }

// gets waits for an answer; the provisional ones that may come before it are taken on the way.
func (p *script) gets(code int, attributes ...string) *script {
	for _, on := range []int{100, 180, 183} {
		if code >= 200 {
			fmt.Fprintf(&p.xml, "  <recv response=\"%d\" optional=\"true\"/>\n", on)
			p.steps++
		}
	}
	return p.takes(code, attributes...)
}

// takes waits for an answer and takes no other one.
func (p *script) takes(code int, attributes ...string) *script {
	fmt.Fprintf(&p.xml, "  <recv response=\"%d\" timeout=\"20000\" %s>%s</recv>\n", code, strings.Join(attributes, " "), p.want)
	p.want = ""
	p.steps++
	return p
}

// ringsReliably waits for a 180 that is reliable, and keeps its number for the PRACK.
func (p *script) ringsReliably() *script {
	fmt.Fprintf(&p.xml, "  <recv response=\"100\" optional=\"true\"/>\n  <recv response=\"180\" rrs=\"true\" timeout=\"20000\">\n"+
		"    <action><ereg regexp=\"[0-9]+\" search_in=\"hdr\" header=\"RSeq:\" check_it=\"true\" assign_to=\"1\"/></action>\n  </recv>\n")
	p.steps += 2
	return p
}

// has wants a header to hold a value in the next answer that is waited for.
func (p *script) has(header, value string) *script {
	p.want = fmt.Sprintf("<action><ereg regexp=%q search_in=\"hdr\" header=\"%s:\" check_it=\"true\" assign_to=\"2\"/><log message=\"[$2]\"/></action>", value, header)
	return p
}

// refused waits until the INVITE is refused, and acknowledges that.
func (p *script) refused(code int) *script { return p.gets(code).ofInvite("ACK", "[peer_tag_param]") }

// answered waits until the INVITE is answered, and acknowledges that.
func (p *script) answered() *script { return p.gets(200, `rrs="true"`).ack() }

// asked waits for a request of the other side and answers it with 200.
func (p *script) asked(method string) *script {
	fmt.Fprintf(&p.xml, "  <recv request=%q timeout=\"20000\"/>\n", method)
	p.steps++
	return p.says200()
}

// says200 answers the request that came last.
func (p *script) says200() *script {
	p.send(false, []string{"SIP/2.0 200 OK", "[last_Via:]", "[last_From:]", "[last_To:]", "[last_Call-ID:]", "[last_CSeq:]"}, "")
	return p
}

func (p *script) pause(milliseconds int) *script {
	fmt.Fprintf(&p.xml, "  <pause milliseconds=\"%d\"/>\n", milliseconds)
	p.steps++
	return p
}

// hangsUp says BYE.
func (p *script) hangsUp() *script { return p.request("BYE").takes(200) }

// registers sends a REGISTER with a password.
func (p *script) registers(user, password string) *script {
	for n, more := range []string{"", "[authentication username=" + user + " password=" + password + "]"} {
		lines := []string{
			"REGISTER sip:[domain] SIP/2.0", "Via: SIP/2.0/[via];branch=[branch]", "From: <sip:[caller]@[domain]>;tag=[pid]SIPp[call_number]", "To: <sip:[caller]@[domain]>",
			"Call-ID: [call_id]", fmt.Sprintf("CSeq: %d REGISTER", n+1), "Contact: <sip:[caller]@[contact]>", "Expires: 120", "Max-Forwards: 70",
		}
		if more == "" {
			p.send(true, lines, "")
			p.takes(401, `auth="true"`)
			continue
		}
		p.send(true, append(lines, more), "")
		p.takes(200)
	}
	return p
}

// isCalled waits for a call and lets it ring.
func (p *script) isCalled() *script {
	p.called = true
	fmt.Fprintf(&p.xml, "  <recv request=\"INVITE\" rrs=\"true\" timeout=\"20000\">\n    <action>%s</action>\n  </recv>\n", keep("CSeq:", 5))
	p.steps++
	p.replies("180 Ringing", "[last_CSeq:]", "")
	return p
}

// keep remembers a header of what was received.
func keep(header string, variable int) string {
	return fmt.Sprintf("<ereg regexp=\".*\" search_in=\"hdr\" header=%q check_it=\"true\" assign_to=\"%d\"/><log message=\"[$%d]\"/>", header, variable, variable)
}

// replies answers the INVITE that came.
func (p *script) replies(status, cseq, body string) {
	p.send(strings.HasPrefix(status, "2"), []string{
		"SIP/2.0 " + status, "[last_Via:]", "[last_Record-Route:]", "[last_From:]", "[last_To:];tag=[pid]SIPp[call_number]", "[last_Call-ID:]", cseq,
		"Contact: <sip:[caller]@[contact]>",
	}, body)
}

// takesCall answers, and takes the ACK.
func (p *script) takesCall() *script {
	p.replies("200 OK", "[last_CSeq:]", sippSDP)
	fmt.Fprintf(&p.xml, "  <recv request=\"ACK\" timeout=\"20000\">\n    <action>%s%s</action>\n  </recv>\n", keep("To:", 3), keep("From:", 4))
	p.steps++
	return p
}

// refusesCall refuses the call that came.
func (p *script) refusesCall(status, cseq string) *script {
	p.replies(status, cseq, "")
	p.xml.WriteString("  <recv request=\"ACK\" timeout=\"20000\"/>\n")
	p.steps++
	return p
}
