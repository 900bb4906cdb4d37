package resolve

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

// maxRounds is how often all servers are asked the same question before it counts as unanswered; one that is only asked in the hope
// of more is asked once.
const maxRounds = 3

// client asks the configured servers one question at a time.
type client struct {
	servers []string
	try     time.Duration // for one question to one server
	first   atomic.Uint32 // index of the server that answered last
}

// ask finds the records of one question, following aliases that the servers leave to be asked.
func (c *client) ask(ctx context.Context, q question, rounds int) (reading, error) {
	chain := []string{q.name}
	low := time.Duration(-1)
	for {
		r, err := c.askServers(ctx, q, rounds)
		if err != nil {
			return reading{}, fmt.Errorf("%s: %w", q, err)
		}
		if low >= 0 && (r.found() || r.ttl > 0 || r.alias != "") {
			r.ttl = min(r.ttl, low)
		}
		if r.alias == "" {
			return r, nil
		}
		if slices.Contains(chain, r.alias) || len(chain) > maxAliases {
			return reading{}, fmt.Errorf("%s: %w at %s", q, ErrLoop, r.alias)
		}
		chain, low, q.name = append(chain, r.alias), r.ttl, r.alias
	}
}

// askServers asks one server after the other, beginning with the one that answered last, until one gives a usable
// answer. A server that answers nonsense is not asked again; silent ones are, so many rounds altogether.
func (c *client) askServers(ctx context.Context, q question, rounds int) (reading, error) {
	first := int(c.first.Load())
	useless := make([]bool, len(c.servers))
	var verdict, last error
	for range rounds {
		for i := range c.servers {
			n := (first + i) % len(c.servers)
			if useless[n] {
				continue
			}
			m, err := c.exchange(ctx, c.servers[n], q)
			if ctx.Err() != nil && err != nil {
				return reading{}, fmt.Errorf("%w: %w", ErrServers, context.Cause(ctx))
			}
			if err != nil && !errors.Is(err, ErrTooLarge) {
				last = fmt.Errorf("%w: %s: %w", ErrServers, c.servers[n], err)
				continue
			}
			var r reading
			if err == nil {
				r, err = read(m, q)
			}
			if err == nil {
				c.first.Store(uint32(n))
				return r, nil
			}
			useless[n], verdict = true, fmt.Errorf("%s: %w", c.servers[n], err)
		}
	}
	if verdict != nil {
		return reading{}, verdict
	}
	return reading{}, last
}

// exchange asks one server over UDP, over TCP when the answer is truncated, and once more without EDNS(0) when the
// server does not know that.
func (c *client) exchange(ctx context.Context, server string, q question) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, c.try)
	defer cancel()
	m, err := c.roundTrip(ctx, "udp", server, q, true)
	if err == nil && (m.Rcode == dns.RcodeFormatError || m.Rcode == dns.RcodeNotImplemented) {
		m, err = c.roundTrip(ctx, "udp", server, q, false)
	}
	if err == nil && m.Truncated {
		m, err = c.roundTrip(ctx, "tcp", server, q, true)
		if err == nil && m.Truncated {
			return nil, fmt.Errorf("%w: truncated over TCP", ErrTooLarge)
		}
	}
	return m, err
}

// roundTrip sends one query on a connection of its own and waits for its response. Datagrams that do not belong to
// the query are passed over.
func (c *client) roundTrip(ctx context.Context, network, server string, q question, edns bool) (*dns.Msg, error) {
	query := new(dns.Msg)
	query.SetQuestion(q.name, q.qtype)
	if edns {
		query.SetEdns0(udpBytes, false)
	}
	packed, err := query.Pack()
	if err != nil {
		return nil, err
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, network, server)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if network == "tcp" {
		packed = append(binary.BigEndian.AppendUint16(nil, uint16(len(packed))), packed...)
	}
	if _, err := conn.Write(packed); err != nil {
		return nil, err
	}
	if network == "tcp" {
		raw, err := readFrame(conn)
		if err != nil {
			return nil, err
		}
		m := new(dns.Msg)
		if err := m.Unpack(raw); err != nil {
			return nil, err
		}
		if !answers(m, query.Id, q) {
			return nil, fmt.Errorf("%w: response does not belong to the query", ErrLie)
		}
		return m, nil
	}
	buf := make([]byte, udpBytes+1)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return nil, err
		}
		m := new(dns.Msg)
		// A truncated message may not unpack to its end; its header is enough to go on over TCP.
		err = m.Unpack(buf[:n])
		if n > udpBytes || (err != nil && !m.Truncated) || !answers(m, query.Id, q) {
			continue
		}
		return m, nil
	}
}

// readFrame reads one message off a TCP connection.
func readFrame(r io.Reader) ([]byte, error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint16(head[:]))
	if n > maxAnswerBytes {
		return nil, fmt.Errorf("%w: %d bytes", ErrTooLarge, n)
	}
	raw := make([]byte, n)
	if _, err := io.ReadFull(r, raw); err != nil {
		return nil, err
	}
	return raw, nil
}
