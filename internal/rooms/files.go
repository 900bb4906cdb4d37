package rooms

import (
	"context"
	"path"
	"time"

	"go.uber.org/zap"

	"github.com/signalbox/signalbox/internal/store"
)

const (
	// keepSpoken is how long a spoken name stays on a switch's disk; who is named after it is spoken anew.
	keepSpoken = 30 * 24 * time.Hour
	// filesAtOnce are removed in one turn, and a file that stays is tried again after a time that doubles up to longestRetry.
	filesAtOnce   = 50
	firstRetry    = time.Minute
	longestRetry  = 6 * time.Hour
	fileTurn      = 2 * time.Minute
	toldEveryTime = 5 // tries of one file that are each told in the log; later ones are told in the store alone
)

// removeFiles removes from a node's disk what the store says is to be removed, behind the back of who follows the node.
func (m *Manager) removeFiles(n *node) {
	files := m.opt.Files
	if files == nil || !n.removing.CompareAndSwap(false, true) {
		return
	}
	if !m.spawn(func(ctx context.Context) {
		defer n.removing.Store(false)
		ctx, cancel := context.WithTimeout(ctx, fileTurn)
		defer cancel()
		m.removeUnwanted(ctx, n, files)
	}) {
		n.removing.Store(false)
	}
}

func (m *Manager) removeUnwanted(ctx context.Context, n *node, files store.VoiceFiles) {
	now := time.Now()
	old := now.Add(-keepSpoken)
	list, err := files.UnwantedVoiceFiles(ctx, n.sw.Name(), now, old, filesAtOnce)
	if err != nil {
		return // the next turn asks again
	}
	for _, f := range list {
		at, err := f.File, error(nil)
		if f.Kind == store.RecordedName {
			at, err = n.sw.File(ctx, path.Join(Clips, f.File))
		}
		if err == nil {
			err = n.sw.Remove(ctx, at)
		}
		if err == nil {
			err = files.VoiceFileGone(ctx, f.Node, f.File, old)
		}
		if err == nil {
			continue
		}
		if ctx.Err() != nil || !n.sw.Up() {
			return
		}
		next := min(longestRetry, firstRetry<<min(f.Tries, 10))
		if f.Tries < toldEveryTime {
			m.log.Warn("a file with a person's voice or name is still on freeswitch's disk; it is tried again (signalbox contacts leftovers lists such files)",
				zap.String("node", f.Node), zap.String("file", at), zap.Int("tries", f.Tries+1), zap.Duration("again_in", next), zap.Error(err))
		}
		if err := files.VoiceFileStays(ctx, f.Node, f.File, err.Error(), now.Add(next)); err != nil {
			return
		}
	}
}
