package sipproxy

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

func TestAScannerHearsNothingAndIsBanned(t *testing.T) {
	ph := newPhones(t, nil)
	bad, good := newUA(t, "scanner", "127.0.0.21"), newUA(t, "phone", "127.0.0.20")
	for n := range maxOffences {
		bad.udp(ph.in, bad.register("UDP", fmt.Sprint("s", n), "User-Agent: friendly-scanner"))
	}
	ph.wait("it is known", func(s Stats) bool { return s.Scanners == maxOffences })
	bad.udp(ph.in, bad.register("UDP", "s99")) // by another name: too late
	ph.wait("it is banned", func(s Stats) bool { return s.Banned == 1 })
	bad.udp(ph.udp, bad.invite("s100", "User-Agent: sipvicious"))
	ph.wait("neither do carriers' listeners answer it", func(s Stats) bool { return s.Scanners == maxOffences+1 })
	bad.quiet()
	ph.auth.quiet()
	ph.node.quiet()
	// A phone that is registered may call itself what it likes.
	ph.registers(good, "UDP", func(raw string) { good.udp(ph.in, raw) })
	good.udp(ph.in, good.register("UDP", "s101", "User-Agent: sipcli/1.0"))
	ph.auth.answer(ph.auth.expect("REGISTER"), "200 OK", good.contact()+";expires=60")
	good.expect("SIP/2.0 200")
}

func TestWhoIsAskedForPasswordsAndHasNoneIsBanned(t *testing.T) {
	o, now := offenders{ban: time.Minute}, time.Now()
	office := netip.MustParseAddr("192.0.2.7")
	for n := range 10 * maxChallenges { // phones that give the right one in the end
		if o.challenge(office, now); n%100 == 99 {
			o.forgive(office)
		}
	}
	if o.banned(office, now) {
		t.Error("an office whose phones register is banned")
	}
	thief := netip.MustParseAddr("192.0.2.8")
	for n := range maxChallenges {
		if banned := o.challenge(thief, now); banned != (n == maxChallenges-1) {
			t.Fatalf("banned after %d challenges: %t", n+1, banned)
		}
	}
	if !o.banned(thief, now) || o.banned(thief, now.Add(2*time.Minute)) {
		t.Error("the ban is not there, or does not end")
	}
	ph := newPhones(t, func(o *Options) { o.Limits.DeviceMessagesPerSecond = 10000 })
	bad := newUA(t, "thief", "127.0.0.21")
	for n := range maxChallenges {
		bad.udp(ph.in, bad.register("UDP", fmt.Sprint("t", n)))
		ph.auth.answer(ph.auth.expect("REGISTER"), "401 Unauthorized")
		bad.expect("SIP/2.0 401")
	}
	bad.udp(ph.in, bad.register("UDP", "t999"))
	ph.wait("it is banned", func(s Stats) bool { return s.Banned == 1 })
	ph.auth.quiet()
}
