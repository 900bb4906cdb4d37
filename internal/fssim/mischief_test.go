package fssim

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// TestABadDayKeepsEachChannelsOrder: with everything on, the events of one channel come in their order, and those of all of
// them do not.
func TestABadDayKeepsEachChannelsOrder(t *testing.T) {
	side := newSidecar(t)
	o := shipped(t, side.addr())
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	o.Mischief = BadDay(seed)
	s := startSwitch(t, o)
	in := link(t, s)
	in.cmd("event plain CHANNEL_EXECUTE CHANNEL_EXECUTE_COMPLETE")
	const calls, orders = 5, 40
	var cs []*controller
	for range calls {
		p := newPhone(t)
		p.call(s.ExternalAddr(), "14155550100")
		c, _ := side.serve()
		cs = append(cs, c)
	}
	for n := range orders {
		for _, c := range cs {
			fmt.Fprintf(c.conn, "sendmsg\ncall-command: execute\nexecute-app-name: set\nexecute-app-arg: n=%d\nevent-lock: true\n\n", n)
		}
	}
	next := map[string]int{}
	last, fell := uint64(0), 0
	for done := 0; done < calls*orders; {
		e := in.next()
		if e.Sequence() < last {
			fell++
		}
		last = max(last, e.Sequence())
		if e.Name() != "CHANNEL_EXECUTE_COMPLETE" || e.Get("Application") != "set" || !strings.HasPrefix(e.Get("Application-Data"), "n=") {
			continue
		}
		if want := fmt.Sprintf("n=%d", next[e.UUID()]); e.Get("Application-Data") != want {
			t.Errorf("%s: %s, want %s", e.UUID(), e.Get("Application-Data"), want)
		}
		next[e.UUID()]++
		done++
	}
	if fell == 0 {
		t.Error("no event came behind one with a higher number")
	}
}

// TestShowChannelsLags: a channel is listed when it has existed for a while, and for a while after its end.
func TestShowChannelsLags(t *testing.T) {
	side := newSidecar(t)
	o := shipped(t, side.addr())
	o.Mischief.Lag = 300 * time.Millisecond
	s := startSwitch(t, o)
	in := link(t, s)
	const none = "{\"row_count\": 0}\n"
	began := time.Now()
	newPhone(t).call(s.ExternalAddr(), "14155550100")
	c := side.accept()
	got := in.api("show channels as json")
	if took := time.Since(began); got != none && took < o.Mischief.Lag {
		t.Errorf("listed after %s: %s", took, got)
	}
	if got := in.api("status"); !strings.Contains(got, "1 session(s) - peak") {
		t.Errorf("status: %s", got)
	}
	for got == none {
		got = in.api("show channels as json")
	}
	c.conn.Close()
	in.api("hupall")
	ended := time.Now()
	for s.Sessions() > 0 {
		in.api("status")
	}
	got = in.api("show channels as json")
	if took := time.Since(ended); got == none && took < o.Mischief.Lag/2 {
		t.Errorf("no ghost after %s", took)
	}
	for got != none {
		got = in.api("show channels as json")
	}
}

// TestTheLinkIsCut: a connection is cut after the byte that was named.
func TestTheLinkIsCut(t *testing.T) {
	o := Options{Public: []string{"testdata/operator.xml"}, Mischief: Mischief{CutAfter: 100, Crumbs: 7}}
	s := startSwitch(t, o)
	c, err := net.Dial("tcp", s.EventSocketAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "auth ClueCon\n\napi status\n\n")
	all, _ := io.ReadAll(c) // the reset is an error
	if len(all) > 100 || !strings.HasPrefix(string(all), "Content-Type: auth/request\n\n") {
		t.Errorf("%d bytes: %q", len(all), all)
	}
}
