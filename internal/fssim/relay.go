package fssim

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/signalbox/signalbox/internal/sound"
)

// maxHeard bounds the frames of a member that wait to be mixed; the oldest go first.
const maxHeard = 5

// relay is the voice of a leg that has an SDP of ours: a caller who was answered before anybody else was there, or whom the switch
// called by itself. What comes from him is heard (keys, and his voice for a conference or a recording), and goes on to the other leg,
// unchanged, once he is connected; the other way is then direct. What the switch plays to him is sent from here. Its goroutine
// ends when it is closed.
type relay struct {
	conn   *net.UDPConn
	to     atomic.Pointer[netip.AddrPort] // the other leg
	party  atomic.Pointer[netip.AddrPort] // the leg's own party; nil = nobody knows yet where he listens
	keys   keypad                         // owned by run
	ears   sound.Detector                 // owned by run
	tones  []byte                         // keys heard as tones that count once it is quiet; owned by run
	quiet  int                            // frames of silence in a row; owned by run
	inBand atomic.Bool                    // start_dtmf
	press  func(digit)
	woken  atomic.Pointer[func()] // is told of voice when none waited; of the room
	aLaw   atomic.Bool            // what we send
	source uint32
	came   atomic.Int64 // packets of the party

	mu    sync.Mutex
	mixed bool // what comes is kept for take
	heard [][]int16
	seq   uint16
	stamp uint32
}

// newRelay opens a relay on an address for who sent the offer, nil when it is we who offer; nil when there is no port to be had, and
// the party is then not heard. press gets the digits.
func (s *Switch) newRelay(ip netip.Addr, offer []byte, press func(digit)) *relay {
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(ip, 0)))
	if err != nil {
		return nil
	}
	port := conn.LocalAddr().(*net.UDPAddr).Port
	r := &relay{conn: conn, keys: keypad{payload: 101}, press: press, source: uint32(port)<<16 | 0x5b0c}
	if offer != nil {
		r.keys.payload = telephoneEvent(offer)
	}
	r.faces(offer)
	if !s.spawn(r.run) {
		_ = conn.Close()
		return nil
	}
	return r
}

// faces takes from an SDP where the party listens and what it is sent.
func (r *relay) faces(sdp []byte) {
	r.aLaw.Store(lawOf(sdp) == "8")
	if to, ok := addressOf(sdp); ok {
		r.party.Store(&to)
	}
}

// takeSDP takes the far end's SDP. Owner only.
func (c *channel) takeSDP(sdp []byte) {
	c.leg.offer = sdp
	c.set("switch_r_sdp", string(sdp))
	if c.leg.relay != nil {
		c.leg.relay.faces(sdp)
	}
}

func (r *relay) run() {
	buf := make([]byte, 2048)
	for {
		n, _, err := r.conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		r.came.Add(1)
		if d, ok := r.keys.press(buf[:n]); ok {
			r.press(d)
		}
		if samples := frameOf(buf[:n]); samples != nil {
			r.hear(samples)
		}
		if to := r.to.Load(); to != nil {
			_, _ = r.conn.WriteToUDPAddrPort(buf[:n], *to)
		}
	}
}

// hear takes the party's voice.
func (r *relay) hear(samples []int16) {
	if r.inBand.Load() {
		r.hearTones(samples)
	}
	if !r.keep(samples) {
		return
	}
	if woken := r.woken.Load(); woken != nil {
		(*woken)()
	}
}

// quietLevel is the mean power of a frame below which start_dtmf takes it for silence, and that two in a row end a key (TeleTone).
const quietLevel = 100_000

// hearTones finds keys pressed as tones. One counts when it is quiet behind it.
func (r *relay) hearTones(samples []int16) {
	r.tones = append(r.tones, r.ears.Hear(samples)...)
	power := 0
	for _, v := range samples {
		power += int(v) * int(v)
	}
	if r.quiet++; power >= quietLevel*len(samples) {
		r.quiet = 0
	}
	if r.quiet < 2 {
		return
	}
	for _, key := range r.tones {
		r.press(digit{key, defaultDigit / 2, "INBAND_AUDIO"})
	}
	r.tones = r.tones[:0]
}

// keep puts a frame behind those that wait, if they are wanted, and reports whether it is the only one.
func (r *relay) keep(samples []int16) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.mixed {
		return false
	}
	if len(r.heard) == maxHeard {
		r.heard = append(r.heard[:0], r.heard[1:]...)
	}
	r.heard = append(r.heard, samples)
	return len(r.heard) == 1
}

