package resolve

import "time"

// Arrange is arrange for tests that need no DNS.
func (h *Health) Arrange(targets []Target, now time.Time) { h.arrange(targets, now) }
