package likeness

import (
	"crypto/md5"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	voice "github.com/signalbox/signalbox/internal/sound"
)

// message is a SIP message as text: a start line, header lines, a body.
type message struct {
	first string
	lines []string
	body  string
}

func parseMessage(raw string) message {
	head, body, _ := strings.Cut(raw, "\r\n\r\n")
	first, rest, _ := strings.Cut(head, "\r\n")
	return message{first, strings.Split(rest, "\r\n"), body}
}

func (m message) all(name string) (out []string) {
	for _, l := range m.lines {
		n, v, _ := strings.Cut(l, ":")
		if strings.EqualFold(strings.TrimSpace(n), name) {
			out = append(out, strings.TrimSpace(v))
		}
	}
	return out
}

func (m message) get(name string) string {
	if v := m.all(name); len(v) > 0 {
		return v[0]
	}
	return ""
}

func (m message) method() string { f, _, _ := strings.Cut(m.first, " "); return f }

// status is the code of a response, "" of a request.
func (m message) status() string {
	if rest, ok := strings.CutPrefix(m.first, "SIP/2.0 "); ok {
		return rest[:min(3, len(rest))]
	}
	return ""
}

var (
	uriIn    = regexp.MustCompile(`sips?:[^>;\s]+`)
	branchIn = regexp.MustCompile(`branch=([^;,\s]+)`)
)

// behaviour is what a phone does with a call that comes in.
type behaviour struct {
	provisional []int         // sent at once
	heard       string        // then it waits until the caller has seen this
	after       time.Duration // and so long
	status      int           // then it answers; 0 = never
	headers     []string      // of the final answer
}

// pause is a party's own pace: how long somebody lets it ring, talks, or holds a key is part of a story. Facts are waited
// for.
func pause(d time.Duration) { <-time.After(d) }

// phone is a SIP user agent over UDP that says what it is told to. It sends no voice. What it sees of a call, in order, is
// in seen: the requests and the status codes.
type phone struct {
	t     testing.TB
	conn  *net.UDPConn
	voice *net.UDPConn
	addr  netip.AddrPort
	does  behaviour
	other *phone // the caller, for heard

	mu    sync.Mutex
	known map[string]bool // retransmissions
	seen  []string
	calls map[string]*call // by Call-ID
	first *call
	news  chan struct{}
	wg    sync.WaitGroup

	registers chan message // the answers to REGISTER
}

// call is one dialog of a phone.
type call struct {
	p             *phone
	in            bool
	invite        message
	local, remote string // From and To values as we write them
	target        string
	routes        []string
	seq           int
	answered      bool
	over          bool
	sdp           string         // the far end's
	packets       uint16         // of digits, so far
	to            netip.AddrPort // where requests go
}

func newPhone(t testing.TB, b behaviour) *phone {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	voice, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	p := &phone{t: t, conn: conn, voice: voice, addr: conn.LocalAddr().(*net.UDPAddr).AddrPort(), does: b,
		known: map[string]bool{}, calls: map[string]*call{}, news: make(chan struct{}, 1)}
	p.wg.Add(2)
	go func() {
		defer p.wg.Done()
		buf := make([]byte, 65535)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			p.arrived(parseMessage(string(buf[:n])), from)
		}
	}()
	go func() {
		defer p.wg.Done()
		buf := make([]byte, 2048)
		for {
			if _, err := voice.Read(buf); err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() { _ = conn.Close(); _ = voice.Close(); p.wg.Wait() })
	return p
}

func (p *phone) sdp() string {
	port := p.voice.LocalAddr().(*net.UDPAddr).Port
	return fmt.Sprintf("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio %d RTP/AVP 0 101\r\n"+
		"a=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\n", port)
}

func (p *phone) send(to netip.AddrPort, first string, lines []string, body string) {
	p.sendTyped(to, first, lines, "application/sdp", body)
}

func (p *phone) sendTyped(to netip.AddrPort, first string, lines []string, kind, body string) {
	text := first + "\r\n" + strings.Join(lines, "\r\n") + "\r\n"
	if body != "" {
		text += "Content-Type: " + kind + "\r\n"
	}
	text += fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body)
	_, _ = p.conn.WriteToUDPAddrPort([]byte(text), to) // after the end of the test nobody listens
}

