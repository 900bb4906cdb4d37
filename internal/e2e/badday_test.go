package e2e

import (
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/lab"
)

// TestSimStoriesOnABadDay tells the lab's stories on a switch that answers late, in crumbs, with neighbouring events of
// different channels swapped and a channel list that lags.
func TestSimStoriesOnABadDay(t *testing.T) {
	begins(t, true)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	perform(t, labStories(), lab.RigOptions{Mischief: seed})
}
