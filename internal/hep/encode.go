package hep

import (
	"encoding/binary"
	"net/netip"
	"time"
)

// Packet is one captured message.
type Packet struct {
	Transport   string // "udp", "tcp", "tls", "ws" or "wss"
	Source      netip.AddrPort
	Destination netip.AddrPort
	Time        time.Time
	CaptureID   uint32 // which capture agent saw it
	Key         string // shared with the collector; "" = none
	Correlation string // Call-ID of the caller's leg
	Payload     []byte
}

// The chunks of vendor 0 that are written.
const (
	chunkFamily      = 0x0001 // 2 = IPv4, 10 = IPv6
	chunkProtocol    = 0x0002 // IP protocol: 17 = UDP, 6 = TCP
	chunkSource4     = 0x0003
	chunkDest4       = 0x0004
	chunkSource6     = 0x0005
	chunkDest6       = 0x0006
	chunkSourcePort  = 0x0007
	chunkDestPort    = 0x0008
	chunkSeconds     = 0x0009
	chunkMicros      = 0x000a
	chunkType        = 0x000b // 1 = SIP
	chunkCaptureID   = 0x000c
	chunkKey         = 0x000e
	chunkPayload     = 0x000f
	chunkCorrelation = 0x0011
)

const (
	headerSize = 6
	chunkSize  = 6
	maxPacket  = 65535 // its length is 16 bits
	// fixedSize is an IPv6 packet without key, correlation and payload, rounded up.
	fixedSize = headerSize + 12*chunkSize + 64
)

// Append writes a packet. ok false means that it does not fit: HEP3 has 65,535 bytes for all of it.
func Append(b []byte, p Packet) (out []byte, ok bool) {
	if fixedSize+len(p.Key)+len(p.Correlation)+len(p.Payload)+3*chunkSize > maxPacket {
		return b, false
	}
	begin := len(b)
	b = append(b, "HEP3\x00\x00"...)
	src, dst := p.Source.Addr().Unmap(), p.Destination.Addr().Unmap()
	if src.Is4() && dst.Is4() {
		b = append8(b, chunkFamily, 2)
		b = appendBytes(b, chunkSource4, src.AsSlice())
		b = appendBytes(b, chunkDest4, dst.AsSlice())
	} else {
		b = append8(b, chunkFamily, 10)
		s, d := src.As16(), dst.As16()
		b = appendBytes(b, chunkSource6, s[:])
		b = appendBytes(b, chunkDest6, d[:])
	}
	protocol := byte(6)
	if p.Transport == "udp" {
		protocol = 17
	}
	b = append8(b, chunkProtocol, protocol)
	b = append16(b, chunkSourcePort, p.Source.Port())
	b = append16(b, chunkDestPort, p.Destination.Port())
	b = append32(b, chunkSeconds, uint32(p.Time.Unix()))
	b = append32(b, chunkMicros, uint32(p.Time.Nanosecond()/1000))
	b = append8(b, chunkType, 1)
	b = append32(b, chunkCaptureID, p.CaptureID)
	if p.Key != "" {
		b = appendBytes(b, chunkKey, []byte(p.Key))
	}
	if p.Correlation != "" {
		b = appendBytes(b, chunkCorrelation, []byte(p.Correlation))
	}
	b = appendBytes(b, chunkPayload, p.Payload)
	binary.BigEndian.PutUint16(b[begin+4:], uint16(len(b)-begin))
	return b, true
}

func chunk(b []byte, kind uint16, size int) []byte {
	b = append(b, 0, 0) // vendor: generic
	b = binary.BigEndian.AppendUint16(b, kind)
	return binary.BigEndian.AppendUint16(b, uint16(chunkSize+size))
}

func append8(b []byte, kind uint16, v byte) []byte { return append(chunk(b, kind, 1), v) }

func append16(b []byte, kind, v uint16) []byte {
	return binary.BigEndian.AppendUint16(chunk(b, kind, 2), v)
}

func append32(b []byte, kind uint16, v uint32) []byte {
	return binary.BigEndian.AppendUint32(chunk(b, kind, 4), v)
}

func appendBytes(b []byte, kind uint16, v []byte) []byte { return append(chunk(b, kind, len(v)), v...) }
