//go:build !linux

package sipproxy

import (
	"net"
	"net/netip"
)

// datagrams reads and writes one UDP socket. One goroutine receives, any may send.
type datagrams struct{ pc *net.UDPConn }

func newDatagrams(pc *net.UDPConn) (*datagrams, error) { return &datagrams{pc}, nil }

// receive gives the next datagram and who sent it. Whether it had to wait is not known here.
func (d *datagrams) receive(buf []byte) (n int, from netip.AddrPort, waited bool, err error) {
	n, from, err = d.pc.ReadFromUDPAddrPort(buf)
	return n, unmapped(from), false, err
}

func (d *datagrams) send(raw []byte, to netip.AddrPort) error {
	_, err := d.pc.WriteToUDPAddrPort(raw, to)
	return err
}