// mix says whether the party's voice is kept for take, and who is told when there is some.
func (r *relay) mix(on bool, woken func()) {
	r.woken.Store(nil)
	if woken != nil {
		r.woken.Store(&woken)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mixed, r.heard = on, nil
}

// take is the next frame of the party's voice; nil = nothing has come.
func (r *relay) take() []int16 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.heard) == 0 {
		return nil
	}
	samples := r.heard[0]
	r.heard = r.heard[1:]
	return samples
}

// say sends a frame to the party.
func (r *relay) say(samples []int16) {
	to := r.party.Load()
	if to == nil {
		return
	}
	packet := make([]byte, 12+len(samples))
	packet[0] = 0x80
	r.mu.Lock()
	binary.BigEndian.PutUint16(packet[2:], r.seq)
	binary.BigEndian.PutUint32(packet[4:], r.stamp)
	r.seq, r.stamp = r.seq+1, r.stamp+uint32(len(samples))
	r.mu.Unlock()
	binary.BigEndian.PutUint32(packet[8:], r.source)
	for i, v := range samples {
		packet[12+i] = sound.ToULaw(v)
	}
	if r.aLaw.Load() {
		packet[1] = 8
		for i, v := range samples {
			packet[12+i] = sound.ToALaw(v)
		}
	}
	_, _ = r.conn.WriteToUDPAddrPort(packet, *to)
}

// sendKey sends a key to the other leg: as it begins, and three times that it has ended.
func (r *relay) sendKey(d digit, payload byte) {
	to := r.to.Load()
	event := strings.IndexByte(rtpKeys, d.key)
	if to == nil || event < 0 {
		return
	}
	packet := make([]byte, 16)
	packet[0], packet[1], packet[12], packet[13] = 0x80, 0x80|payload, byte(event), 10
	binary.BigEndian.PutUint32(packet[8:], r.source+1)
	binary.BigEndian.PutUint16(packet[14:], uint16(min(d.samples, 0xffff)))
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stamp += uint32(d.samples)
	binary.BigEndian.PutUint32(packet[4:], r.stamp)
	for range 4 {
		binary.BigEndian.PutUint16(packet[2:], r.seq)
		r.seq++
		_, _ = r.conn.WriteToUDPAddrPort(packet, *to)
		packet[1], packet[13] = payload, 0x80|10
	}
}

// player plays a sound to a party in real time, frame by frame, whenever its owner comes by.
type player struct {
	r     *relay // nil = nobody hears it
	src   sound.Source
	began time.Time
	sent  int
}

// play sends the frames that are due.
func (p *player) play() {
	if p.r == nil {
		return
	}
	var frame [sound.FrameSamples]int16
	for due := int(time.Since(p.began)/frameTime) + 1; p.sent < due; p.sent++ {
		if p.src.Next(frame[:]) {
			p.r.say(frame[:])
		}
	}
}

// frameTime is the length of a frame.
const frameTime = 20 * time.Millisecond

// frameOf is the voice in a packet of G.711; nil for any other.
func frameOf(p []byte) []int16 {
	if len(p) < 13 || p[0]>>6 != 2 || p[0]&0x1f != 0 || len(p) > 12+6*sound.FrameSamples {
		return nil
	}
	samples := make([]int16, len(p)-12)
	switch p[1] & 0x7f {
	case 0:
		for i, b := range p[12:] {
			samples[i] = sound.FromULaw(b)
		}
	case 8:
		for i, b := range p[12:] {
			samples[i] = sound.FromALaw(b)
		}
	default:
		return nil
	}
	return samples
}

// aim says where the voice goes: to the address and port of an SDP.
func (r *relay) aim(sdp []byte) {
	if to, ok := addressOf(sdp); ok {
		r.to.Store(&to)
	}
}

// addressOf is where the party of an SDP listens.
func addressOf(sdp []byte) (netip.AddrPort, bool) {
	ip, port := mediaOf(sdp)
	addr, err := netip.ParseAddr(ip)
	n, perr := strconv.ParseUint(port, 10, 16)
	if err != nil || perr != nil || n == 0 {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(addr, uint16(n)), true
}

// lawOf is the payload type of G.711 that an SDP prefers: "0" or "8"; "0" also when it names neither.
func lawOf(sdp []byte) string {
	for line := range strings.SplitSeq(string(sdp), "\n") {
		f := strings.Fields(line)
		if len(f) < 4 || f[0] != "m=audio" {
			continue
		}
		for _, payload := range f[3:] {
			if payload == "0" || payload == "8" {
				return payload
			}
		}
	}
	return "0"
}

// sdp puts the relay's port into an SDP that plainSDP made.
func (r *relay) sdp(plain []byte) []byte {
	port := netip.MustParseAddrPort(r.conn.LocalAddr().String()).Port()
	return bytes.Replace(plain, []byte("m=audio 9 "), []byte("m=audio "+strconv.Itoa(int(port))+" "), 1)
}

func (r *relay) close() { _ = r.conn.Close() }
