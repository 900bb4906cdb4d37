package delivery

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/fsw"
	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/tel"
	"github.com/signalbox/signalbox/internal/treat/mailbox"
	"github.com/signalbox/signalbox/internal/treat/recorder"
)

const alice = tel.Number("+14155550100")

// shelf is a store.Spool in memory.
type shelf struct {
	mu     sync.Mutex
	m      map[string]store.Spooled
	down   bool
	broken int // looks that panic
	notes  []string
}

func (s *shelf) Spool(_ context.Context, m store.Spooled) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return store.ErrUnavailable
	}
	s.m[m.ID] = m
	return nil
}

func (s *shelf) DueSpooled(_ context.Context, _, _ string, _ int, now, _ time.Time) (out []store.Spooled, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken--; s.broken >= 0 {
		panic("a bug of the store")
	}
	for _, m := range s.m {
		if !m.Next.After(now) {
			out = append(out, m)
		}
	}
	return out, nil
}

func (s *shelf) PutOff(ctx context.Context, m store.Spooled) error {
	s.notes = append(s.notes, m.Note)
	return s.Spool(ctx, m)
}

func (s *shelf) Unspool(_ context.Context, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.m, id)
	return nil
}

func (s *shelf) CountSpooled(context.Context, string) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.m), nil
}

func (s *shelf) Spooled(context.Context, string, int) ([]store.Spooled, error) { return nil, nil }

// node is a switch whose calls end as told, one after the other; then they are answered.
type node struct {
	mu   sync.Mutex
	ends []call.Result
	made []fsw.Delivery
}

const broke = call.Result("broke") // an end of a call: we panic

func (n *node) Name() string { return "fs1" }
func (n *node) Up() bool     { return true }
func (n *node) Deliver(_ context.Context, d fsw.Delivery) (call.Attempt, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.made = append(n.made, d)
	result := call.Answered
	if len(n.ends) > 0 {
		result, n.ends = n.ends[0], n.ends[1:]
	}
	if result == broke {
		panic("a bug")
	}
	return call.Attempt{Started: time.Now(), Ended: time.Now(), Result: result}, nil
}

type dns struct{}

func (dns) Lookup(context.Context, string, string) ([]mailbox.Target, error) {
	return []mailbox.Target{{Addr: netip.MustParseAddrPort("192.0.2.1:5060"), Transport: "udp"}}, nil
}
func (dns) Failed(mailbox.Target) {}
func (dns) Worked(mailbox.Target) {}

type bench struct {
	*Keeper
	shelf   *shelf
	node    *node
	dir     string
	records []call.Record
	ended   []string
	profile error
	owner   account.Account // of the number
}

func newBench(t *testing.T) *bench {
	b := &bench{owner: account.Account{Tenant: "acme", ID: "ada"}, shelf: &shelf{m: map[string]store.Spooled{}}, node: &node{}, dir: t.TempDir()}
	b.Keeper = New(Options{
		Dir: b.dir, MaxMessages: 2, KeepFor: 24 * time.Hour, Silence: time.Second, Instance: "i", Store: b.shelf, Nodes: []Node{b.node},
		Profile: func(context.Context, tel.Number) (account.Profile, error) {
			return account.Profile{
				Number: alice, Account: b.owner, Voicemail: &account.Voicemail{Pilot: "+18056377243"}, Systems: []account.VoicemailSystem{{FQDN: "vm.example.net", Transport: "udp", Profile: "external"}},
			}, b.profile
		},
		Settings: mailbox.Defaults, Resolver: func() mailbox.Resolver { return dns{} },
		Record: func(r call.Record) { b.records = append(b.records, r) }, Result: func(r string) { b.ended = append(b.ended, r) },
	})
	return b
}

// message has the keeper keep a message.
func (b *bench) message(t *testing.T) (file string) {
	t.Helper()
	id, file, err := b.Room(t.Context(), "fs1")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("voice"), 0o600); err != nil {
		t.Fatal(err)
	}
	m := recorder.Message{ID: id, File: file, Number: alice, Why: tel.Busy, Arrival: call.Arrival{Node: "fs1", To: alice}, Recorded: time.Now()}
	b.Begin(m, 2*time.Minute)
	m.Length = 3 * time.Second
	b.Keep(t.Context(), m)
	return file
}

