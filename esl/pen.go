package esl

import (
	"fmt"
	"net"
	"syscall"
	"time"
)

// pen is the right to write on a connection. Whoever holds it writes whole commands, in the order in which
// those who wait for replies are queued. It is a channel with room for one: full while somebody holds it.
//
// Most commands are written by the goroutine that sends them, when the pen is free and the system takes all
// bytes at once: that saves the writer being woken for each. Such a write never waits. What the system does
// not take goes, with the pen, to the writer goroutine, and so do commands that find the pen taken.
type pen chan struct{}

func newPen() pen { return make(pen, 1) }

// take is true when the pen was free.
func (p pen) take() bool {
	select {
	case p <- struct{}{}:
		return true
	default:
		return false
	}
}

func (p pen) lay() { <-p }

// writeNow writes a command without waiting, and reports whether it was taken over; if not, it has to be queued.
func (c *Conn) writeNow(req *request) bool {
	if c.raw == nil || len(c.queue) > 0 || !c.pen.take() {
		return false
	}
	if len(c.queue) > 0 { // it is the turn of another
		c.pen.lay()
		return false
	}
	if !c.register(req) {
		c.pen.lay()
		return true // the connection is over, as the sender will see
	}
	n, err := tryWrite(c.raw, req.frame)
	switch {
	case err != nil:
		c.fail(fmt.Errorf("writing to the event socket: %w", err))
	case n < len(req.frame):
		c.rest <- req.frame[n:] // has room: only who holds the pen puts something there
		return true
	case c.hooks.wrote != nil:
		c.hooks.wrote()
	}
	c.pen.lay()
	return true
}

// register puts what is about to be written among those who wait for replies; false when nobody wants it written any more, or
// the connection has ended.
func (c *Conn) register(req *request) bool {
	if !req.state.CompareAndSwap(requestQueued, requestTaken) {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return false
	}
	req.deadline = time.Now().Add(c.opt.CommandTimeout)
	c.waiting = append(c.waiting, req)
	if c.alarm == nil {
		c.alarm = time.AfterFunc(c.opt.CommandTimeout, c.lookForLate)
	}
	return true
}

// lookForLate ends the connection when the oldest reply is overdue. One timer serves all commands: it is set when one is written and
// none is set, and looks again as long as somebody waits, which costs less than a timer for each command.
func (c *Conn) lookForLate() {
	c.mu.Lock()
	if len(c.waiting) == 0 || c.err != nil {
		c.alarm = nil
		c.mu.Unlock()
		return
	}
	oldest := c.waiting[0]
	late, name := time.Until(oldest.deadline) <= 0, oldest.name(len(oldest.replies))
	if !late {
		c.alarm.Reset(time.Until(oldest.deadline))
	}
	c.mu.Unlock()
	if late {
		c.fail(fmt.Errorf("%w: %s, %s", ErrTimeout, name, c.opt.CommandTimeout))
	}
}

// writeLoop is the writer: it writes what could not be written at once.
func (c *Conn) writeLoop() {
	defer c.wg.Done()
	defer c.caught()
	for {
		select {
		case rest := <-c.rest: // the pen came with it
			c.writeOut(rest)
		case req := <-c.queue:
			if !c.awaitPen() {
				return
			}
			if !c.register(req) {
				c.pen.lay()
				continue
			}
			c.writeOut(req.frame)
		case <-c.done:
			return
		}
	}
}

// awaitPen takes the pen when it is free, and writes the rest that may come with it first; false when the connection has ended.
func (c *Conn) awaitPen() bool {
	for {
		select {
		case c.pen <- struct{}{}:
			return true
		case rest := <-c.rest:
			c.writeOut(rest)
		case <-c.done:
			return false
		}
	}
}

// writeOut writes to the end of a command, however long it takes, and lays the pen down.
func (c *Conn) writeOut(frame []byte) {
	defer c.pen.lay()
	if _, err := c.nc.Write(frame); err != nil {
		c.fail(fmt.Errorf("writing to the event socket: %w", err))
		return
	}
	if c.hooks.wrote != nil {
		c.hooks.wrote()
	}
}

// rawConn gives what tryWrite needs; nil for a connection that is no socket, as in tests.
func rawConn(nc net.Conn) syscall.RawConn {
	s, ok := nc.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}
