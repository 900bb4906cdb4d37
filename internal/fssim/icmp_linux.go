package fssim

import (
	"net"
	"net/netip"
	"syscall"
)

// wantICMP asks the kernel to report ICMP errors with the address they belong to, as Sofia does: a UDP INVITE to a
// port where nobody listens fails at once.
func wantICMP(c *net.UDPConn) {
	raw, err := c.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IP, syscall.IP_RECVERR, 1)
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IPV6, syscall.IPV6_RECVERR, 1)
	})
}

// refusedDestinations empties the socket's error queue and returns the addresses in it, at most 64.
func refusedDestinations(c *net.UDPConn) []netip.AddrPort {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil
	}
	var out []netip.AddrPort
	_ = raw.Control(func(fd uintptr) {
		buf, oob := make([]byte, 2048), make([]byte, 512)
		for range 64 {
			_, _, _, from, err := syscall.Recvmsg(int(fd), buf, oob, syscall.MSG_ERRQUEUE|syscall.MSG_DONTWAIT)
			if err != nil {
				return
			}
			switch sa := from.(type) {
			case *syscall.SockaddrInet4:
				out = append(out, netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port)))
			case *syscall.SockaddrInet6:
				out = append(out, netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).Unmap(), uint16(sa.Port)))
			}
		}
	})
	return out
}
