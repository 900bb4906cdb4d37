package fssim

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/signalbox/signalbox/esl/wire"
)

// maxBindings bounds the registrations of one profile; further devices are refused with 503.
const maxBindings = 10000

// binding is one registered device.
type binding struct {
	user, domain string
	contact      string // URI of the device
	path         []string
	callID       string
	expires      time.Time
	seconds      int
	netIP        string
	netPort      int
	transport    string
	agent        string
	timer        *timer
}

// registrar keeps the registrations of a profile. Its lock is never held while an event is published.
type registrar struct {
	p  *profile
	mu sync.Mutex
	by map[string][]*binding // user@domain
}

func newRegistrar(p *profile) *registrar { return &registrar{p: p, by: map[string][]*binding{}} }

// bindings returns copies of a user's live bindings, newest last.
func (r *registrar) bindings(user, domain string) []binding {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []binding
	for _, b := range r.by[user+"@"+domain] {
		if b.expires.After(time.Now()) {
			out = append(out, *b)
		}
	}
	return out
}

// everything returns copies of all live bindings, sorted by user.
func (r *registrar) everything() []binding {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []binding
	for _, l := range r.by {
		for _, b := range l {
			if b.expires.After(time.Now()) {
				out = append(out, *b)
			}
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].user+out[i].contact < out[j].user+out[j].contact })
	return out
}

// dialURI is the contact as FreeSWITCH dials it, the path in fs_path.
func (b binding) dialURI() string {
	if len(b.path) == 0 {
		return b.contact
	}
	var enc []string
	for _, p := range b.path {
		enc = append(enc, string(wire.AppendEncoded(nil, "<"+parseAddr(p).uri+">")))
	}
	return b.contact + ";fs_path=" + strings.Join(enc, "%2C")
}

