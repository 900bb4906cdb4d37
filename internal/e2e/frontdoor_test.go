package e2e

import (
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
)

// frontDoor is one address, over UDP and TCP, behind which something else stands. What comes to it is passed on from an address and
// port of its own for each sender, and the answers go back, as a router does that translates addresses. A transparent one, for
// datagrams, keeps the sender's address and changes the port alone.
type frontDoor struct {
	transparent bool

	Addr netip.AddrPort
	// behind says where a datagram goes (nil: a connection, of which nothing is read yet).
	behind func(datagram []byte) netip.AddrPort
	// rewrite changes datagrams on their way in; nil = it does not. It is set before anything comes.
	rewrite func(datagram []byte) []byte

	udp *net.UDPConn
	tcp *net.TCPListener
	wg  sync.WaitGroup

	mu     sync.Mutex
	closed bool
	open   map[io.Closer]struct{}
	known  map[netip.AddrPort]*net.UDPConn // by sender
}

// newFrontDoor opens it. behind is called from several goroutines.
func newFrontDoor(t *testing.T, ip netip.Addr, transparent bool, behind func(datagram []byte) netip.AddrPort) *frontDoor {
	t.Helper()
	f := &frontDoor{transparent: transparent, Addr: netip.MustParseAddrPort(freeAt(t, ip)), behind: behind, open: make(map[io.Closer]struct{}), known: make(map[netip.AddrPort]*net.UDPConn)}
	var err error
	if f.udp, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(f.Addr)); err != nil {
		t.Fatal(err)
	}
	if f.tcp, err = net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(f.Addr)); err != nil {
		t.Fatal(err)
	}
	f.keep(f.udp)
	f.keep(f.tcp)
	f.wg.Go(f.datagrams)
	f.wg.Go(f.connections)
	t.Cleanup(f.close)
	return f
}

// keep has close close c; false means that it is closed already.
func (f *frontDoor) keep(c io.Closer) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		_ = c.Close()
		return false
	}
	f.open[c] = struct{}{}
	return true
}

func (f *frontDoor) close() {
	f.mu.Lock()
	f.closed = true
	for c := range f.open {
		_ = c.Close()
	}
	f.mu.Unlock()
	f.wg.Wait()
}

func (f *frontDoor) datagrams() {
	buf := make([]byte, 65536)
	for {
		n, from, err := f.udp.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		out := f.known[from]
		if out == nil {
			as := f.Addr.Addr()
			if f.transparent {
				as = from.Addr().Unmap()
			}
			if out, err = net.ListenUDP("udp4", &net.UDPAddr{IP: as.AsSlice()}); err != nil || !f.keep(out) {
				return
			}
			f.known[from] = out
			f.wg.Go(func() { f.answers(out, from) })
		}
		datagram := buf[:n]
		if f.rewrite != nil {
			datagram = f.rewrite(datagram)
		}
		_, _ = out.WriteToUDPAddrPort(datagram, f.behind(datagram))
	}
}

// answers brings back what comes for one sender.
func (f *frontDoor) answers(out *net.UDPConn, to netip.AddrPort) {
	buf := make([]byte, 65536)
	for {
		n, _, err := out.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		_, _ = f.udp.WriteToUDPAddrPort(buf[:n], to)
	}
}

func (f *frontDoor) connections() {
	for {
		in, err := f.tcp.Accept()
		if err != nil {
			return
		}
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: f.Addr.Addr().AsSlice()}}
		out, err := d.Dial("tcp4", f.behind(nil).String())
		if err != nil {
			_ = in.Close()
			continue
		}
		if !f.keep(in) || !f.keep(out) {
			return
		}
		for _, way := range [][2]net.Conn{{in, out}, {out, in}} {
			f.wg.Go(func() {
				_, _ = io.Copy(way[1], way[0])
				_, _ = in.Close(), out.Close()
			})
		}
	}
}
