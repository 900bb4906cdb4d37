package export

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime/debug"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/store"
)

const (
	// queueSize bounds the records that wait for file and spool. The ledger hands over one after the other, so more than one waits
	// only while the disk is silent.
	queueSize = 1024
	// takeTime is how long Take waits for file and spool.
	takeTime = time.Second
	// recentSize bounds the ids that are remembered, so that a close that the store takes at its second try is exported once.
	recentSize = 10000
	syncEvery  = time.Second
	// lastPosts is how long Run goes on posting after its context has ended.
	lastPosts = 5 * time.Second
)

// Options of an Exporter. What is empty is not done.
type Options struct {
	JSONL    string // file that gets every record as a line
	HTTP     HTTPOptions
	SpoolDir string // where records wait to be posted; needed with HTTP.URL
	SpoolMax int64  // bytes that may wait
	Logger   *zap.Logger
	// Posted is told how long each request took and how it ended: "delivered", "refused" or "failed". nil = nobody is told.
	Posted func(result string, took time.Duration)
}

// Exporter gives finished call records to others.
type Exporter struct {
	options Options
	log     *zap.Logger
	file    *lines // nil = none; owned by the writer
	spool   *spool // nil = nothing is posted
	dead    *deadLetters
	poster  atomic.Pointer[poster]

	queue  chan job
	reopen chan struct{} // holds a token when the file is to be opened anew
	recent *recentIDs    // owned by the writer

	fileDown, spoolFull bool // owned by the writer: what was said about it
	counts              counts

	backoffMin, lastPosts, takeTime time.Duration // the constants, but in tests
}

type job struct {
	rec  call.Record
	done chan struct{}
}

// New opens what the options name. An Exporter without anything to do is nil, and so are its methods' effects.
func New(o Options) (*Exporter, error) {
	if o.JSONL == "" && o.HTTP.URL == "" {
		return nil, nil
	}
	x := &Exporter{options: o, log: o.Logger, queue: make(chan job, queueSize), reopen: make(chan struct{}, 1), recent: newRecentIDs(recentSize), backoffMin: backoffMin, lastPosts: lastPosts, takeTime: takeTime}
	if x.log == nil {
		x.log = zap.NewNop()
	}
	if o.HTTP.URL != "" {
		p, err := newPoster(o.HTTP)
		if err != nil {
			return nil, fmt.Errorf("records.http: %w", err)
		}
		x.poster.Store(p)
		if x.spool, err = openSpool(o.SpoolDir, o.SpoolMax); err != nil {
			return nil, fmt.Errorf("records.spool_dir: %w", err)
		}
		x.dead = &deadLetters{path: filepath.Join(o.SpoolDir, "dead-letter.jsonl"), max: o.SpoolMax}
		if n, _ := x.spool.usage(); n > 0 {
			x.log.Info("call records of an earlier run wait in the spool, they are posted first", zap.Int64("records", n))
		}
	}
	if o.JSONL != "" {
		var err error
		if x.file, err = openLines(o.JSONL); err != nil {
			x.shut()
			return nil, fmt.Errorf("records.jsonl: %w", err)
		}
	}
	return x, nil
}

// Close frees what New opened, of an Exporter that never ran.
func (x *Exporter) Close() error {
	if x != nil {
		x.shut()
	}
	return nil
}

func (x *Exporter) shut() {
	if x.file != nil {
		x.file.close()
	}
	if x.spool != nil {
		x.spool.close()
	}
}

// Prepare checks where and how records are to be posted from now on. The function it returns puts that into force, and has the file of
// JSON lines opened anew, so that one that was moved away is let go; it never blocks. Whether anything is posted at all is decided
// at the start.
func (x *Exporter) Prepare(o HTTPOptions) (apply func(), err error) {
	if x == nil {
		return func() {}, nil
	}
	p := x.poster.Load()
	if x.spool != nil && o.URL != "" {
		if p, err = newPoster(o); err != nil {
			return nil, fmt.Errorf("records.http: %w", err)
		}
	}
	return func() {
		x.poster.Store(p)
		select {
		case x.reopen <- struct{}{}:
		default: // it is about to be opened anew
		}
	}, nil
}

// Take exports a finished record. It waits until file and spool have it, for a second at most; then, and behind another one that
// waits, it is written as soon as the disk answers.
func (x *Exporter) Take(ctx context.Context, rec call.Record) {
	if x == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, x.takeTime)
	defer cancel()
	j := job{rec, make(chan struct{})}
	select {
	case x.queue <- j:
	default:
		x.counts.dropped.Add(1)
		x.log.Error("call record not exported: too many wait for a disk that is silent", zap.String("record", rec.ID))
		return
	}
	if len(x.queue) > 1 {
		return // the disk is silent, and the store shall not wait for it again and again
	}
	select {
	case <-j.done:
	case <-ctx.Done():
	}
}

