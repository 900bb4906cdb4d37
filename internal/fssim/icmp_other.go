//go:build !linux

package fssim

import (
	"net"
	"net/netip"
)

// Outside Linux a refused datagram is noticed by the transaction's timeout only.
func wantICMP(*net.UDPConn) {}

func refusedDestinations(*net.UDPConn) []netip.AddrPort { return nil }
