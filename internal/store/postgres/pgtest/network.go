package pgtest

import (
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// Network stands between a test and its server.
type Network struct {
	mu        sync.Mutex
	swallow   bool
	conns     map[net.Conn]bool
	connected sync.WaitGroup
}

// Through returns a DSN that leads through a network of the test's own to the server, whose DSN it takes.
func (s *Server) Through(t testing.TB, dsn string) (string, *Network) {
	t.Helper()
	s.Mine(t)
	dir := t.TempDir()
	socket := filepath.Join(dir, filepath.Base(s.Socket()))
	if len(socket) > 100 { // of a Unix socket's name the kernel takes 107 bytes
		t.Skipf("%s is too long for a socket", socket)
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	n := &Network{conns: map[net.Conn]bool{}}
	n.connected.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			n.connected.Go(func() { n.join(near, s.Socket()) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		n.mu.Lock()
		for c := range n.conns {
			_ = c.Close()
		}
		n.conns = nil
		n.mu.Unlock()
		n.connected.Wait()
	})
	return strings.Replace(dsn, "host="+s.dir, "host="+dir, 1), n
}

// Swallow makes the network lose what passes it, without a word, and lose the connections of that time for good; or not.
func (n *Network) Swallow(yes bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.swallow = yes
	if !yes {
		for c := range n.conns {
			_ = c.Close()
		}
	}
}

func (n *Network) swallows() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.swallow
}

// hold keeps a connection in mind, and reports whether the network is still there.
func (n *Network) hold(c net.Conn) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.conns == nil {
		_ = c.Close()
		return false
	}
	n.conns[c] = true
	return true
}

func (n *Network) join(near net.Conn, socket string) {
	defer func() { _ = near.Close() }()
	if !n.hold(near) {
		return
	}
	far, err := net.Dial("unix", socket)
	if err != nil {
		return
	}
	defer func() { _ = far.Close() }()
	if !n.hold(far) {
		return
	}
	n.connected.Go(func() {
		_, _ = io.Copy(lossy{far, n}, near)
		_ = far.Close()
	})
	_, _ = io.Copy(lossy{near, n}, far)
}

// lossy loses what is written while the network swallows.
type lossy struct {
	net.Conn
	n *Network
}

func (l lossy) Write(p []byte) (int, error) {
	if l.n.swallows() {
		return len(p), nil
	}
	return l.Conn.Write(p)
}
