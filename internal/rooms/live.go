package rooms

import (
	"context"

	"github.com/signalbox/signalbox/internal/store"
)

// Watch tells of changes of one room. It misses some, never the last one.
type Watch struct {
	Changed <-chan struct{}

	room    string
	changed chan struct{}
}

// Watch begins to tell of a room's changes; Unwatch ends it. What another sidecar sees alone is not told: look at Roster every now and
// then too.
func (m *Manager) Watch(room string) *Watch {
	w := &Watch{room: room, changed: make(chan struct{}, 1)}
	w.Changed = w.changed
	m.mu.Lock()
	defer m.mu.Unlock()
	m.live[w] = struct{}{}
	return w
}

// Unwatch ends a Watch.
func (m *Manager) Unwatch(w *Watch) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.live, w)
}

// changed tells those who watch a room.
func (m *Manager) changed(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for w := range m.live {
		if w.room == id {
			select {
			case w.changed <- struct{}{}:
			default:
			}
		}
	}
}

// Roster is a room with everybody who was in it or is on the way, as it is now.
func (m *Manager) Roster(ctx context.Context, id string) (store.Room, []store.Participant, error) {
	kept, err := m.opt.Store.Room(ctx, id)
	if err != nil {
		return store.Room{}, nil, err
	}
	people, err := m.people(ctx, kept)
	return kept, people, err
}
