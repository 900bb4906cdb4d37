package lab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/signalbox/signalbox/internal/sound"
)

// frame is 20 ms of PCMU, frameTime its length.
const (
	frameBytes = 160
	frameTime  = 20 * time.Millisecond
)

// media is the voice of one call: a stream of PCMU frames that all consist of one byte, the agent's own voice, and counters
// of the frames that came, by the voice they carry. PCMU goes through FreeSWITCH unchanged, so a party that counts
// frames with the other one's voice has heard him.
type media struct {
	voice byte
	aLaw  bool       // of a tone, and of keys in the voice
	tone  sound.Tone // owned by write; a tone in the place of the byte, when singing
	keys  keyboard
	ear   Ear
	conn  *net.UDPConn
	addr  netip.AddrPort
	heard [256]atomic.Int64
	last  [256]atomic.Int64 // when that voice was last heard, in Unix nanoseconds
	kick  func()

	mu     sync.Mutex
	remote netip.AddrPort
	talk   bool
	sings  bool
	hz     float64 // 0 = silence

	done chan struct{}
	wg   sync.WaitGroup
}

// openMedia opens a socket and begins to listen; nothing is sent before both start and aim. kick is called after each frame.
func openMedia(ip netip.Addr, voice byte, hz float64, aLaw bool, kick func()) (*media, error) {
	conn, err := net.ListenUDP(family("udp", ip), net.UDPAddrFromAddrPort(netip.AddrPortFrom(ip, 0)))
	if err != nil {
		return nil, fmt.Errorf("opening a socket for voice: %w", err)
	}
	m := &media{voice: voice, sings: hz != 0, hz: hz, aLaw: aLaw, conn: conn, addr: conn.LocalAddr().(*net.UDPAddr).AddrPort(), kick: kick, done: make(chan struct{})}
	m.wg.Add(2)
	go m.read()
	go m.write()
	return m, nil
}

func (m *media) closed() bool {
	select {
	case <-m.done:
		return true
	default:
		return false
	}
}

func (m *media) close() {
	close(m.done)
	_ = m.conn.Close()
	m.wg.Wait()
}

// aim says where the far end wants its voice packets.
func (m *media) aim(remote netip.AddrPort) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.remote = remote
}

// sing changes the tone.
func (m *media) sing(hz float64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sings, m.hz = true, hz
}

// start begins to talk.
func (m *media) start() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.talk = true
}