// onRegister handles one REGISTER.
func (r *registrar) onRegister(tx *serverTx) {
	m := tx.req
	to, err := parseURI(parseAddr(m.get("To")).uri)
	if err != nil || to.user == "" {
		tx.respond(tx.newResponse(400, "Bad Request"))
		return
	}
	if r.p.auth && !r.p.authorized(tx, 401) { // whether there is such a user or not
		return
	}
	u := r.p.s.user(to.user, to.host)
	if u == nil {
		tx.respond(tx.newResponse(403, "Forbidden"))
		return
	}
	contacts := m.list("Contact")
	if len(contacts) == 1 && contacts[0] == "*" {
		r.drop(u, "", m)
		contacts = nil
	}
	for _, c := range contacts {
		a := parseAddr(c)
		seconds := 3600
		if v := m.get("Expires"); v != "" {
			seconds = atoi(v)
		}
		if v := a.param("expires"); v != "" {
			seconds = atoi(v)
		}
		if seconds <= 0 {
			r.drop(u, a.uri, m)
			continue
		}
		if !r.bind(u, a, seconds, tx) {
			tx.respond(tx.newResponse(503, "Service Unavailable"))
			return
		}
	}
	resp := tx.newResponse(200, "OK")
	for _, b := range r.bindings(u.Name, u.Domain) {
		resp.add("Contact", fmt.Sprintf("<%s>;expires=%d", b.contact, b.seconds))
	}
	for _, p := range m.all("Path") {
		resp.add("Path", p)
	}
	resp.add("Date", time.Now().UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT"))
	resp.add("User-Agent", userAgent)
	resp.add("Allow", r.p.allowed())
	resp.add("Supported", r.p.supported())
	tx.respond(resp)
}

// bind adds or renews one device and publishes sofia::register.
func (r *registrar) bind(u *User, a sipAddr, seconds int, tx *serverTx) bool {
	m := tx.req
	b := &binding{user: u.Name, domain: u.Domain, contact: a.uri, path: m.list("Path"), callID: m.get("Call-ID"),
		expires: time.Now().Add(r.lasts(seconds)), seconds: seconds,
		netIP: tx.flow.peer.Addr().String(), netPort: int(tx.flow.peer.Port()), transport: "UDP",
		agent: m.get("User-Agent")}
	if tx.flow.tcp {
		b.transport = "TCP"
	}
	key := u.Name + "@" + u.Domain
	r.mu.Lock()
	total := 0
	for _, l := range r.by {
		total += len(l)
	}
	l := r.by[key]
	renewed := false
	for i, old := range l {
		if old.callID == b.callID || old.contact == b.contact {
			r.p.s.timers.stop(old.timer)
			l = append(l[:i:i], l[i+1:]...)
			renewed = true
			break
		}
	}
	if !renewed && total >= maxBindings {
		r.mu.Unlock()
		return false
	}
	b.timer = r.p.s.timers.after(r.lasts(seconds), func() { r.expire(b) })
	r.by[key] = append(l, b)
	r.mu.Unlock()
	r.attempt(u, b, m)
	f := append(r.fields(b, m, true), u.realm()...)
	r.p.s.publish("CUSTOM", "sofia::register", append(append(f, b.agentField()...), u.fields()...), nil)
	return true
}

// lasts is how long a device stays registered.
func (r *registrar) lasts(seconds int) time.Duration {
	return time.Duration(seconds+r.p.s.opt.LateMargin) * time.Second
}

// attempt publishes what precedes every registration and unregistration.
func (r *registrar) attempt(u *User, b *binding, m *sipMessage) {
	f := r.fields(b, m, false)
	r.p.s.publish("CUSTOM", "sofia::pre_register", append(f, b.agentField()...), nil)
	result := "SUCCESS"
	if r.p.auth { // FreeSWITCH says so of everybody who is not new to it within the same second
		result = "RENEWED"
	}
	f = append(append(f[:len(f):len(f)], u.realm()...), b.agentField()...)
	r.p.s.publish("CUSTOM", "sofia::register_attempt", append(f, wire.Field{Name: "auth-result", Value: result}), nil)
}

func (b *binding) agentField() []wire.Field {
	if b.agent == "" {
		return nil
	}
	return []wire.Field{{Name: "user-agent", Value: b.agent}}
}

func (u *User) realm() []wire.Field {
	return []wire.Field{{Name: "username", Value: u.Name}, {Name: "realm", Value: u.Domain}}
}

// fields are what the directory says of a user, as a registration publishes it.
func (u *User) fields() []wire.Field {
	f := []wire.Field{{Name: "sip_number_alias", Value: u.Name}, {Name: "sip_auth_username", Value: u.Name},
		{Name: "sip_auth_realm", Value: u.Domain}, {Name: "number_alias", Value: u.Name}, {Name: "user_name", Value: u.Name},
		{Name: "domain_name", Value: u.Domain}}
	for _, v := range u.Vars {
		f = append(f, wire.Field(v))
	}
	return f
}

func (r *registrar) fields(b *binding, m *sipMessage, hosts bool) []wire.Field {
	from, _ := parseURI(parseAddr(m.get("From")).uri)
	f := []wire.Field{{Name: "profile-name", Value: r.p.name}, {Name: "from-user", Value: b.user},
		{Name: "from-host", Value: firstNonEmpty(from.host, b.domain)}}
	if hosts {
		f = append(f, wire.Field{Name: "presence-hosts", Value: b.domain + "," + r.p.addr().Addr().String()})
	}
	return append(f, wire.Field{Name: "contact", Value: `"" <` + b.dialURI() + `>`},
		wire.Field{Name: "call-id", Value: b.callID}, wire.Field{Name: "rpid", Value: "unknown"},
		wire.Field{Name: "status", Value: "Registered(" + b.transport + ")"}, wire.Field{Name: "expires", Value: itoa(b.seconds)},
		wire.Field{Name: "to-user", Value: b.user}, wire.Field{Name: "to-host", Value: b.domain},
		wire.Field{Name: "network-ip", Value: b.netIP}, wire.Field{Name: "network-port", Value: itoa(b.netPort)})
}

// drop removes one device, or all of the user's when contact is empty, and publishes sofia::unregister.
func (r *registrar) drop(u *User, contact string, m *sipMessage) {
	key := u.Name + "@" + u.Domain
	r.mu.Lock()
	var gone, kept []*binding
	for _, b := range r.by[key] {
		if contact == "" || b.contact == contact || b.callID == m.get("Call-ID") {
			gone = append(gone, b)
			r.p.s.timers.stop(b.timer)
		} else {
			kept = append(kept, b)
		}
	}
	if r.by[key] = kept; len(kept) == 0 {
		delete(r.by, key)
	}
	r.mu.Unlock()
	for _, b := range gone {
		b.seconds = 0
		b.callID = firstNonEmpty(m.get("Call-ID"), b.callID)
		r.attempt(u, b, m)
		r.p.s.publish("CUSTOM", "sofia::unregister", r.leaving(u, b), nil)
	}
}

// expire removes a device that did not come back and publishes sofia::expire.
func (r *registrar) expire(b *binding) {
	key := b.user + "@" + b.domain
	found := false
	r.mu.Lock()
	l := r.by[key]
	for i, x := range l {
		if x == b {
			r.by[key] = append(l[:i:i], l[i+1:]...)
			found = true
			break
		}
	}
	if len(r.by[key]) == 0 {
		delete(r.by, key)
	}
	r.mu.Unlock()
	if found {
		r.p.s.publish("CUSTOM", "sofia::expire", []wire.Field{{Name: "profile-name", Value: r.p.name},
			{Name: "call-id", Value: b.callID}, {Name: "user", Value: b.user}, {Name: "host", Value: b.domain},
			{Name: "contact", Value: `"" <` + b.dialURI() + `>`}, {Name: "expires", Value: itoa(b.seconds)},
			{Name: "user-agent", Value: firstNonEmpty(b.agent, "unknown")}, {Name: "realm", Value: b.domain}}, nil)
	}
}

func (r *registrar) leaving(u *User, b *binding) []wire.Field {
	f := []wire.Field{{Name: "profile-name", Value: r.p.name}, {Name: "username", Value: b.user}, {Name: "from-user", Value: b.user},
		{Name: "from-host", Value: b.domain}, {Name: "contact", Value: `"" <` + b.dialURI() + `>`},
		{Name: "call-id", Value: b.callID}, {Name: "rpid", Value: "unknown"}, {Name: "realm", Value: b.domain},
		{Name: "network-ip", Value: b.netIP}, {Name: "network-port", Value: itoa(b.netPort)}}
	return append(append(append(f, b.agentField()...), wire.Field{Name: "expires", Value: "0"}), u.fields()...)
}

// authorized checks digest credentials (RFC 2617, MD5 with qop=auth or without); when they are missing or wrong it
// answers with a challenge and reports false.
func (p *profile) authorized(tx *serverTx, code int) bool {
	name, challenge := "Authorization", "WWW-Authenticate"
	if code == 407 {
		name, challenge = "Proxy-Authorization", "Proxy-Authenticate"
	}
	from, _ := parseURI(parseAddr(tx.req.get("From")).uri)
	d := digestParams(tx.req.get(name))
	u := p.s.user(d["username"], firstNonEmpty(d["realm"], from.host))
	if u != nil && u.Password != "" && p.s.nonces.valid(d["nonce"]) && digestMatches(d, u.Password, tx.req.method) {
		return true
	}
	if d["response"] != "" && p.s.nonces.valid(d["nonce"]) {
		tx.respond(tx.newResponse(403, "Forbidden"))
		return false
	}
	r := tx.newResponse(code, sipPhrase(code))
	r.add("User-Agent", userAgent)
	r.add(challenge, fmt.Sprintf(`Digest realm="%s", nonce="%s", algorithm=MD5, qop="auth"`, from.host, p.s.nonces.next()))
	tx.respond(r)
	return false
}

func digestParams(v string) map[string]string {
	out := map[string]string{}
	rest, ok := strings.CutPrefix(v, "Digest ")
	if !ok {
		return out
	}
	for _, kv := range splitList(rest) {
		k, val, _ := strings.Cut(kv, "=")
		out[strings.ToLower(strings.TrimSpace(k))] = strings.Trim(strings.TrimSpace(val), `"`)
	}
	return out
}

func digestMatches(d map[string]string, password, method string) bool {
	ha1 := md5hex(d["username"] + ":" + d["realm"] + ":" + password)
	ha2 := md5hex(method + ":" + d["uri"])
	want := md5hex(ha1 + ":" + d["nonce"] + ":" + ha2)
	if d["qop"] != "" {
		want = md5hex(ha1 + ":" + d["nonce"] + ":" + d["nc"] + ":" + d["cnonce"] + ":" + d["qop"] + ":" + ha2)
	}
	return d["response"] == want
}

func md5hex(s string) string {
	h := md5.Sum([]byte(s))
	return hex.EncodeToString(h[:])
}

// nonceBox remembers the last nonces it gave out, at most maxNonces.
type nonceBox struct {
	mu   sync.Mutex
	live map[string]bool
	age  []string
}

const maxNonces = 1000

func (n *nonceBox) next() string {
	v := newTag() + newTag()
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.live == nil {
		n.live = map[string]bool{}
	}
	n.live[v] = true
	n.age = append(n.age, v)
	if len(n.age) > maxNonces {
		delete(n.live, n.age[0])
		n.age = n.age[1:]
	}
	return v
}

func (n *nonceBox) valid(v string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.live[v]
}