// Run writes and posts until ctx ends; then it writes what waits and goes on posting for a moment. What is not posted then waits
// in the spool for the next start. The caller has seen to it that Take is not called any more. A disk that is silent is not waited
// for: that is the error.
func (x *Exporter) Run(ctx context.Context) error {
	if x == nil {
		return nil
	}
	var both errgroup.Group
	written := make(chan struct{})
	both.Go(func() error {
		defer close(written)
		x.write(ctx)
		return nil
	})
	if x.spool != nil {
		both.Go(func() error {
			x.send(ctx, written)
			return nil
		})
	}
	ended := make(chan error, 1)
	go func() { ended <- both.Wait() }()
	var err error
	select {
	case err = <-ended:
	case <-afterEnd(ctx, x.lastPosts+x.takeTime):
		return fmt.Errorf("the disk is silent: %d call records are not exported", len(x.queue)+1)
	}
	if x.spool != nil {
		if n, size := x.spool.usage(); n > 0 {
			x.log.Warn("call records wait in the spool for the next start", zap.Int64("records", n), zap.Int64("bytes", size), zap.String("dir", x.options.SpoolDir))
		}
	}
	x.shut()
	return err
}

// afterEnd is closed so long after ctx has ended.
func afterEnd(ctx context.Context, d time.Duration) <-chan struct{} {
	over := make(chan struct{})
	context.AfterFunc(ctx, func() { time.AfterFunc(d, func() { close(over) }) })
	return over
}

// write is the loop that owns the file and the writing side of the spool.
func (x *Exporter) write(ctx context.Context) {
	ticker := time.NewTicker(syncEvery)
	defer ticker.Stop()
	for {
		select {
		case j := <-x.queue:
			x.keep(j)
		case <-x.reopen:
			x.openAnew()
		case <-ticker.C:
			if x.spool != nil {
				x.spool.sync()
			}
		case <-ctx.Done():
			for {
				select {
				case j := <-x.queue:
					x.keep(j)
				default:
					return
				}
			}
		}
	}
}

// openAnew lets go of a file that was moved away.
func (x *Exporter) openAnew() {
	if x.file == nil {
		return
	}
	if err := x.file.reopen(); err != nil {
		x.log.Error("the file of JSON lines cannot be opened anew, the old one is still written to", zap.Error(err))
		return
	}
	x.log.Info("the file of JSON lines was opened anew", zap.String("file", x.file.path))
}

// keep writes one record to file and spool. A panic costs this record.
func (x *Exporter) keep(j job) {
	defer close(j.done)
	defer func() {
		if p := recover(); p != nil {
			x.counts.dropped.Add(1)
			x.log.Error("panic while exporting a call record", zap.String("record", j.rec.ID), zap.Any("panic", p), zap.ByteString("stack", debug.Stack()))
		}
	}()
	if !x.recent.add(j.rec.ID) {
		return // the store takes it at the second try
	}
	line, err := Line(j.rec)
	if err != nil {
		x.counts.dropped.Add(1)
		x.log.Error("call record not exported", zap.Error(err))
		return
	}
	if x.file != nil {
		x.keepInFile(j.rec.ID, line)
	}
	if x.spool != nil {
		x.keepInSpool(j.rec.ID, line)
	}
}

func (x *Exporter) keepInFile(id string, line []byte) {
	err := x.file.append(line)
	if err == nil {
		x.counts.written.Add(1)
	} else {
		x.counts.unwritten.Add(1)
	}
	if down := err != nil; down != x.fileDown {
		x.fileDown = down
		if down {
			x.log.Error("call records are missing in the file of JSON lines from here on; they are in the store", zap.String("record", id), zap.Error(err))
		} else {
			x.log.Info("call records are written to the file of JSON lines again", zap.String("record", id))
		}
	}
}

func (x *Exporter) keepInSpool(id string, line []byte) {
	err := x.spool.append(line)
	if err != nil {
		x.counts.dropped.Add(1)
	} else {
		x.counts.spooled.Add(1)
	}
	if full := err != nil; full != x.spoolFull {
		x.spoolFull = full
		if full {
			x.log.Error("call records are not posted from here on, the spool takes no more; they are in the store", zap.String("record", id),
				zap.Int64("spool_max_bytes", x.options.SpoolMax), zap.Error(err))
		} else {
			x.log.Info("the spool takes call records again", zap.String("record", id))
		}
	}
}

// recentIDs remembers the newest ids.
type recentIDs struct {
	known map[string]bool
	ring  []string
	next  int
}

func newRecentIDs(n int) *recentIDs {
	return &recentIDs{known: make(map[string]bool, n), ring: make([]string, n)}
}

// add reports whether an id is new.
func (r *recentIDs) add(id string) bool {
	if r.known[id] {
		return false
	}
	delete(r.known, r.ring[r.next])
	r.ring[r.next], r.known[id] = id, true
	r.next = (r.next + 1) % len(r.ring)
	return true
}

type behind = store.Records // embedded under a name that is none of its methods

// Records stands in front of a store and exports what it closes.
type Records struct {
	behind
	exporter *Exporter
}

// NewRecords puts an Exporter, which may be nil, in front of a store.
func NewRecords(s store.Records, x *Exporter) store.Records {
	if x == nil {
		return s
	}
	return &Records{s, x}
}

// Close implements store.Records: first the export, then the store, so that a death between the two loses neither.
func (r *Records) Close(ctx context.Context, rec call.Record) error {
	ended := rec
	if ended.Ended.IsZero() {
		ended.Ended = ended.Updated
	}
	r.exporter.Take(ctx, ended)
	return r.behind.Close(ctx, rec)
}
