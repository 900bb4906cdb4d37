package esl

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/signalbox/signalbox/esl/esltest"
	"github.com/signalbox/signalbox/esl/wire"
)

func apis(n int) (cmds []Command) {
	for i := range n {
		cmds = append(cmds, Raw(fmt.Sprintf("api number %d", i)))
	}
	return cmds
}

// TestSendAllGivesTheRepliesInOrder: all commands are on the wire before the first is answered, and one that is refused by
// FreeSWITCH does not keep the others from being run.
func TestSendAllGivesTheRepliesInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, far := pair(t, ConnOptions{})
		go func() {
			for i := range 5 {
				_, err := far.Expect(fmt.Sprintf("api number %d", i))
				must(t, err)
			}
			for i := range 5 {
				must(t, far.API([]string{"+OK 0", "-ERR 1", "+OK 2", "+OK 3", "+OK 4"}[i]))
			}
		}()
		replies, err := c.SendAll(t.Context(), apis(5)...)
		if err != nil || len(replies) != 5 {
			t.Fatalf("%d replies, %v", len(replies), err)
		}
		for i, r := range replies {
			if r.Text[len(r.Text)-1] != byte('0'+i) || (r.Err() != nil) != (i == 1) {
				t.Errorf("reply %d is %q, %v", i, r.Text, r.Err())
			}
		}
	})
}

func TestSendAllSendsNoneWhenOneIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, far := pair(t, ConnOptions{})
		if _, err := c.SendAll(t.Context(), Raw("api status"), Raw("api a\n\nexit")); !errors.Is(err, wire.ErrRefused) {
			t.Errorf("got %v, want refused", err)
		}
		if _, err := c.SendAll(t.Context(), apis(MaxBatch+1)...); !errors.Is(err, ErrTooMany) {
			t.Errorf("got %v, want too many", err)
		}
		if replies, err := c.SendAll(t.Context()); len(replies) != 0 || err != nil {
			t.Errorf("of no commands: %v, %v", replies, err)
		}
		go func() {
			_, err := far.ExpectReply("noevents", "+OK") // nothing came before
			must(t, err)
		}()
		if _, err := c.Send(t.Context(), Raw("noevents")); err != nil {
			t.Error(err)
		}
	})
}

// TestSendAllAndOneWhoLeaves: whoever leaves in the middle of the replies leaves their places in the queue behind, and the next one
// gets its own.
func TestSendAllAndOneWhoLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, far := pair(t, ConnOptions{})
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			for i := range 4 {
				_, err := far.Expect("api number")
				must(t, err)
				if i < 2 {
					must(t, far.API("+OK"))
				}
			}
			synctest.Wait()
			cancel()
			_, err := far.Expect("api mine")
			must(t, err)
			for _, text := range []string{"late", "late", "mine"} {
				must(t, far.API(text))
			}
		}()
		replies, err := c.SendAll(ctx, apis(4)...)
		if len(replies) != 2 || !errors.Is(err, context.Canceled) {
			t.Errorf("%d replies, %v, want 2 and cancelled", len(replies), err)
		}
		if got, err := c.API(t.Context(), "mine"); err != nil || got != "mine" {
			t.Errorf("the next caller got %q, %v", got, err)
		}
	})
}

func TestSendAllTimesOutAsAWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, far := pair(t, ConnOptions{CommandTimeout: time.Second})
		go answerSlowly(t, far)
		began := time.Now()
		replies, err := c.SendAll(t.Context(), apis(4)...)
		if len(replies) != 2 || !errors.Is(err, ErrTimeout) || time.Since(began) != time.Second {
			t.Errorf("%d replies, %v after %s, want 2 and the timeout after 1 s", len(replies), err, time.Since(began))
		}
	})
}

// answerSlowly takes 400 ms for each command.
func answerSlowly(t *testing.T, far *esltest.Far) {
	for range 2 {
		_, err := far.Expect("api number")
		must(t, err)
		time.Sleep(400 * time.Millisecond)
		must(t, far.API("+OK"))
	}
}
