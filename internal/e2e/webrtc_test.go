package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/lab"
	"github.com/signalbox/signalbox/internal/store"
)

// A subscriber whose phone is a browser, and whom a host knows by his number. The user is one that no story's own phone has.
const (
	webUser   = "1019"
	webNumber = "+498966655501"
)

// webSubscriber is what is provisioned for him, and into the address book of a host.
func webSubscriber(d *account.Document, host account.NumberEntry) {
	d.Accounts = append(d.Accounts, account.AccountEntry{ID: "web", Name: "Subscriber with a browser"})
	phone := account.DeviceEntry{Kind: account.DeviceRegistered, User: webUser, Host: host.Devices[0].Host}
	d.Numbers = append(d.Numbers, account.NumberEntry{Number: webNumber, Account: "web", Devices: []account.DeviceEntry{phone}})
	d.Contacts = append(d.Contacts, account.ContactEntry{Account: host.Account, ID: "wera", Name: "Wera Web", Numbers: []string{webNumber}})
}

// roomOfAllKinds is CONF-A22.
func roomOfAllKinds(at netip.AddrPort) lab.Story {
	return lab.Story{Name: "rooms-any-door", Line: hostLine(), Title: "By a gateway, by a private exchange's trunk and by a browser the host's number is called: each is offered his room, joins by a key, and all hear each other.", Play: func(ctx context.Context, s *lab.Stage) {
		host, gateway, room := together(ctx, s)
		exchange := s.PlaceBy(s.PBX("exchange", toneC), lab.Invite{From: benOf(s)}.Through("tcp", s.Rig.ProxyAddr()))
		s.WaitAnswered(ctx, exchange)
		s.Must(exchange.WaitSound(ctx))
		s.Must(exchange.Press(ctx, "1", lab.KeysAsEvents))
		awaitMembers(ctx, s, room, 3)

		phone := startWebPhone(ctx, s, at, webUser)
		defer phone.close()
		browser := phone.dials(ctx, s.Number, newWebVoice(s))
		defer browser.close()
		asBrowsersDo(s, browser.remote)
		s.Must(browser.WaitSound(ctx))
		pressed := time.Now()
		browser.press("1")
		roster(ctx, s, "Wera is in", func(_ store.Room, p []store.Participant) bool {
			return in(p) == 4 && contactIn(p, "wera")
		})
		s.Tell("she was in %d ms after the key", time.Since(pressed).Milliseconds())
		untouchedOffer(ctx, s, browser)

		all := append(allTones(), toneWeb)
		for _, h := range []hearing{{host, tones(toneB, toneC, toneWeb)}, {gateway, tones(toneA, toneC, toneWeb)}, {exchange, tones(toneA, toneB, toneWeb)}} {
			s.Must(h.c.WaitHears(ctx, h.want, all...))
			s.Tell("%s hears %.0f Hz and nobody else", h.c.Agent().Name(), h.want)
		}
		s.Must(browser.WaitHears(ctx, tones(toneA, toneB, toneC), all...))
		exchange.Hangup()
		s.Must(browser.WaitHears(ctx, tones(toneA, toneB), all...))
		browser.hangUp(ctx)
		awaitMembers(ctx, s, room, 2)
		s.Must(host.WaitHears(ctx, tones(toneB), all...))
		gateway.Hangup()
		host.Hangup()
	}}
}

// contactIn reports whether a contact of the host is present.
func contactIn(people []store.Participant, id string) bool {
	for _, p := range people {
		if p.Contact == id && p.Present() {
			return true
		}
	}
	return false
}

// asBrowsersDo checks what the switch describes to a browser.
func asBrowsersDo(s *lab.Stage, sdp string) {
	for _, part := range []string{"RTP/SAVPF ", "a=fingerprint:sha-256 ", "a=ice-ufrag:", "a=candidate:", "a=rtcp-mux", " opus/48000/2"} {
		s.Check(strings.Contains(sdp, part), "the switch's session description has no %q:\n%s", part, sdp)
	}
}

// untouchedOffer checks that the switch has got the browser's session description as it was said, and talks Opus.
func untouchedOffer(ctx context.Context, s *lab.Stage, c *webCall) {
	recs, err := s.Rig.Records(ctx)
	s.Must(err)
	var mine call.Record
	for _, r := range recs {
		if r.Arrival.CallID == c.call {
			mine = r
		}
	}
	get := func(name string) string {
		v, err := s.Rig.API(ctx, fmt.Sprintf("uuid_getvar %s %s", mine.UUID, name))
		s.Must(err)
		return strings.TrimSpace(v)
	}
	lines := func(sdp string) []string { // FreeSWITCH keeps them in its own order, and without what goes without saying
		return slices.Sorted(strings.SplitSeq(strings.TrimSpace(strings.NewReplacer("a=sendrecv\r\n", "", "\r\n", "\n").Replace(sdp)), "\n"))
	}
	s.Check(slices.Equal(lines(get("switch_r_sdp")), lines(c.local)), "the switch has got the session description\n%s\nsaid was\n%s", get("switch_r_sdp"), c.local)
	s.Check(strings.EqualFold(get("rtp_use_codec_name"), "opus"), "the switch's leg is in %s", get("rtp_use_codec_name"))
}

// hostAtABrowser has the host at a phone in a browser, who is called.
func hostAtABrowser(at netip.AddrPort) lab.Story {
	return lab.Story{Name: "rooms-fetch-browser", Line: lab.Line{Phone: lab.PhoneAbsent}, Title: "Anna asks to join, the host is called by his WebSocket, answers in Opus with encryption, presses 1, and the two talk.", Play: func(ctx context.Context, s *lab.Stage) {
		phone := startWebPhone(ctx, s, at, s.User())
		defer phone.close()
		anna := asks(ctx, s, s.Party("anna", toneB), s.From)
		host := phone.takes(ctx, newWebVoice(s))
		defer host.close()
		asBrowsersDo(s, host.remote)
		s.Must(host.WaitSound(ctx))
		host.info(ctx, "1")
		room, _ := roster(ctx, s, "both are in", func(_ store.Room, p []store.Participant) bool { return in(p) == 2 })
		all := append(allTones(), toneWeb)
		s.Must(anna.WaitHears(ctx, tones(toneWeb), all...))
		s.Must(host.WaitHears(ctx, tones(toneB), all...))
		anna.Hangup()
		awaitMembers(ctx, s, room.Name(), 1)
		host.hangUp(ctx)
		s.Steps(s.Record(ctx, 1), "conference answered")
	}}
}
