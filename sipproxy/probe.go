package sipproxy

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

// ErrNoAnswer means that a probed hop gave no SIP response in time.
var ErrNoAnswer = errors.New("sipproxy: no SIP answer")

// Probe asks a hop with OPTIONS whether it is there. Any SIP response, whatever its code, is nil: a FreeSWITCH that says 403
// works. Over UDP, also when Transport is empty, the request is repeated after 0.5, 1.5, 3.5 s, until ctx ends. A FreeSWITCH
// that takes requests from the proxy's address only must be probed from that host.
func Probe(ctx context.Context, hop Hop) error {
	network := hop.Transport
	if network == "" {
		network = "udp"
	}
	if network != "udp" && network != "tcp" {
		return fmt.Errorf("%w: probe: transport %q: write udp, tcp or nothing", ErrOptions, network)
	}
	if !hop.Addr.IsValid() || hop.Addr.Port() == 0 {
		return fmt.Errorf("%w: probe: address %s", ErrOptions, hop.Addr)
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, 4*time.Second)
		defer cancel()
	}
	var d net.Dialer
	nc, err := d.DialContext(ctx, network, hop.Addr.String())
	if err != nil {
		return fmt.Errorf("probe %s: %w", hop.Addr, err)
	}
	defer nc.Close()
	stop := context.AfterFunc(ctx, func() { _ = nc.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	var id [8]byte
	_, _ = rand.Read(id[:])
	token := hex.EncodeToString(id[:])
	raw := probeRequest(network, nc.LocalAddr().String(), hop, token).bytes()
	if _, err := nc.Write(raw); err != nil {
		return fmt.Errorf("probe %s: %w", hop.Addr, err)
	}
	buf := make([]byte, 65536)
	got := 0
	for wait := 500 * time.Millisecond; ; {
		if network == "udp" {
			got = 0
			_ = nc.SetReadDeadline(time.Now().Add(wait))
			if ctx.Err() != nil {
				return fmt.Errorf("probe %s: %w: %w", hop.Addr, ErrNoAnswer, ctx.Err())
			}
		}
		n, err := nc.Read(buf[got:])
		got += n
		if text := buf[:got]; bytes.HasPrefix(text, []byte("SIP/2.0 ")) && bytes.Contains(text, []byte(token)) {
			return nil
		}
		var ne net.Error
		switch {
		case ctx.Err() != nil:
			return fmt.Errorf("probe %s: %w: %w", hop.Addr, ErrNoAnswer, ctx.Err())
		case network == "udp" && errors.As(err, &ne) && ne.Timeout():
			wait *= 2
			if _, err := nc.Write(raw); err != nil {
				return fmt.Errorf("probe %s: %w", hop.Addr, err)
			}
		case err != nil:
			return fmt.Errorf("probe %s: %w: %w", hop.Addr, ErrNoAnswer, err)
		case got == len(buf):
			return fmt.Errorf("probe %s: %w: not SIP", hop.Addr, ErrNoAnswer)
		}
	}
}

func probeRequest(network, local string, hop Hop, token string) *message {
	m := &message{method: "OPTIONS", uri: "sip:" + hop.Addr.String()}
	if network == "tcp" {
		m.uri += ";transport=tcp"
	}
	m.add("Via", "SIP/2.0/"+strings.ToUpper(network)+" "+local+";rport;branch=z9hG4bKpr"+token)
	m.add("Max-Forwards", "70")
	m.add("From", "<sip:probe@"+local+">;tag="+token)
	m.add("To", "<"+m.uri+">")
	m.add("Call-ID", token+"@probe")
	m.add("CSeq", "1 OPTIONS")
	m.add("Contact", "<sip:probe@"+local+">")
	return m
}