func (p *phone) note(what string) {
	p.mu.Lock()
	p.seen = append(p.seen, what)
	p.mu.Unlock()
	select {
	case p.news <- struct{}{}:
	default:
	}
}

// arrived takes one message.
func (p *phone) arrived(m message, from netip.AddrPort) {
	branch := branchIn.FindString(m.get("Via"))
	key := branch + m.first + m.get("CSeq")
	p.mu.Lock()
	again := p.known[key]
	p.known[key] = true
	p.mu.Unlock()
	if s := m.status(); s != "" {
		p.answer(m, s, again)
		return
	}
	if again && m.method() != "ACK" {
		return
	}
	c := p.find(m.get("Call-ID"))
	switch m.method() {
	case "INVITE":
		if c != nil {
			p.reply(m, from, c.tag(), 200, nil, p.sdp())
			return
		}
		p.note("INVITE")
		p.incoming(m, from)
	case "CANCEL":
		p.note("CANCEL " + m.get("Reason"))
		p.reply(m, from, "", 200, nil, "")
		if c != nil && !c.answered && !c.over {
			c.over = true
			p.reply(c.invite, from, c.tag(), 487, nil, "")
		}
	case "BYE":
		p.note("BYE " + m.get("Reason"))
		p.reply(m, from, "", 200, nil, "")
		if c != nil {
			p.mu.Lock()
			c.over = true
			p.mu.Unlock()
		}
	case "ACK":
	default:
		p.reply(m, from, "", 200, nil, "")
	}
}

func (p *phone) find(callID string) *call {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calls[callID]
}

func (c *call) tag() string {
	_, tag, _ := strings.Cut(c.local, ";tag=")
	return tag
}

// reply answers a request.
func (p *phone) reply(m message, to netip.AddrPort, tag string, code int, more []string, body string) {
	var lines []string
	for _, name := range []string{"Via", "Record-Route", "From", "To", "Call-ID", "CSeq"} {
		for _, v := range m.all(name) {
			if name == "To" && tag != "" && code > 100 && !strings.Contains(v, ";tag=") {
				v += ";tag=" + tag
			}
			lines = append(lines, name+": "+v)
		}
	}
	lines = append(lines, "Contact: <sip:phone@"+p.addr.String()+">")
	phrase := map[int]string{100: "Trying", 180: "Ringing", 183: "Session Progress", 200: "OK", 302: "Moved Temporarily",
		404: "Not Found", 480: "Temporarily Unavailable", 486: "Busy Here", 487: "Request Terminated", 603: "Decline"}[code]
	if phrase == "" {
		phrase = "Other"
	}
	if len(more) > 0 && strings.HasPrefix(more[0], "Contact:") {
		lines = lines[:len(lines)-1]
	}
	p.send(to, fmt.Sprintf("SIP/2.0 %d %s", code, phrase), append(lines, more...), body)
}

// incoming does what the phone is told to do with a call.
func (p *phone) incoming(m message, from netip.AddrPort) {
	tag := token()
	c := &call{p: p, in: true, invite: m, local: m.get("To") + ";tag=" + tag, remote: m.get("From"),
		target: uriIn.FindString(m.get("Contact")), routes: m.all("Record-Route"), seq: 1, to: from, sdp: m.body}
	p.mu.Lock()
	p.calls[m.get("Call-ID")] = c
	if p.first == nil {
		p.first = c
	}
	p.mu.Unlock()
	p.reply(m, from, "", 100, nil, "")
	for _, code := range p.does.provisional {
		body := ""
		if code == 183 {
			body = p.sdp()
		}
		p.reply(m, from, tag, code, nil, body)
	}
	if p.does.status == 0 {
		return
	}
	p.wg.Go(func() {
		for begun := time.Now(); p.does.heard != "" && !p.other.has(p.does.heard) && time.Since(begun) < 3*time.Second; {
			pause(10 * time.Millisecond)
		}
		pause(p.does.after)
		p.mu.Lock()
		over := c.over
		c.answered = !over && p.does.status < 300
		c.over = over || p.does.status >= 300
		p.mu.Unlock()
		if over {
			return
		}
		body := ""
		if p.does.status < 300 {
			body = p.sdp()
		}
		p.reply(m, from, tag, p.does.status, p.does.headers, body)
	})
}