// run lets the keeper work for a while.
func (b *bench) run(t *testing.T, d time.Duration) {
	ctx, stop := context.WithTimeout(t.Context(), d)
	defer stop()
	if err := b.Run(ctx); err != nil {
		t.Error(err)
	}
}

func left(t *testing.T, dir string) int {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}

func TestAMessageIsTriedUntilItWasPlayedToItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.node.ends = []call.Result{call.Unreachable, call.Unreachable}
		file := b.message(t)
		b.run(t, 11*time.Second)
		if len(b.shelf.m) != 1 || left(t, b.dir) != 1 {
			t.Fatalf("after a failure %d messages and %d files are left", len(b.shelf.m), left(t, b.dir))
		}
		b.run(t, time.Minute) // as by the next process
		if len(b.node.made) != 3 || len(b.shelf.m) != 0 || left(t, b.dir) != 0 {
			t.Fatalf("%d calls, %d messages and %d files are left; want 3, 0, 0", len(b.node.made), len(b.shelf.m), left(t, b.dir))
		}
		d := b.node.made[2]
		if v := d.Order.Voicemail; d.File != file || v.Cause != 486 || v.User != "+18056377243" || d.Length != 3*time.Second {
			t.Errorf("delivered %+v to %+v", d, v)
		}
		if n := len(b.records); n != 3 || b.records[0].Result != call.VoicemailDown || b.records[2].Result != call.Answered || len(b.records[2].Steps) != 1 || b.records[2].Ended.IsZero() {
			t.Errorf("records %+v", b.records)
		}
	})
}

func TestAPanicCostsOneAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.node.ends, b.shelf.broken = []call.Result{broke}, 2
		b.message(t)
		b.run(t, time.Minute)
		if len(b.node.made) != 2 || len(b.shelf.m) != 0 || left(t, b.dir) != 0 {
			t.Errorf("%d calls, %d messages and %d files are left; want 2, 0, 0", len(b.node.made), len(b.shelf.m), left(t, b.dir))
		}
		if len(b.ended) != 2 || b.ended[0] != "put_off" || b.ended[1] != "delivered" {
			t.Errorf("ended %v", b.ended)
		}
		if len(b.shelf.notes) != 1 || b.shelf.notes[0] != "the delivery itself broke: the log says more" {
			t.Errorf("notes %q", b.shelf.notes)
		}
	})
}

func TestAMessageTheStoreDidNotTakeIsNotedBesideItsFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.shelf.down = true
		b.message(t)
		if left(t, b.dir) != 2 {
			t.Fatalf("%d files, want the voice and a note", left(t, b.dir))
		}
		b.shelf.down = false
		b.run(t, time.Minute)
		if len(b.node.made) != 1 || left(t, b.dir) != 0 {
			t.Errorf("%d calls, %d files are left; want 1 and 0", len(b.node.made), left(t, b.dir))
		}
	})
}

// The note of a message that is being recorded is replaced and not written over: when that fails it is there as it was.
func TestANoteIsReplacedAndNotWrittenOver(t *testing.T) {
	b := newBench(t)
	b.shelf.down = true
	id, file, err := b.Room(t.Context(), "fs1")
	if err != nil {
		t.Fatal(err)
	}
	m := recorder.Message{ID: id, File: file, Number: alice, Why: tel.Busy, Arrival: call.Arrival{Node: "fs1", To: alice}, Recorded: time.Now()}
	b.Begin(m, 2*time.Minute)
	first, other := b.note(id), filepath.Join(t.TempDir(), "first")
	if err := os.Link(first, other); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(other)
	if err != nil {
		t.Fatal(err)
	}
	m.Length = 3 * time.Second
	b.Keep(t.Context(), m)
	after, err := os.ReadFile(other)
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("the first note was written over: %v, %s", err, after)
	}
	if now, err := os.ReadFile(first); err != nil || bytes.Equal(now, before) || left(t, b.dir) != 1 {
		t.Errorf("the second note is %s, %v, of %d files", now, err, left(t, b.dir))
	}
	if err := os.Mkdir(first+".new", 0o700); err != nil { // nothing can be written
		t.Fatal(err)
	}
	if err := b.write(store.Spooled{ID: id}); err == nil {
		t.Error("a note that cannot be written is no error")
	}
	if now, err := os.ReadFile(first); err != nil || len(now) < 50 {
		t.Errorf("the note is %s, %v", now, err)
	}
}

