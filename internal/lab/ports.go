package lab

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
)

// The ports that processes of the lab listen on lie below those the kernel gives out by itself, so that nobody gets one of them by
// chance while its process is dead.
const (
	firstPort = 10240
	lastPort  = 16000
	blockSize = 128 // ports, of which the first is the lock of the others
	stride    = 2   // a program may take the port behind its own as well, as baresip does for TLS
	perBlock  = blockSize/stride - 1
	maxBlocks = 8 // of one process
)

// The ports for voice of real switches lie above those, and below the kernel's own. A switch does not look whether a port is free.
const (
	firstVoice = 16384
	lastVoice  = 32768
	voiceBlock = 1000 // of one switch, behind the two of which the first is the lock
)

// voicePorts gives the first of voiceBlock ports that no other switch of the lab has on this machine, and what gives them back.
func voicePorts() (first uint16, release func(), err error) {
	const blocks = (lastVoice - firstVoice) / (voiceBlock + 2)
	held, err := lockBlock(firstVoice, voiceBlock+2, blocks)
	if err != nil {
		return 0, nil, fmt.Errorf("finding ports for voice from %d to %d: %w", firstVoice, lastVoice, err)
	}
	return uint16(held.LocalAddr().(*net.UDPAddr).Port) + 2, func() { _ = held.Close() }, nil
}

// lockBlock takes the first port of one of several blocks of ports, as long as the connection lives. An error means that all are taken.
func lockBlock(first uint16, size uint16, blocks int) (*net.UDPConn, error) {
	var last error
	for i, offset := 0, rand.IntN(blocks); i < blocks; i++ {
		port := first + uint16((offset+i)%blocks)*size
		held, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(loopback, port)))
		if err == nil {
			return held, nil
		}
		last = err
	}
	return nil, last
}

// portBlocks gives out ports for processes that are to bind them later, so that the ports themselves cannot be held. Those of one
// process are in blocks of its own: it holds the first port of a block as long as it lives, whatever becomes of it, so that two
// processes on one machine never give out the same. A port comes round again only after all others of the process. Safe for
// concurrent use.
type portBlocks struct {
	mu    sync.Mutex
	locks []*net.UDPConn // one for each block
	given int            // ports of these blocks looked at so far in this round
}

// ourPorts are the blocks of this process: the kernel, too, knows no smaller owner of a port.
var ourPorts portBlocks

// freePort finds a port of 127.0.0.1 for a process that is to be started, free for UDP and for TCP.
func freePort() (netip.AddrPort, error) { return ourPorts.take(loopback) }

// FreePort does so at another address of this host, for who starts processes beside a Rig.
func FreePort(at netip.Addr) (netip.AddrPort, error) { return ourPorts.take(at) }

func (p *portBlocks) take(at netip.Addr) (netip.AddrPort, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := errors.New("all of them are in use")
	for range maxBlocks * perBlock {
		if p.given == len(p.locks)*perBlock {
			err := p.lock()
			if len(p.locks) == 0 {
				last = err
				break
			}
			if err != nil {
				p.given = 0
			}
		}
		first := p.locks[p.given/perBlock].LocalAddr().(*net.UDPAddr).Port
		port := uint16(first + stride*(1+p.given%perBlock))
		p.given++
		if udp, tcp, err := listenBoth(at, port); err == nil { // somebody else's program may have it
			return netip.AddrPortFrom(at, port), errors.Join(udp.Close(), tcp.Close())
		}
	}
	return netip.AddrPort{}, fmt.Errorf("finding a free port from %d to %d: %w", firstPort, lastPort, last)
}

// lock takes a block that no process has.
func (p *portBlocks) lock() error {
	const blocks = (lastPort - firstPort) / blockSize
	if len(p.locks) == maxBlocks {
		return errors.New("the process has as many as it may have")
	}
	held, err := lockBlock(firstPort, blockSize, blocks)
	if err == nil {
		p.locks = append(p.locks, held)
	}
	return err
}

// close gives the blocks back.
func (p *portBlocks) close() {
	for _, held := range p.locks {
		_ = held.Close()
	}
}
