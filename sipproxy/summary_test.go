package sipproxy

import (
	"context"
	"net/netip"
	"strings"
	"sync"
	"testing"
)

// mailboxes takes summaries from one address, and keeps them.
type mailboxes struct {
	from netip.Addr
	code int

	mu   sync.Mutex
	took []Summary
}

func (m *mailboxes) Known(addr netip.Addr) bool { return addr == m.from }
func (m *mailboxes) Take(_ context.Context, s Summary) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.code == 0 {
		panic("a fault of ours")
	}
	m.took = append(m.took, s)
	return m.code
}

func (m *mailboxes) all() []Summary {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]Summary(nil), m.took...)
}

const summaryBody = "Messages-Waiting: yes\r\nMessage-Account: sip:+14155550100@pbx.example.net\r\nVoice-Message: 2/1 (1/0)\r\n"

func (u *ua) notify(callID, event, body string) string {
	return u.build(request{method: "NOTIFY", uri: "sip:+14155550100@pbx.example.net", callID: callID,
		extra: []string{"Event: " + event, "Subscription-State: active", "Content-Type: application/simple-message-summary"}, body: body})
}

func TestSummariesAreTakenFromKnownSystemsOnly(t *testing.T) {
	taker := &mailboxes{from: netip.MustParseAddr("127.0.0.31"), code: 200}
	w := newWorld(t, func(o *Options, _ *world) { o.Summaries = taker })
	vm, stranger := newUA(t, "vm", "127.0.0.31"), newUA(t, "stranger", "127.0.0.9")

	vm.udp(w.udp, vm.notify("n1", "message-summary", summaryBody))
	vm.expect("SIP/2.0 200")
	c := vm.dial(w.tcp)
	if _, err := c.Write([]byte(strings.Replace(vm.notify("n2", "message-summary;x=y", summaryBody), "SIP/2.0/UDP", "SIP/2.0/TCP", 1))); err != nil {
		t.Fatal(err)
	}
	vm.expect("SIP/2.0 200")
	took := taker.all()
	if len(took) != 2 || took[0].To.User != "+14155550100" || string(took[0].Body) != summaryBody || took[0].Source.Addr() != taker.from || took[1].Transport != "tcp" {
		t.Errorf("taken: %+v", took)
	}

	stranger.udp(w.udp, stranger.notify("n3", "message-summary", summaryBody))
	stranger.expect("SIP/2.0 403")
	w.trunk.udp(w.udp, w.trunk.notify("n4", "message-summary", summaryBody))
	w.trunk.expect("SIP/2.0 403")
	vm.udp(w.udp, vm.notify("n5", "presence", summaryBody))
	vm.expect("SIP/2.0 403")
	vm.udp(w.udp, vm.invite("n6"))
	vm.expect("SIP/2.0 403")
	vm.udp(w.udp, vm.notify("n7", "message-summary", strings.Repeat("X: y\r\n", 2000)))
	vm.expect("SIP/2.0 513")
	if n := len(taker.all()); n != 2 {
		t.Errorf("%d summaries taken, want 2", n)
	}
	if s := w.p.Stats(); s.SummariesTaken != 2 || s.SummariesRefused != 2 {
		t.Errorf("counted %d taken, %d refused, want 2 and 2", s.SummariesTaken, s.SummariesRefused)
	}
	w.node.quiet()
	w.fine()
}

func TestAFaultWhileASummaryIsTakenIs500(t *testing.T) {
	taker := &mailboxes{from: netip.MustParseAddr("127.0.0.31")}
	w := newWorld(t, func(o *Options, _ *world) { o.Summaries = taker })
	vm := newUA(t, "vm", "127.0.0.31")
	vm.udp(w.udp, vm.notify("n1", "message-summary", summaryBody))
	vm.expect("SIP/2.0 500")
}
