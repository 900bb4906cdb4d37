package resolve

import (
	"cmp"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// maxFailed bounds how many failed targets are remembered. Beyond it the one that failed longest ago is forgotten.
const maxFailed = 1024

// health remembers which targets failed lately.
type health struct {
	backOff time.Duration

	mu     sync.Mutex
	failed map[netip.AddrPort]time.Time // when it failed last
}

func newHealth(backOff time.Duration) *health {
	return &health{backOff: backOff, failed: map[netip.AddrPort]time.Time{}}
}

func (h *health) fail(addr netip.AddrPort, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if at, known := h.failed[addr]; known && now.Before(at) {
		return
	}
	h.failed[addr] = now
	if len(h.failed) <= maxFailed {
		return
	}
	oldest := addr
	for a, at := range h.failed {
		if !now.Before(at.Add(h.backOff)) {
			delete(h.failed, a)
		} else if at.Before(h.failed[oldest]) {
			oldest = a
		}
	}
	if len(h.failed) > maxFailed {
		delete(h.failed, oldest)
	}
}

func (h *health) work(addr netip.AddrPort) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.failed, addr)
}

// down counts the targets that failed less than the back-off time ago.
func (h *health) down(now time.Time) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := 0
	for _, at := range h.failed {
		if now.Before(at.Add(h.backOff)) {
			n++
		}
	}
	return n
}

// arrange puts the targets that failed less than the back-off time ago last, the one that failed longest ago first
// among them. Everything else keeps its order.
func (h *health) arrange(targets []Target, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	since := func(t Target) time.Time {
		at, known := h.failed[t.Addr]
		if !known || !now.Before(at.Add(h.backOff)) {
			return time.Time{}
		}
		return at
	}
	slices.SortStableFunc(targets, func(a, b Target) int {
		x, y := since(a), since(b)
		return cmp.Or(boolCompare(!x.IsZero(), !y.IsZero()), x.Compare(y))
	})
}

func boolCompare(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}
