package mailbox

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/call"
)

// tlsLeg is a leg whose voicemail INVITEs go through the proxy.
type tlsLeg struct {
	call.Leg
	end call.Attempt
}

func (l tlsLeg) Waiting(context.Context, time.Duration) error { return nil }

func (l tlsLeg) Ring(_ context.Context, o call.RingOrder) (call.Attempt, error) {
	l.end.Target = o.Voicemail.FQDN
	return l.end, nil
}

// talkLeg is a leg whose callers are answered and talk; while they do, during is run.
type talkLeg struct {
	tlsLeg
	during func()
}

func (l talkLeg) Ring(_ context.Context, o call.RingOrder) (call.Attempt, error) {
	if o.Answered != nil {
		o.Answered()
	}
	l.during()
	return call.Attempt{Result: call.Answered}, nil
}

// heard is a resolver that notes what it is told.
type heard struct {
	throughProxy
	told []string
}

func (h *heard) Worked(Target) { h.told = append(h.told, "worked") }
func (h *heard) Failed(Target) { h.told = append(h.told, "failed") }

// That a target takes calls is known when it answers. When the caller hangs up, minutes later, it may be dead, as other calls have found out
// meanwhile: then nothing is said of it any more.
func TestATargetWorksWhenItAnswersAndNotWhenTheCallerHangsUp(t *testing.T) {
	resolver := &heard{}
	leg := talkLeg{during: func() { resolver.told = append(resolver.told, "they talk") }}
	m := call.Mailbox{Pilot: "+18056377243", Systems: []account.VoicemailSystem{{FQDN: "vm.example.net", Transport: "udp", Profile: "external"}},
		ProgressTimeout: time.Second, AnswerTimeout: time.Second, TotalTimeout: time.Minute}
	if _, err := Run(t.Context(), leg, call.Arrival{}, m, call.Busy, Settings{LookupTimeout: time.Second, Domain: "pbx.example.net"}, resolver); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(resolver.told, ", "); got != "worked, they talk" {
		t.Errorf("the resolver is told: %s", got)
	}
}

// nowhere is a resolver that finds nothing, in a second.
type nowhere struct{ throughProxy }

func (nowhere) Lookup(context.Context, string, string) ([]Target, error) {
	time.Sleep(time.Second)
	return nil, errors.New("no address")
}

func TestTheRecordTellsWhenEachNameWasLookedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := call.Mailbox{Pilot: "+18056377243", TotalTimeout: time.Minute, Systems: []account.VoicemailSystem{{FQDN: "vm-a.example.net"}, {FQDN: "vm-b.example.net"}}}
		rec, err := Run(t.Context(), tlsLeg{}, call.Arrival{}, m, call.Busy, Settings{LookupTimeout: 2 * time.Second}, nowhere{})
		if err != nil || len(rec.Attempts) != 2 {
			t.Fatalf("%v, %d attempts", err, len(rec.Attempts))
		}
		for i, a := range rec.Attempts {
			if from, took := a.Started.Sub(rec.Started), a.Ended.Sub(a.Started); from != time.Duration(i)*time.Second || took != time.Second {
				t.Errorf("look-up of %s began after %s and took %s", a.Target, from, took)
			}
		}
	})
}

// throughProxy leads every name to the proxy.
type throughProxy struct{}

func (throughProxy) Lookup(context.Context, string, string) ([]Target, error) {
	return []Target{{Addr: netip.MustParseAddrPort("127.0.0.1:5090"), Transport: "tcp", Permit: "p"}}, nil
}
func (throughProxy) Failed(Target) {}
func (throughProxy) Worked(Target) {}

// Whether it was answered or not, the record names each target that the proxy tried.
func TestTheRecordNamesEachTargetOfTheProxy(t *testing.T) {
	for name, tt := range map[string]struct {
		end  call.Attempt
		want []string // target, result, note
	}{
		"answered by the third": {
			call.Attempt{Result: call.Answered, Tried: "192.0.2.1:5061 certificate, 192.0.2.2:5061 503, [2001:db8::1]:5061 200"},
			[]string{"vm.example.net 192.0.2.1:5061/tls by TLS through the proxy|unreachable|certificate", "vm.example.net 192.0.2.2:5061/tls by TLS through the proxy|unreachable|",
				"vm.example.net [2001:db8::1]:5061/tls by TLS through the proxy|answered|"},
		},
		"none": {
			call.Attempt{Result: call.Unreachable, SIPStatus: 503, Phrase: "Service Unavailable (...)", Tried: "192.0.2.1:5061 silent"},
			[]string{"vm.example.net 192.0.2.1:5061/tls by TLS through the proxy|unreachable|silent"},
		},
		"the proxy said nothing": {
			call.Attempt{Result: call.Unreachable, SIPStatus: 403, Phrase: "Forbidden"},
			[]string{"vm.example.net by TLS through the proxy|unreachable|Forbidden"},
		},
		"nonsense": {
			call.Attempt{Result: call.Answered, Tried: ", ,x,,"},
			[]string{"vm.example.net by TLS through the proxy|answered|"},
		},
	} {
		m := call.Mailbox{Pilot: "+18056377243", Systems: []account.VoicemailSystem{{FQDN: "vm.example.net", Transport: "tls", Profile: "external"}},
			ProgressTimeout: time.Second, AnswerTimeout: time.Second, TotalTimeout: time.Minute}
		rec, err := Run(t.Context(), tlsLeg{end: tt.end}, call.Arrival{}, m, call.Busy, Settings{LookupTimeout: time.Second, Domain: "pbx.example.net"}, throughProxy{})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, a := range rec.Attempts {
			got = append(got, a.Target+"|"+string(a.Result)+"|"+a.Note)
		}
		if strings.Join(got, "\n") != strings.Join(tt.want, "\n") {
			t.Errorf("%s:\n%s\nwant\n%s", name, strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
		}
	}
}
