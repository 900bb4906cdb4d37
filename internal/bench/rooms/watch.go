package rooms

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/signalbox/signalbox/esl"
	"github.com/signalbox/signalbox/esl/wire"
	"github.com/signalbox/signalbox/internal/lab"
)

// watch follows who is in a room, and when which key was pressed, on a connection of its own.
type watch struct {
	conn *esl.Conn
	wg   sync.WaitGroup

	mu    sync.Mutex
	keys  map[string]int64  // by UUID: when the key was pressed, in microseconds of the switch's clock
	in    map[string]string // numbers by UUID
	joins []time.Duration
	storm []time.Duration // of those who came in the storm
	files int             // that were played to rooms
	burst string          // begins the numbers of those who come in the storm
}

// openWatch begins. burst begins the numbers of those who come in the storm.
func openWatch(ctx context.Context, at lab.SwitchAt, burst string) (*watch, error) {
	conn, err := esl.Dial(ctx, esl.DialOptions{Addr: at.EventSocket, Password: esl.Secret(at.Password), Timeout: 5 * time.Second})
	if err != nil {
		return nil, fmt.Errorf("watching the rooms: %w", err)
	}
	if err := conn.Subscribe(ctx, "DTMF", "conference::maintenance"); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("watching the rooms: %w", err)
	}
	w := &watch{conn: conn, keys: map[string]int64{}, in: map[string]string{}, burst: burst}
	w.wg.Go(w.read)
	return w, nil
}

func (w *watch) close() {
	_ = w.conn.Close()
	w.wg.Wait()
}

func (w *watch) read() {
	for {
		select {
		case e, ok := <-w.conn.Events():
			if !ok {
				return
			}
			w.take(e)
		case <-w.conn.Done():
			return
		}
	}
}

func (w *watch) take(e *wire.Event) {
	at, _ := strconv.ParseInt(e.Get("Event-Date-Timestamp"), 10, 64)
	w.mu.Lock()
	defer w.mu.Unlock()
	if e.Name() == "DTMF" {
		w.keys[e.UUID()] = at
		return
	}
	switch e.Get("Action") {
	case "add-member":
		w.in[e.UUID()] = e.Get("Caller-Caller-ID-Number")
		pressed, ok := w.keys[e.UUID()]
		if !ok {
			break
		}
		took := time.Duration(at-pressed) * time.Microsecond
		if strings.HasPrefix(e.Get("Caller-Caller-ID-Number"), w.burst) {
			w.storm = append(w.storm, took)
		} else {
			w.joins = append(w.joins, took)
		}
	case "del-member":
		delete(w.in, e.UUID())
	case "play-file":
		w.files++
	}
}

func (w *watch) members() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.in)
}

// missing are those of the callers in rows who are in no room.
func (w *watch) missing(rows []string) (out []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	in := map[string]bool{}
	for _, number := range w.in {
		in[number] = true
	}
	for _, row := range rows {
		if f := strings.Split(row, ";"); !in[f[1]] {
			out = append(out, f[1]+" to "+f[0])
		}
	}
	return out
}

// latencies are the times from key to member, sorted: of all but the storm, and of the storm.
func (w *watch) latencies() (joins, storm []time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	joins, storm = slices.Clone(w.joins), slices.Clone(w.storm)
	slices.Sort(joins)
	slices.Sort(storm)
	return joins, storm
}

// played is how many files were played to rooms.
func (w *watch) played() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.files
}
