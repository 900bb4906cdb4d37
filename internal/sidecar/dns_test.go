package sidecar_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/lab"
	"github.com/signalbox/signalbox/internal/resolve"
	"github.com/signalbox/signalbox/internal/resolve/resolvetest"
	"github.com/signalbox/signalbox/internal/treat/mailbox"
)

// byName finds voicemail systems with package resolve, as package app wires it.
type byName struct{ *resolve.Resolver }

func (b byName) Lookup(ctx context.Context, fqdn, transport string) (out []mailbox.Target, err error) {
	found, err := b.Resolver.Lookup(ctx, fqdn, transport)
	for _, t := range found {
		out = append(out, mailbox.Target{Addr: t.Addr, Transport: t.Transport})
	}
	return out, err
}
func (b byName) Failed(t mailbox.Target) { b.Resolver.Failed(target(t), time.Now()) }
func (b byName) Worked(t mailbox.Target) { b.Resolver.Worked(target(t), time.Now()) }

func target(t mailbox.Target) resolve.Target {
	return resolve.Target{Addr: t.Addr, Transport: t.Transport}
}

const vmService = "_sip._udp.vm.example.net"

// Whatever the DNS says of a voicemail system, the caller is told so in bounded time, and the next call finds it when the DNS is
// mended.
func TestWhateverTheDNSSaysTheCallEndsInTime(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		fault func(t *testing.T, s *resolvetest.Server)
		note  string // of the attempt on record
	}{
		{"silent", whole(resolvetest.Silent), "no usable answer"},
		{"refuses", whole(resolvetest.Refused), "no usable answer"},
		{"fails", whole(resolvetest.ServFail), "no usable answer"},
		{"garbage", whole(resolvetest.Garbage), "no usable answer"},
		{"answers for another name", whole(resolvetest.OtherName), "another name"},
		{"too many records", whole(resolvetest.Huge), "too large"},
		{"says that nothing exists", func(t *testing.T, s *resolvetest.Server) { must(t, s.Set(vmService)) }, "no address"},
		{"says that the service is not offered", func(t *testing.T, s *resolvetest.Server) { must(t, s.Set(vmService, "1 IN SRV 0 0 0 .")) }, "not offered"},
		{"alias loop", func(t *testing.T, s *resolvetest.Server) {
			must(t, s.Set(vmService, "1 IN CNAME x.example.net."))
			must(t, s.Set("x.example.net", "1 IN CNAME "+vmService+"."))
		}, "alias loop"},
		{"address where nobody is", func(t *testing.T, s *resolvetest.Server) {
			must(t, s.Set(vmService, "1 IN SRV 0 0 9 vm-1.example.net."))
			must(t, s.Set("vm-1.example.net", "1 IN A 127.0.0.1"))
		}, ""},
		{"address of everybody", func(t *testing.T, s *resolvetest.Server) {
			must(t, s.Set("vm-1.example.net", "1 IN A 255.255.255.255", "1 IN A 0.0.0.0"))
		}, "no address"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dns, err := resolvetest.Serve("127.0.0.1:0")
			must(t, err)
			t.Cleanup(func() { _ = dns.Close() })
			const limit = 500 * time.Millisecond
			resolver, err := resolve.New(resolve.Options{Servers: []string{dns.Addr()}, Timeout: limit, NegativeTTL: time.Second, AllowLoopback: true, Health: resolve.NewHealth(resolve.HealthOptions{BackOff: time.Millisecond})})
			must(t, err)
			r := newRig(t, options{resolver: byName{resolver}})
			r.phone.Behave(lab.Refuses(486))
			right := func() {
				must(t, dns.Set(vmService, fmt.Sprintf("1 IN SRV 0 0 %d vm-1.example.net.", r.vm.Addr().Port())))
				must(t, dns.Set("vm-1.example.net", "1 IN A 127.0.0.1"))
			}
			right()
			tt.fault(t, dns)
			began := time.Now()
			c := r.Call(r.caller, served)
			r.Status(c, 183, 486) // the announcement that voicemail is down
			if took := time.Since(began); took > limit+2*time.Second {
				t.Errorf("the caller heard something after %s", took)
			}
			c.Cancel()
			rec := r.record("closed", closed)
			if len(rec.Steps) < 2 || rec.Steps[1].Result != call.VoicemailDown || len(rec.Steps[1].Attempts) == 0 || !strings.Contains(rec.Steps[1].Attempts[0].Note, tt.note) {
				t.Errorf("the record does not say %q: %+v", tt.note, rec.Steps)
			}

			dns.Fault("", resolvetest.None)
			right()
			r.eventually("the next call reaches voicemail", func() bool {
				next := r.Call(r.caller, served)
				if m := r.Status(next, 183, 486, 200); m.Status() != 200 {
					next.Cancel()
					r.Ended(next)
					return false
				}
				next.Hangup()
				return true
			})
		})
	}
}

// whole has the DNS misbehave for every name.
func whole(f resolvetest.Fault) func(t *testing.T, s *resolvetest.Server) {
	return func(_ *testing.T, s *resolvetest.Server) { s.Fault("", f) }
}
