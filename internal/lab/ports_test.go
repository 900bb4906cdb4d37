package lab

import (
	"net"
	"net/netip"
	"sync"
	"testing"
)

// Two processes draw ports at the same time, none of which anybody binds yet.
func TestTwoProcessesNeverDrawTheSamePort(t *testing.T) {
	var processes [2]portBlocks
	var drawn [2][]netip.AddrPort
	var running sync.WaitGroup
	for i := range processes {
		defer processes[i].close()
		for range 4 {
			running.Go(func() {
				for range 30 {
					port, err := processes[i].take(loopback)
					if err != nil {
						t.Error(err)
						return
					}
					processes[i].mu.Lock()
					drawn[i] = append(drawn[i], port)
					processes[i].mu.Unlock()
				}
			})
		}
	}
	running.Wait()
	seen := make(map[netip.AddrPort]bool)
	for _, ports := range drawn {
		for _, port := range ports {
			if seen[port] {
				t.Errorf("%s was given out twice", port)
			}
			if seen[netip.AddrPortFrom(port.Addr(), port.Port()-1)] || seen[netip.AddrPortFrom(port.Addr(), port.Port()+1)] {
				t.Errorf("%s is beside another that was given out", port)
			}
			if seen[port] = true; port.Port() < firstPort || port.Port() >= lastPort {
				t.Errorf("%s is outside of the range", port)
			}
		}
	}
	if len(seen) != 240 {
		t.Errorf("%d ports were drawn, want 240", len(seen))
	}
}

func TestAPortThatSomebodyHasIsNotDrawn(t *testing.T) {
	var p portBlocks
	defer p.close()
	first, err := p.take(loopback)
	if err != nil {
		t.Fatal(err)
	}
	taken, err := net.Listen("tcp4", netip.AddrPortFrom(loopback, first.Port()+stride).String())
	if err != nil {
		t.Skip(err) // somebody has it indeed
	}
	defer func() { _ = taken.Close() }()
	if next, err := p.take(loopback); err != nil || next.Port() == first.Port()+stride {
		t.Errorf("the next port is %s, %v; that one is taken", next, err)
	}
}

func TestPortsComeRoundAgain(t *testing.T) {
	var p portBlocks
	defer p.close()
	for n := range 2 * maxBlocks * perBlock {
		if _, err := p.take(loopback); err != nil {
			t.Fatalf("port %d: %v", n, err)
		}
	}
	if len(p.locks) != maxBlocks {
		t.Errorf("the process has %d blocks, want %d", len(p.locks), maxBlocks)
	}
}
