package fssim

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// A key by SIP INFO of a caller who is connected goes on to the other leg as RFC 4733: seen between two FreeSWITCHes, in a conference of
// the second.
func TestAKeyByInfoGoesOnToTheOtherLeg(t *testing.T) {
	side := newSidecar(t)
	s := startSwitch(t, shipped(t, side.addr()))
	p, b := newPhone(t), newPhone(t)
	inv := p.call(s.ExternalAddr(), "14155550100")
	p.expect("100")
	c, _ := side.serve()
	c.execute("set", "rtp_liberal_dtmf=true")
	c.execute("answer", "")
	ok := p.expect("200")
	p.ack(inv, ok, s.ExternalAddr())
	voice, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		t.Fatal(err)
	}
	defer voice.Close()
	c.start("bridge", "sofia/external/sip:x@"+b.addr.String())
	there := b.expect("INVITE")
	port := itoa(voice.LocalAddr().(*net.UDPAddr).Port)
	b.reply(there, 200, strings.Replace(testSDP, "m=audio 6000", "m=audio "+port, 1))
	b.expect("ACK")
	info := &sipMessage{method: "INFO", uri: contactOf(ok)}
	info.add("Via", "SIP/2.0/UDP "+p.addr.String()+";branch=z9hG4bK-"+newTag())
	p.inDialog(info, inv, ok, "2 INFO")
	info.add("Content-Type", "application/dtmf-relay")
	info.body = []byte("Signal=*\r\nDuration=160\r\n")
	p.send(info, s.ExternalAddr())
	p.expect("200")
	keys, buf := keypad{payload: 101}, make([]byte, 1500)
	if err := voice.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	for {
		n, _, err := voice.ReadFrom(buf)
		if err != nil {
			t.Fatalf("no key comes to the other leg: %v", err)
		}
		if d, pressed := keys.press(buf[:n]); pressed {
			if d.key != '*' || d.samples != 1280 {
				t.Errorf("the key is %c of %d samples", d.key, d.samples)
			}
			break
		}
	}
	p.bye(inv, ok, s.ExternalAddr())
}