// call sends an INVITE for a number.
func (p *phone) call(to netip.AddrPort, number string, headers ...string) *call {
	from := `"Ada Attendee" <sip:+12125550123@` + p.addr.String() + ">;tag=" + token()
	target := "sip:" + number + "@" + to.String()
	c := &call{p: p, local: from, remote: "<" + target + ">", target: target, seq: 1, to: to}
	c.invite = message{first: "INVITE " + target + " SIP/2.0", body: p.sdp(), lines: append([]string{
		"Via: SIP/2.0/UDP " + p.addr.String() + ";branch=z9hG4bK" + token(), "From: " + from, "To: " + c.remote,
		"Call-ID: " + token() + "@phone", "CSeq: 1 INVITE", "Contact: <sip:+12125550123@" + p.addr.String() + ">", "Max-Forwards: 70"}, headers...)}
	p.mu.Lock()
	p.calls[c.invite.get("Call-ID")] = c
	if p.first == nil {
		p.first = c
	}
	p.mu.Unlock()
	p.send(to, c.invite.first, c.invite.lines, c.invite.body)
	return c
}

// answer takes a response: final ones to an INVITE are acknowledged.
func (p *phone) answer(m message, status string, again bool) {
	if strings.HasSuffix(m.get("CSeq"), "REGISTER") {
		p.mu.Lock()
		answers := p.registers
		p.mu.Unlock()
		if status >= "200" && !again {
			answers <- m
		}
		return
	}
	c := p.find(m.get("Call-ID"))
	if c == nil {
		p.note(status)
		return
	}
	if !strings.HasSuffix(m.get("CSeq"), "INVITE") {
		return
	}
	if !again {
		defer func(what string) {
			if status != "100" {
				p.note(what)
			}
		}(strings.TrimSpace(status + " " + m.get("Reason")))
	}
	if m.body != "" {
		c.sdp = m.body
	}
	if status < "200" {
		return
	}
	via := c.invite.get("Via")
	c.remote = m.get("To")
	if status < "300" {
		via = "SIP/2.0/UDP " + p.addr.String() + ";branch=z9hG4bK" + token()
		p.mu.Lock()
		c.answered = true
		c.target = uriIn.FindString(m.get("Contact"))
		p.mu.Unlock()
	}
	p.send(c.to, "ACK "+c.target+" SIP/2.0", []string{"Via: " + via, "From: " + c.local, "To: " + c.remote,
		"Call-ID: " + c.invite.get("Call-ID"), "CSeq: 1 ACK", "Max-Forwards: 70"}, "")
}

// bye ends the call, cancel withdraws it.
func (c *call) bye() { c.request("BYE") }

func (c *call) cancel() {
	c.p.send(c.to, "CANCEL "+c.target+" SIP/2.0", []string{"Via: " + c.invite.get("Via"), "From: " + c.local, "To: " + c.remote,
		"Call-ID: " + c.invite.get("Call-ID"), "CSeq: 1 CANCEL", "Max-Forwards: 70"}, "")
}

func (c *call) request(method string) {
	c.seq++
	c.p.send(c.to, method+" "+c.target+" SIP/2.0", c.inDialog(method), "")
}

// inDialog are the headers of a request inside the call.
func (c *call) inDialog(method string) []string {
	return []string{"Via: SIP/2.0/UDP " + c.p.addr.String() + ";branch=z9hG4bK" + token(),
		"From: " + c.local, "To: " + c.remote, "Call-ID: " + c.invite.get("Call-ID"), fmt.Sprintf("CSeq: %d %s", c.seq, method), "Max-Forwards: 70"}
}

// listens is where the far end wants the voice.
func (c *call) listens() netip.AddrPort {
	var port int
	for line := range strings.SplitSeq(c.sdp, "\n") {
		_, _ = fmt.Sscanf(line, "m=audio %d", &port)
	}
	return netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(port))
}

// speak sends a frame of voice.
func (c *call) speak(frame []int16) {
	packet := make([]byte, 12, 12+len(frame))
	packet[0] = 0x80
	c.packets++
	binary.BigEndian.PutUint16(packet[2:], c.packets)
	binary.BigEndian.PutUint32(packet[4:], uint32(c.packets)*uint32(len(frame)))
	binary.BigEndian.PutUint32(packet[8:], 0x5eed)
	for _, v := range frame {
		packet = append(packet, voice.ToULaw(v))
	}
	_, _ = c.p.voice.WriteToUDPAddrPort(packet, c.listens())
}

