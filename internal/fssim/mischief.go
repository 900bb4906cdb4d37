package fssim

import (
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"time"
)

// Mischief makes the switch nastier than FreeSWITCH on most days, within what FreeSWITCH does on its worst: events of
// different channels change places (never those of one channel on one connection), numbers of events do not rise, show
// channels lags and lists ghosts, replies come late, TCP hands bytes over in crumbs, and the link is cut in the middle of a
// message. The zero value is none of it.
type Mischief struct {
	Seed     uint64        // of every choice
	Swap     float64       // how likely an event changes places with the next one, of another channel, 0 to 1
	Lag      time.Duration // how much later show channels learns of a channel's beginning and end
	Late     time.Duration // how late a reply, or a batch of events, is at most
	Crumbs   int           // at most so many bytes in one piece; 0 = as they come
	CutAfter int           // bytes after which an inbound connection is cut; 0 = never
	CutCalls int           // bytes after which the connection of a call is cut; 0 = never
}

// BadDay is everything a switch can do without anybody having to notice: all but the cuts, after which a link comes back and
// a call falls to its fallback.
func BadDay(seed uint64) Mischief {
	return Mischief{Seed: seed, Swap: 0.5, Lag: 250 * time.Millisecond, Late: 15 * time.Millisecond, Crumbs: 700}
}

// dice are the random choices of one connection. Owned by its goroutine.
type dice struct{ *rand.Rand }

func (m Mischief) dice(n uint64) dice { return dice{rand.New(rand.NewPCG(m.Seed, n))} }

// late waits as long as a late answer would.
func (l *listener) late() {
	if limit := l.s.opt.Mischief.Late; limit > 0 && l.dice.IntN(2) == 0 {
		t := time.NewTimer(time.Duration(l.dice.Int64N(int64(limit))))
		defer t.Stop()
		select {
		case <-t.C:
		case <-l.s.done:
		}
	}
}

// gather holds the events back for a moment, so that there are neighbours to change places.
func (l *listener) gather() {
	l.mu.Lock()
	waiting := len(l.queue)
	l.mu.Unlock()
	if waiting > 0 && l.s.opt.Mischief.Swap > 0 {
		l.late()
	}
}

// shuffle lets neighbouring events of different channels change places.
func (l *listener) shuffle(q []*event) {
	chance := l.s.opt.Mischief.Swap
	if chance <= 0 {
		return
	}
	for i := 0; i+1 < len(q); i++ {
		a, b := q[i].get("Unique-ID"), q[i+1].get("Unique-ID")
		if a != "" && b != "" && a != b && q[i].name != "CUSTOM" && q[i+1].name != "CUSTOM" && l.dice.Float64() < chance {
			q[i], q[i+1] = q[i+1], q[i]
			i++ // an event moves by one place
		}
	}
}

// crumble writes in small pieces, and cuts the connection after the byte that Mischief names. It reports false when the
// connection is cut.
func (l *listener) crumble(b []byte) bool {
	m := l.s.opt.Mischief
	limit := m.CutAfter
	if l.outbound {
		limit = m.CutCalls
	}
	for len(b) > 0 {
		n := len(b)
		if m.Crumbs > 0 {
			n = min(n, 1+l.dice.IntN(m.Crumbs))
		}
		if limit > 0 {
			n = min(n, limit-l.written)
		}
		if n > 0 {
			if _, err := l.conn.Write(b[:n]); err != nil {
				return false
			}
		}
		l.written += n
		b = b[n:]
		if limit > 0 && l.written >= limit {
			if tcp, ok := l.conn.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0) // a reset, not a goodbye
			}
			_ = l.conn.Close()
			return false
		}
	}
	return true
}

// ledger is what show channels knows, which lags behind what is.
type ledger struct {
	mu     sync.Mutex
	ghosts []ghost
}

// ghost is a channel that is gone, and listed until then.
type ghost struct {
	row   channelRow
	until time.Time
}

// maxGhosts bounds the list.
const maxGhosts = 1000

// bury lets a channel haunt show channels.
func (s *Switch) bury(c *channel) {
	lag := s.opt.Mischief.Lag
	if lag <= 0 {
		return
	}
	row := c.row()
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	if len(s.ledger.ghosts) < maxGhosts {
		s.ledger.ghosts = append(s.ledger.ghosts, ghost{row, time.Now().Add(lag)})
	}
}

// channelRows are the rows of show channels.
func (s *Switch) channelRows() []any {
	lag := s.opt.Mischief.Lag
	now := time.Now()
	var rows []any
	for _, c := range s.sessions() {
		row := c.row()
		if !c.down() && now.Sub(c.begun) >= lag {
			rows = append(rows, row)
		}
	}
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	kept := s.ledger.ghosts[:0]
	for _, g := range s.ledger.ghosts {
		if g.until.After(now) {
			kept = append(kept, g)
			rows = append(rows, g.row)
		}
	}
	s.ledger.ghosts = kept
	return rows
}

// quiet reports whether the mischief is none, for what costs something to prepare.
func (m Mischief) quiet() bool { return m.Crumbs == 0 && m.CutAfter == 0 && m.CutCalls == 0 }

// describe says what is on, for the log.
func (m Mischief) describe() string {
	var on []string
	for _, x := range []struct {
		is   bool
		name string
	}{{m.Swap > 0, "swapped neighbours"}, {m.Lag > 0, "lagging show channels"}, {m.Late > 0, "late replies"}, {m.Crumbs > 0, "crumbs"},
		{m.CutAfter > 0, "cut links"}, {m.CutCalls > 0, "cut calls"}} {
		if x.is {
			on = append(on, x.name)
		}
	}
	return strings.Join(on, ", ")
}
