package resolve

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/miekg/dns"
)

func TestTargetsAreBounded(t *testing.T) {
	h := NewHealth(HealthOptions{BackOff: time.Minute})
	now := time.Now()
	target := func(i int) Target {
		return Target{Addr: netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(i)), Transport: "udp"}
	}
	for i := range maxBreakers + 100 {
		h.Failed(target(i), now.Add(time.Duration(i)*time.Millisecond))
	}
	if len(h.breakers) != maxBreakers {
		t.Errorf("%d targets remembered, bound is %d", len(h.breakers), maxBreakers)
	}
	if h.breakers[target(0).endpoint()] != nil {
		t.Error("the oldest failure is still remembered")
	}
	if h.breakers[target(maxBreakers+99).endpoint()] == nil {
		t.Error("the newest failure is forgotten")
	}
	h.Worked(target(maxBreakers+99), now.Add(time.Hour))
	h.Failed(target(0), now.Add(time.Hour))
	if h.breakers[target(maxBreakers+99).endpoint()] != nil {
		t.Error("one that failed was forgotten before one that works")
	}
}

func TestCacheDropsTheNameNotUsedForLongest(t *testing.T) {
	c := newCache(2)
	c.put(&entry{key: "a"})
	c.put(&entry{key: "b"})
	c.get("a")
	c.put(&entry{key: "c"})
	if c.get("b") != nil || c.get("a") == nil || c.get("c") == nil {
		t.Error("want a and c kept, b dropped")
	}
}

func TestFrameOverTheBoundIsRefused(t *testing.T) {
	frame := binary.BigEndian.AppendUint16(nil, maxAnswerBytes+1)
	if _, err := readFrame(bytes.NewReader(append(frame, make([]byte, maxAnswerBytes+1)...))); err == nil {
		t.Error("accepted")
	}
}

// FuzzRead feeds a server's bytes to the reading of an answer: no panic, and nothing but what was asked for.
func FuzzRead(f *testing.F) {
	add := func(rrs ...string) {
		m := new(dns.Msg)
		m.SetQuestion("vm.example.net.", dns.TypeA)
		m.Response = true
		for _, s := range rrs {
			rr, err := dns.NewRR(s)
			if err != nil {
				f.Fatal(err)
			}
			m.Answer = append(m.Answer, rr)
		}
		raw, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	add("vm.example.net. 5 IN A 127.0.0.1")
	add("vm.example.net. 5 IN CNAME a.example.net.", "a.example.net. 5 IN A 127.0.0.1")
	add("vm.example.net. 5 IN CNAME vm.example.net.")
	add("other.example.net. 5 IN A 127.0.0.1")
	add()
	f.Add([]byte{})
	q := question{"vm.example.net.", dns.TypeA}
	f.Fuzz(func(t *testing.T, raw []byte) {
		m := new(dns.Msg)
		if m.Unpack(raw) != nil || !answers(m, m.Id, q) {
			return
		}
		r, err := read(m, q)
		if err != nil {
			return
		}
		for _, rr := range r.records {
			if rr.Header().Rrtype != q.qtype {
				t.Errorf("record of another type: %v", rr)
			}
		}
		for _, a := range addressesOf(r.records) {
			if !usable(a) {
				t.Errorf("unusable address %v", a)
			}
		}
	})
}
