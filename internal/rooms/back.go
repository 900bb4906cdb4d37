package rooms

import (
	"context"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/tel"
)

const (
	// backWithin is how soon who left is back, and the same participant.
	backWithin = 60 * time.Second
	// maxSame is of how many who share a number it is asked whether they have lost their legs, and silentTime how long that may take.
	maxSame    = 8
	silentTime = 1500 * time.Millisecond
)

// isOf reports whether a participant may be who shows a number now. Of a number that is withheld, or was shared when he came, nobody can
// say so; and nobody who came by a number that is believed is somebody whose number is doubted, or the reverse.
func isOf(p store.Participant, number tel.Number, g Guest) bool {
	return number != "" && p.Number == number && p.Host == g.IsHost && p.Verified == g.Verified && !p.Shared
}

// returning finds who comes back: the participant with the same number who left last, not long ago.
func returning(people []store.Participant, number tel.Number, g Guest, now time.Time) (store.Participant, bool) {
	var found store.Participant
	for _, p := range people {
		if isOf(p, number, g) && !p.Joined.IsZero() && !p.Left.IsZero() && now.Sub(p.Left) <= backWithin && p.Left.After(found.Left) {
			found = p
		}
	}
	if found.ID == "" {
		return store.Participant{}, false
	}
	found.Returns++
	return found, true
}

// dropped finds who calls again while FreeSWITCH still holds the leg that he has lost: his number is in the room by a leg from which
// nothing comes any more. That leg is not ended: it may be that of somebody behind the same private exchange, who holds the call.
func (m *Manager) dropped(ctx context.Context, kept store.Room, people []store.Participant, number tel.Number, g Guest) (store.Participant, bool) {
	n := m.nodes[kept.Node]
	if n == nil || !n.sw.Up() || number == "" {
		return store.Participant{}, false
	}
	same := slices.DeleteFunc(slices.Clone(people), func(p store.Participant) bool { return !p.Present() || !isOf(p, number, g) })
	same = same[max(len(same)-maxSame, 0):]
	ctx, cancel := context.WithTimeout(ctx, silentTime)
	defer cancel()
	silent := make([]bool, len(same))
	var all sync.WaitGroup
	for i, p := range same { // at once: the caller waits
		all.Go(func() { silent[i] = m.silent(ctx, n, p.UUID) })
	}
	all.Wait()
	i := slices.Index(silent, true)
	if i < 0 {
		return store.Participant{}, false
	}
	p := same[i]
	p.Returns++
	return p, true
}

// silent reports whether nothing comes from a leg's telephone; where nobody knows, it counts as alive.
func (m *Manager) silent(ctx context.Context, n *node, leg string) bool {
	silent, err := n.sw.Silent(ctx, leg)
	if err != nil {
		m.log.Info("nobody knows whether a leg in a conference is still alive: let the Event Socket user run the API command uuid_set_media_stats", zap.String("node", n.sw.Name()), zap.Error(err))
	}
	return err == nil && silent
}
