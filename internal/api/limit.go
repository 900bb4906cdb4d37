package api

import (
	"net/netip"
	"sync"
	"time"
)

// limiter gives each key a rate of requests with a burst. It knows at most maxKeys keys; beyond, those that have not asked for longest
// are forgotten, which are back at their whole burst anyway unless there are more keys than that at once.
type limiter struct {
	rate  float64 // a second
	burst float64

	mu   sync.Mutex
	keys map[string]*bucket
}

type bucket struct {
	left float64
	at   time.Time
}

const maxKeys = 10_000

func newLimiter(rate, burst float64) *limiter {
	return &limiter{rate: rate, burst: burst, keys: map[string]*bucket{}}
}

// take takes one request of a key, and says how long to wait when there is none; 0 = it may go on.
func (l *limiter) take(key string, now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.keys[key]
	if b == nil {
		if len(l.keys) >= maxKeys {
			l.forget(now)
		}
		b = &bucket{left: l.burst, at: now}
		l.keys[key] = b
	}
	if d := now.Sub(b.at); d > 0 {
		b.left, b.at = min(l.burst, b.left+d.Seconds()*l.rate), now
	}
	if b.left < 1 {
		return time.Duration((1 - b.left) / l.rate * float64(time.Second))
	}
	b.left--
	return 0
}

// forget drops the keys whose burst is whole again, or all when there are none. mu is held.
func (l *limiter) forget(now time.Time) {
	for key, b := range l.keys {
		if b.left+now.Sub(b.at).Seconds()*l.rate >= l.burst {
			delete(l.keys, key)
		}
	}
	if len(l.keys) >= maxKeys {
		clear(l.keys)
	}
}

// addressKey is what an address is counted as: itself, or the network of an IPv6 address, of which everybody has a whole one.
func addressKey(remote string) string {
	from, err := netip.ParseAddrPort(remote)
	if err != nil {
		return remote
	}
	addr := from.Addr().Unmap()
	if addr.Is6() {
		if p, err := addr.Prefix(64); err == nil {
			return p.String()
		}
	}
	return addr.String()
}