// A sidecar that dies, or is stopped, while a caller speaks leaves him with FreeSWITCH, which records him to the end: the next process delivers that.
func TestTheMessageOfASidecarThatDiedIsDelivered(t *testing.T) {
	second := make([]byte, 16000)
	for name, c := range map[string]struct {
		voice []byte // in the file when all is over; nil = there is none
		calls int
	}{
		"he has spoken":        {bytes.Repeat(second, 40), 1},
		"he has said nothing":  {second[:8000], 0},
		"nothing was recorded": {nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				id, file, err := b.Room(t.Context(), "fs1")
				if err != nil {
					t.Fatal(err)
				}
				b.Begin(recorder.Message{ID: id, File: file, Number: alice, Why: tel.Busy, Arrival: call.Arrival{Node: "fs1", To: alice}, Recorded: time.Now()}, 2*time.Minute)
				if c.voice != nil {
					if err := os.WriteFile(file, c.voice, 0o600); err != nil {
						t.Fatal(err)
					}
				}
				b.run(t, 2*time.Minute)
				if n := len(b.node.made); n != 0 {
					t.Fatalf("delivered %d times while he may still speak", n)
				}
				b.run(t, 3*time.Minute)
				if len(b.node.made) != c.calls || left(t, b.dir) != 0 || len(b.shelf.m) != 0 {
					t.Fatalf("%d calls, %d files, %d messages are left; want %d, 0, 0", len(b.node.made), left(t, b.dir), len(b.shelf.m), c.calls)
				}
				if c.calls > 0 && b.node.made[0].Length < 40*time.Second {
					t.Errorf("a message of 40 s is given %s", b.node.made[0].Length)
				}
			})
		})
	}
	b := newBench(t) // what was kept, or dropped, is not found again
	b.message(t)
	if n := left(t, b.dir); n != 1 {
		t.Errorf("%d files beside a message that is kept", n-1)
	}
}

func TestAMessageIsLostOnlyForAReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.profile = store.ErrUnavailable
		b.message(t)
		b.run(t, time.Minute)
		if len(b.shelf.m) != 1 {
			t.Fatal("a message was lost because the store was silent")
		}
		b.profile = store.ErrNotFound
		b.run(t, time.Hour)
		if len(b.shelf.m) != 0 || left(t, b.dir) != 0 || b.ended[len(b.ended)-1] != "lost" {
			t.Errorf("the message of a number that is nobody's stays: %v", b.ended)
		}
	})
}

// A number that is given to somebody else while a message waits: he is not to hear what was said to the one before.
func TestAMessageIsNotForTheNextSubscriber(t *testing.T) {
	for _, next := range []account.Account{{Tenant: "acme", ID: "ben"}, {Tenant: "other", ID: "ada"}} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t)
			b.node.ends = []call.Result{call.Unreachable}
			b.message(t)
			b.run(t, 8*time.Second)
			b.owner = next
			b.run(t, time.Hour)
			if len(b.node.made) != 1 || len(b.shelf.m) != 0 || left(t, b.dir) != 0 || b.ended[len(b.ended)-1] != "lost" {
				t.Errorf("%d calls, %d messages and %d files are left, ended %v; want 1, 0, 0, lost", len(b.node.made), len(b.shelf.m), left(t, b.dir), b.ended)
			}
		})
	}
}

func TestTheFolderIsBounded(t *testing.T) {
	b := newBench(t)
	b.message(t)
	b.message(t)
	if _, _, err := b.Room(t.Context(), "fs1"); err == nil || errors.Is(err, store.ErrUnavailable) {
		t.Errorf("a third message has room: %v", err)
	}
}
