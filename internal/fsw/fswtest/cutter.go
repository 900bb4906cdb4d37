package fswtest

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Side is an end of a forwarded connection.
type Side int

// The sides: FreeSWITCH is the dialler of an outbound connection and the listener of an inbound one.
const (
	Dialler Side = iota
	Listener
)

// Cut says where a connection breaks: before the n-th message from one side (counted from 1; 0 = never), or in its middle.
type Cut struct {
	From    Side
	Message int
	Middle  bool
}

// Passed is one message that went through, or would have if the connection had not been cut at it.
type Passed struct {
	From Side
	Text []byte // with the body behind it

	through bool
}

// Name is the Event-Name of an event, else the message's first line.
func (p Passed) Name() string {
	if _, after, ok := bytes.Cut(p.Text, []byte("\nEvent-Name: ")); ok && bytes.Contains(p.Text, []byte("text/event-plain")) {
		name, _, _ := bytes.Cut(after, []byte("\n"))
		return string(name)
	}
	line, _, _ := bytes.Cut(p.Text, []byte("\n"))
	return string(line)
}

// Passage is one connection through a Cutter.
type Passage struct {
	cut  Cut
	over chan struct{}

	mu     sync.Mutex
	passed []Passed
	wasCut bool
	ends   [2]net.Conn
}

// Over is closed when the connection has ended, by the cut or by itself.
func (p *Passage) Over() <-chan struct{} { return p.over }

// WasCut reports whether the connection got as far as its Cut.
func (p *Passage) WasCut() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.wasCut
}

// Messages are those that came so far, in the order they came.
func (p *Passage) Messages() []Passed {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Passed(nil), p.passed...)
}

// Through are the messages that were handed on whole. Two calls of one story may have their neighbours in another order, so that the
// message at which one was cut is not always the one that stands there in the other.
func (p *Passage) Through() []Passed {
	return slices.DeleteFunc(p.Messages(), func(m Passed) bool { return !m.through })
}

// Cutter stands between the two ends of Event Socket connections, forwards them message by message, and cuts them where a test
// says. It works with any switch, in both directions. Its goroutines end with Close, which waits for them.
type Cutter struct {
	to       string
	listener net.Listener
	wg       sync.WaitGroup

	mu      sync.Mutex
	next    []*Passage
	current map[*Passage]bool
	closed  bool
}

// NewCutter listens on a free loopback port and forwards to an address.
func NewCutter(to string) (*Cutter, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("cutter: %w", err)
	}
	c := &Cutter{to: to, listener: l, current: map[*Passage]bool{}}
	c.wg.Go(c.accept)
	return c, nil
}

// Addr is where it listens.
func (c *Cutter) Addr() string { return c.listener.Addr().String() }

// Next says what happens to the next connection, or to the one behind those already spoken of. Connections nobody spoke of
// pass whole.
func (c *Cutter) Next(cut Cut) *Passage {
	p := &Passage{cut: cut, over: make(chan struct{})}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.next = append(c.next, p)
	return p
}

// Close cuts what is left.
func (c *Cutter) Close() {
	_ = c.listener.Close()
	c.mu.Lock()
	c.closed = true
	for p := range c.current {
		p.close()
	}
	c.mu.Unlock()
	c.wg.Wait()
}

func (c *Cutter) accept() {
	for {
		dialler, err := c.listener.Accept()
		if err != nil {
			return
		}
		listener, err := net.Dial("tcp", c.to)
		if err != nil {
			_ = dialler.Close()
			continue
		}
		c.mu.Lock()
		p := &Passage{over: make(chan struct{})}
		if len(c.next) > 0 {
			p, c.next = c.next[0], c.next[1:]
		}
		p.ends = [2]net.Conn{dialler, listener}
		c.current[p] = true
		if c.closed {
			p.close()
		}
		c.mu.Unlock()
		c.wg.Go(func() { c.pass(p) })
	}
}

func (c *Cutter) pass(p *Passage) {
	var both sync.WaitGroup
	for _, from := range []Side{Dialler, Listener} {
		both.Go(func() {
			defer p.close()
			p.forward(from)
		})
	}
	both.Wait()
	close(p.over)
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.current, p)
}

func (p *Passage) close() {
	for _, end := range p.ends {
		_ = end.Close()
	}
}

// forward passes one direction on until it ends or is cut.
func (p *Passage) forward(from Side) {
	in, out := bufio.NewReader(p.ends[from]), p.ends[1-from]
	for n := 1; ; n++ {
		text, err := readMessage(in)
		if err != nil {
			_, _ = out.Write(text)
			return
		}
		here := p.cut.Message == n && p.cut.From == from
		p.mu.Lock()
		at := len(p.passed)
		p.passed = append(p.passed, Passed{From: from, Text: text, through: !here}) // before it is: what it brings about may be quicker than we are
		p.wasCut = p.wasCut || here
		p.mu.Unlock()
		if here {
			if p.cut.Middle {
				_, _ = out.Write(text[:len(text)/2])
			}
			return
		}
		if _, err := out.Write(text); err != nil {
			p.mu.Lock()
			p.passed[at].through = false
			p.mu.Unlock()
			return
		}
	}
}

// readMessage reads a message of either direction: lines up to an empty one, and a body if they speak of one. With an error
// it returns what had come of it.
func readMessage(r *bufio.Reader) ([]byte, error) {
	var text []byte
	body := 0
	for {
		line, err := r.ReadBytes('\n')
		text = append(text, line...)
		if err != nil {
			return text, err
		}
		if name, value, ok := strings.Cut(string(line), ":"); ok && strings.EqualFold(name, "content-length") {
			if body, err = strconv.Atoi(strings.TrimSpace(value)); err != nil {
				return text, err
			}
		}
		if len(line) == 1 && len(text) > 1 {
			break
		}
	}
	from := len(text)
	text = append(text, make([]byte, body)...)
	n, err := io.ReadFull(r, text[from:])
	return text[:from+n], err
}