// press presses a key as RFC 4733 has it, for 100 ms, the end three times.
func (c *call) press(key byte) {
	to := c.listens()
	stamp := uint32(time.Now().UnixMilli()) * 8
	packet := make([]byte, 16)
	packet[0] = 0x80
	packet[12] = byte(strings.IndexByte("0123456789*#ABCD", key))
	for i := range 8 {
		packet[1] = 101
		if i == 0 {
			packet[1] |= 0x80
		}
		if i >= 5 {
			packet[13] = 0x80 | 10
		}
		c.packets++
		binary.BigEndian.PutUint16(packet[2:], c.packets)
		binary.BigEndian.PutUint32(packet[4:], stamp)
		binary.BigEndian.PutUint32(packet[8:], 0x5eed)
		binary.BigEndian.PutUint16(packet[14:], uint16(min(i+1, 5)*160))
		_, _ = c.p.voice.WriteToUDPAddrPort(packet, to)
		pause(20 * time.Millisecond)
	}
}

func (p *phone) has(what string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.ContainsFunc(p.seen, func(s string) bool { return strings.HasPrefix(s, what) })
}

// wait waits until the phone has seen something that begins so.
func (p *phone) wait(what string) {
	p.t.Helper()
	deadline := time.After(patience)
	for {
		p.mu.Lock()
		for _, s := range p.seen {
			if strings.HasPrefix(s, what) {
				p.mu.Unlock()
				return
			}
		}
		seen := strings.Join(p.seen, ", ")
		p.mu.Unlock()
		select {
		case <-p.news:
		case <-deadline:
			p.t.Fatalf("a phone waits in vain for %s; it saw: %s", what, seen)
		}
	}
}

// register registers the phone as a user of the directory with digest authentication (RFC 2617); seconds 0 takes it back.
func (p *phone) register(to netip.AddrPort, user, domain, password, contact string, seconds int) {
	p.t.Helper()
	callID, tag := token()+"@phone", token()
	answers := make(chan message, 4)
	p.mu.Lock()
	p.registers = answers
	p.mu.Unlock()
	send := func(seq int, more ...string) {
		p.send(to, "REGISTER sip:"+domain+" SIP/2.0", append([]string{
			"Via: SIP/2.0/UDP " + p.addr.String() + ";branch=z9hG4bK" + token(),
			"From: <sip:" + user + "@" + domain + ">;tag=" + tag, "To: <sip:" + user + "@" + domain + ">", "Call-ID: " + callID,
			fmt.Sprintf("CSeq: %d REGISTER", seq), "Contact: <" + contact + ">", fmt.Sprintf("Expires: %d", seconds),
			"Max-Forwards: 70", "User-Agent: DataClient/1.0"}, more...), "")
	}
	wait := func() message {
		select {
		case m := <-answers:
			return m
		case <-time.After(patience):
			p.t.Fatal("REGISTER is not answered")
		}
		return message{}
	}
	send(1)
	m := wait()
	if m.status() == "401" {
		part := func(name string) string {
			if f := regexp.MustCompile(name + `="([^"]*)"`).FindStringSubmatch(m.get("WWW-Authenticate")); f != nil {
				return f[1]
			}
			return ""
		}
		hash := func(s string) string { return fmt.Sprintf("%x", md5.Sum([]byte(s))) }
		realm, nonce, uri := part("realm"), part("nonce"), "sip:"+domain
		response := hash(hash(user+":"+realm+":"+password) + ":" + nonce + ":00000001:0a0b:auth:" + hash("REGISTER:"+uri))
		send(2, fmt.Sprintf(`Authorization: Digest username="%s", realm="%s", nonce="%s", uri="%s", algorithm=MD5, qop=auth, nc=00000001, cnonce="0a0b", response="%s"`,
			user, realm, nonce, uri, response))
		m = wait()
	}
	if m.status() != "200" {
		p.t.Fatalf("REGISTER of %s: %s", user, m.first)
	}
}
