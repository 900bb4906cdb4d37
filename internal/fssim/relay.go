package fssim

import (
	"bytes"
	"net"
	"net/netip"
	"strconv"
	"sync/atomic"
)

// relay passes the voice of a caller who was answered before anybody else was there. His media comes to us, because he got an
// SDP of ours; once he is connected it goes on to the other leg, unchanged. The other way is direct. The digits in it are
// heard. Its goroutine ends when it is closed.
type relay struct {
	conn  *net.UDPConn
	to    atomic.Pointer[netip.AddrPort]
	keys  keypad // owned by run
	press func(digit)
}

// newRelay opens a relay on an address for who sent the offer; nil when there is no port to be had, and the caller is then
// not heard. press gets the digits.
func (s *Switch) newRelay(ip netip.Addr, offer []byte, press func(digit)) *relay {
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(ip, 0)))
	if err != nil {
		return nil
	}
	r := &relay{conn: conn, keys: keypad{payload: telephoneEvent(offer)}, press: press}
	if !s.spawn(r.run) {
		_ = conn.Close()
		return nil
	}
	return r
}

func (r *relay) run() {
	buf := make([]byte, 2048)
	for {
		n, _, err := r.conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		if d, ok := r.keys.press(buf[:n]); ok {
			r.press(d)
		}
		if to := r.to.Load(); to != nil {
			_, _ = r.conn.WriteToUDPAddrPort(buf[:n], *to)
		}
	}
}

// aim says where the voice goes: to the address and port of an SDP.
func (r *relay) aim(sdp []byte) {
	ip, port := mediaOf(sdp)
	addr, err := netip.ParseAddr(ip)
	n, perr := strconv.ParseUint(port, 10, 16)
	if err != nil || perr != nil || n == 0 {
		return
	}
	to := netip.AddrPortFrom(addr, uint16(n))
	r.to.Store(&to)
}

// sdp puts the relay's port into an SDP that plainSDP made.
func (r *relay) sdp(plain []byte) []byte {
	port := netip.MustParseAddrPort(r.conn.LocalAddr().String()).Port()
	return bytes.Replace(plain, []byte("m=audio 9 "), []byte("m=audio "+strconv.Itoa(int(port))+" "), 1)
}

func (r *relay) close() { _ = r.conn.Close() }