func (m *media) read() {
	defer m.wg.Done()
	buf := make([]byte, 2048)
	for {
		n, err := m.conn.Read(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if voice, ok := frameVoice(buf[:max(n, 0)]); ok && err == nil {
			m.heard[voice].Add(1)
			now := time.Now()
			m.last[voice].Store(now.UnixNano())
			if kind := buf[1] & 0x7f; kind == 0 || kind == 8 {
				m.ear.takeG711(buf[12:n], kind == 8, now)
			}
			m.kick()
		}
	}
}

// frameVoice names the voice of an RTP packet: the byte that most of its payload consists of, taken from the middle, where a
// switch that mixes at the edges has changed nothing.
func frameVoice(p []byte) (byte, bool) {
	if len(p) < 12 || p[0]>>6 != 2 {
		return 0, false
	}
	payload := p[12:]
	if len(payload) == 0 {
		return 0, false
	}
	middle := payload[len(payload)/2]
	same := 0
	for _, b := range payload {
		if b == middle {
			same++
		}
	}
	if same*2 <= len(payload) {
		return 0, true // a mixture: a tone, a prompt
	}
	return middle, true
}

func (m *media) write() {
	defer m.wg.Done()
	tick := time.NewTicker(frameTime)
	defer tick.Stop()
	packet := make([]byte, 12+frameBytes)
	packet[0], packet[1] = 0x80, 0 // version 2, payload type 0 = PCMU
	binary.BigEndian.PutUint32(packet[8:], uint32(m.voice)<<16|uint32(m.addr.Port()))
	var seq uint16
	var stamp uint32
	var samples [frameBytes]int16
	for {
		select {
		case <-m.done:
			return
		case <-tick.C:
		}
		m.mu.Lock()
		remote, talk, sings, hz := m.remote, m.talk, m.sings, m.hz
		m.mu.Unlock()
		if sings {
			m.kick() // who is sent nothing is woken by nothing else
		}
		if !talk || !remote.IsValid() {
			continue
		}
		send := func(p []byte) { _, _ = m.conn.WriteToUDPAddrPort(p, remote) } // nobody there any more: the next one will tell
		key, hush := m.keys.next()
		if key != nil && !key.inBand {
			if key.sent == 1 {
				key.stamp = stamp
			}
			key.event(packet, &seq, send)
			stamp += frameBytes
			continue
		}
		switch {
		case key != nil:
			key.tone.Next(samples[:])
			m.encode(packet, samples[:])
		case hush, sings && hz == 0:
			m.encode(packet, make([]int16, frameBytes))
		case sings:
			m.tone.Level, m.tone.Hz = toneLevel, []float64{hz}
			m.tone.Next(samples[:])
			m.encode(packet, samples[:])
		default:
			fill(packet[12:], m.voice)
		}
		binary.BigEndian.PutUint16(packet[2:], seq)
		binary.BigEndian.PutUint32(packet[4:], stamp)
		seq, stamp = seq+1, stamp+frameBytes
		send(packet)
	}
}

// encode writes samples into a packet.
func (m *media) encode(packet []byte, samples []int16) {
	packet[1] = 0
	for i, v := range samples {
		packet[12+i] = sound.ToULaw(v)
	}
	if !m.aLaw {
		return
	}
	packet[1] = 8
	for i, v := range samples {
		packet[12+i] = sound.ToALaw(v)
	}
}

func fill(out []byte, b byte) {
	for i := range out {
		out[i] = b
	}
}

// count counts the frames of a voice.
func (m *media) count(voice byte) int64 { return m.heard[voice].Load() }

// total counts the frames of all voices.
func (m *media) total() (n int64) {
	for i := range m.heard {
		n += m.heard[i].Load()
	}
	return n
}

// sdp is the session description of an agent in a call: PCMU and nothing else, so that FreeSWITCH need not transcode; one with a tone has keys too, and may be of the
// other law.
func (a *Agent) sdp(m *media) string {
	plain := offerSDP(a.opts.Name, m.addr)
	if a.opts.Hz == 0 {
		return plain
	}
	if a.opts.ALaw {
		plain = strings.NewReplacer("RTP/AVP 0\r\n", "RTP/AVP 8\r\n", "rtpmap:0 PCMU", "rtpmap:8 PCMA").Replace(plain)
	}
	return strings.NewReplacer("RTP/AVP 8\r\n", fmt.Sprintf("RTP/AVP 8 %d\r\n", eventPayload), "RTP/AVP 0\r\n", fmt.Sprintf("RTP/AVP 0 %d\r\n", eventPayload),
		"a=ptime:", fmt.Sprintf("a=rtpmap:%d telephone-event/8000\r\na=fmtp:%[1]d 0-15\r\na=ptime:", eventPayload)).Replace(plain)
}

// offerSDP is the session description of an agent without keys.
func offerSDP(name string, addr netip.AddrPort) string {
	at := family("IN IP", addr.Addr()) + " " + addr.Addr().String()
	return "v=0\r\no=" + name + " 1 1 " + at + "\r\ns=lab\r\nc=" + at +
		"\r\nt=0 0\r\nm=audio " + strconv.Itoa(int(addr.Port())) + " RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na=ptime:20\r\na=sendrecv\r\n"
}

// readSDP gives the address at which the far end wants voice.
func readSDP(body string) (netip.AddrPort, bool) {
	var host, mediaHost, port string
	seenMedia := false
	for line := range strings.Lines(body) {
		line = strings.TrimRight(line, "\r\n")
		switch {
		case (strings.HasPrefix(line, "c=IN IP4 ") || strings.HasPrefix(line, "c=IN IP6 ")) && !seenMedia:
			host = line[len("c=IN IP4 "):]
		case (strings.HasPrefix(line, "c=IN IP4 ") || strings.HasPrefix(line, "c=IN IP6 ")) && mediaHost == "":
			mediaHost = line[len("c=IN IP4 "):]
		case strings.HasPrefix(line, "m=audio ") && !seenMedia:
			seenMedia = true
			if f := strings.Fields(line); len(f) > 1 {
				port = f[1]
			}
		case strings.HasPrefix(line, "m=") && seenMedia && mediaHost == "":
			mediaHost = host
		}
	}
	if mediaHost != "" {
		host = mediaHost
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return netip.AddrPort{}, false
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(addr, uint16(n)), true
}

// The voices of the lab's parties.
const (
	voiceCaller   byte = 0x11
	voicePhone    byte = 0x22
	voiceMailA    byte = 0x33
	voiceMailB    byte = 0x44
	voiceOperator byte = 0x66
)

// voiceName names the party that talks so.
func voiceName(v byte) string {
	switch v {
	case voiceCaller:
		return ColCaller
	case voicePhone:
		return ColPhone
	case voiceMailA:
		return ColVoicemail + "-1"
	case voiceMailB:
		return ColVoicemail + "-2"
	case voiceOperator:
		return ColOperator
	}
	return fmt.Sprintf("voice %#02x", v)
}
