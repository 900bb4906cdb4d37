package sipproxy

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"unsafe"
)

// datagrams reads and writes one UDP socket. A datagram is one short system call that never blocks, so it is made without telling Go's
// scheduler: that would wake the scheduler's monitor for each message of a proxy with little to do, which cost a sixth of its
// processor time. Waiting is left to the runtime. One goroutine receives, any may send.
type datagrams struct {
	pc   *net.UDPConn
	raw  syscall.RawConn
	six  bool // an IPv6 socket: IPv4 addresses are mapped into it
	in   incoming
	outs sync.Pool // of *outward
}

// incoming is one receipt; it stands here, and not on the stack, for the kernel to write into.
type incoming struct {
	buf    []byte
	from   syscall.RawSockaddrInet6 // large enough for IPv4 too
	size   uint32
	n      int
	errno  syscall.Errno
	waited bool
	try    func(fd uintptr) bool
}

// outward is one sending.
type outward struct {
	raw   []byte
	to    syscall.RawSockaddrInet6
	size  uint32
	errno syscall.Errno
	try   func(fd uintptr) bool
}

func newDatagrams(pc *net.UDPConn) (*datagrams, error) {
	raw, err := pc.SyscallConn()
	if err != nil {
		return nil, err
	}
	d := &datagrams{pc: pc, raw: raw}
	var failed error
	if err := raw.Control(func(fd uintptr) {
		var domain int
		domain, failed = syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_DOMAIN)
		d.six = domain == syscall.AF_INET6
	}); err != nil || failed != nil {
		return nil, errors.Join(err, failed)
	}
	d.in.try = d.in.receive
	d.outs.New = func() any {
		o := &outward{}
		o.try = o.send
		return o
	}
	return d, nil
}

// receive gives the next datagram and who sent it; waited says that there was none at first. It fails with net.ErrClosed when the
// socket was closed.
func (d *datagrams) receive(buf []byte) (n int, from netip.AddrPort, waited bool, err error) {
	in := &d.in
	in.buf, in.waited = buf, false
	if err := d.raw.Read(in.try); err != nil {
		return 0, from, in.waited, err
	}
	if in.errno != 0 {
		return 0, from, in.waited, in.errno
	}
	return in.n, unmapped(address(&in.from)), in.waited, nil
}

func (in *incoming) receive(fd uintptr) bool {
	for {
		in.size = uint32(unsafe.Sizeof(in.from))
		n, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(unsafe.SliceData(in.buf))), uintptr(len(in.buf)), 0,
			uintptr(unsafe.Pointer(&in.from)), uintptr(unsafe.Pointer(&in.size)))
		switch in.n, in.errno = int(n), errno; errno {
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			in.waited = true
			return false
		}
		return true
	}
}

// send writes one datagram; when the socket is full, it waits.
func (d *datagrams) send(raw []byte, to netip.AddrPort) error {
	if to.Addr().Zone() != "" { // rare, and package net knows the numbers of interfaces
		_, err := d.pc.WriteToUDPAddrPort(raw, to)
		return err
	}
	o := d.outs.Get().(*outward)
	defer d.outs.Put(o)
	if !d.put(o, to) {
		return syscall.EAFNOSUPPORT
	}
	o.raw = raw
	err := d.raw.Write(o.try)
	o.raw = nil
	if err == nil && o.errno != 0 {
		err = o.errno
	}
	return err
}

func (o *outward) send(fd uintptr) bool {
	for {
		_, _, o.errno = syscall.RawSyscall6(syscall.SYS_SENDTO, fd, uintptr(unsafe.Pointer(unsafe.SliceData(o.raw))), uintptr(len(o.raw)), 0,
			uintptr(unsafe.Pointer(&o.to)), uintptr(o.size))
		switch o.errno {
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			return false
		}
		return true
	}
}

// put writes an address as the kernel reads it; false means that the socket cannot reach it.
func (d *datagrams) put(o *outward, to netip.AddrPort) bool {
	ip := to.Addr()
	switch {
	case d.six:
		o.to = syscall.RawSockaddrInet6{Family: syscall.AF_INET6, Addr: ip.As16()}
		binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&o.to.Port))[:], to.Port())
		o.size = syscall.SizeofSockaddrInet6
	case ip.Unmap().Is4():
		four := (*syscall.RawSockaddrInet4)(unsafe.Pointer(&o.to))
		*four = syscall.RawSockaddrInet4{Family: syscall.AF_INET, Addr: ip.Unmap().As4()}
		binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&four.Port))[:], to.Port())
		o.size = syscall.SizeofSockaddrInet4
	default:
		return false
	}
	return true
}

// address reads an address that the kernel wrote.
func address(from *syscall.RawSockaddrInet6) netip.AddrPort {
	port := binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&from.Port))[:])
	if from.Family == syscall.AF_INET {
		return netip.AddrPortFrom(netip.AddrFrom4((*syscall.RawSockaddrInet4)(unsafe.Pointer(from)).Addr), port)
	}
	ip := netip.AddrFrom16(from.Addr)
	if from.Scope_id != 0 {
		if i, err := net.InterfaceByIndex(int(from.Scope_id)); err == nil {
			ip = ip.WithZone(i.Name)
		}
	}
	return netip.AddrPortFrom(ip, port)
}
