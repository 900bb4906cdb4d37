package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/opus"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
	"github.com/pion/webrtc/v4/pkg/media/oggreader"

	"github.com/signalbox/signalbox/internal/lab"
	"github.com/signalbox/signalbox/internal/sound"
)

const (
	// toneWeb is what a phone in a browser whistles: none of the other parties' tones, nor what two of them make together.
	toneWeb = 1010.0
	// opusFrame is 20 ms at the clock of Opus.
	opusFrame = 960
)

// webVoice is the voice of one call as a browser has it: Opus over SRTP, whose keys come by DTLS, over ICE, RTP and RTCP on one port. It
// whistles a tone, which was encoded beforehand, presses keys in the same stream (RFC 4733), and decodes what it hears.
type webVoice struct {
	pc      *webrtc.PeerConnection
	packets [][]byte // a tone, without a seam when it is said again and again
	ear     lab.Ear
	done    chan struct{}
	once    sync.Once
	wg      sync.WaitGroup

	mu    sync.Mutex
	out   webrtc.TrackLocalWriter // nil until the call is up
	ssrc  webrtc.SSRC
	opus  webrtc.PayloadType
	event webrtc.RTPCodecParameters
	keys  []byte
	bad   error // why it hears nothing
}

// newWebVoice makes a voice that waits for its call.
func newWebVoice(s *lab.Stage) *webVoice {
	packets, err := whistle()
	s.Must(err)
	v := &webVoice{packets: packets, done: make(chan struct{})}
	var codecs webrtc.MediaEngine
	for _, c := range []webrtc.RTPCodecParameters{
		{PayloadType: 111, RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2, SDPFmtpLine: "minptime=10;useinbandfec=1"}},
		{PayloadType: 110, RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: telephoneEvent, ClockRate: 48000}},
		{PayloadType: 126, RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: telephoneEvent, ClockRate: 8000}},
	} {
		s.Must(codecs.RegisterCodec(c, webrtc.RTPCodecTypeAudio))
	}
	var reports interceptor.Registry // RTCP, as a browser sends it
	s.Must(webrtc.ConfigureRTCPReports(&reports))
	var settings webrtc.SettingEngine
	settings.SetIncludeLoopbackCandidate(true)
	settings.SetInterfaceFilter(func(name string) bool { return name == "lo" || name == "lo0" })
	settings.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	settings.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	api := webrtc.NewAPI(webrtc.WithMediaEngine(&codecs), webrtc.WithInterceptorRegistry(&reports), webrtc.WithSettingEngine(settings))
	v.pc, err = api.NewPeerConnection(webrtc.Configuration{})
	s.Must(err)
	v.pc.OnTrack(func(t *webrtc.TrackRemote, _ *webrtc.RTPReceiver) { v.wg.Go(func() { v.listen(t) }) })
	_, err = v.pc.AddTrack(v)
	s.Must(err)
	v.wg.Go(v.talk)
	return v
}

const telephoneEvent = "audio/telephone-event"

// whistle reads the tone: 1010 Hz with a peak of 4000, at 24 kbit/s by opusenc of opus-tools, a packet of 20 ms in each page. Where it
// has settled, ten packets are a whole number of its periods.
func whistle() (packets [][]byte, err error) {
	f, err := os.Open(filepath.Join("testdata", "tone-1010.opus"))
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	r, err := oggreader.NewWithOptions(f)
	if err != nil {
		return nil, err
	}
	for {
		packet, _, err := r.ParseNextPage()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		packets = append(packets, packet)
	}
	if len(packets) < 32 {
		return nil, fmt.Errorf("the tone has %d packets", len(packets))
	}
	return packets[20:30], nil
}

// Bind, Unbind, ID, RID, StreamID and Kind are webrtc.TrackLocal. pion's own tracks send one payload type; keys have another.
func (v *webVoice) Bind(c webrtc.TrackLocalContext) (use webrtc.RTPCodecParameters, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, p := range c.CodecParameters() {
		switch {
		case strings.EqualFold(p.MimeType, webrtc.MimeTypeOpus):
			use = p
		case strings.EqualFold(p.MimeType, telephoneEvent) && v.event.PayloadType == 0:
			v.event = p
		}
	}
	if use.PayloadType == 0 || v.event.PayloadType == 0 {
		return use, fmt.Errorf("the switch takes no Opus, or no keys: %+v", c.CodecParameters())
	}
	v.out, v.ssrc, v.opus = c.WriteStream(), c.SSRC(), use.PayloadType
	return use, nil
}

func (v *webVoice) Unbind(webrtc.TrackLocalContext) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.out = nil
	return nil
}

func (v *webVoice) ID() string                { return "voice" }
func (v *webVoice) RID() string               { return "" }
func (v *webVoice) StreamID() string          { return "phone" }
func (v *webVoice) Kind() webrtc.RTPCodecType { return webrtc.RTPCodecTypeAudio }

// offer describes what the phone has, with all its addresses: FreeSWITCH takes none later.
func (v *webVoice) offer(ctx context.Context) (string, error) {
	offer, err := v.pc.CreateOffer(nil)
	if err != nil {
		return "", err
	}
	return v.gathered(ctx, offer)
}

// withMid is a session description of FreeSWITCH's, which names no mid, as a browser understands it (RFC 8829 section 5.10); pion does not.
func withMid(sdp string) string {
	if strings.Contains(sdp, "\na=mid:") {
		return sdp
	}
	return strings.Replace(sdp, "\r\nm=", "\r\na=group:BUNDLE 0\r\nm=", 1) + "a=mid:0\r\n"
}

// answer takes the other side's offer.
func (v *webVoice) answer(ctx context.Context, offer string) (string, error) {
	if err := v.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: withMid(offer)}); err != nil {
		return "", fmt.Errorf("%w\n%s", err, offer)
	}
	answer, err := v.pc.CreateAnswer(nil)
	if err != nil {
		return "", err
	}
	return v.gathered(ctx, answer)
}

func (v *webVoice) gathered(ctx context.Context, d webrtc.SessionDescription) (string, error) {
	all := webrtc.GatheringCompletePromise(v.pc)
	if err := v.pc.SetLocalDescription(d); err != nil {
		return "", err
	}
	select {
	case <-all:
		return v.pc.LocalDescription().SDP, nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// answered takes the other side's answer.
func (v *webVoice) answered(answer string) error {
	if err := v.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: withMid(answer)}); err != nil {
		return fmt.Errorf("%w\n%s", err, answer)
	}
	return nil
}

// press presses keys, one after the other.
func (v *webVoice) press(keys string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.keys = append(v.keys, keys...)
}

// How long a key is held, and how long the phone whistles before the next one, in frames.
const (
	heldFrames = 8
	keyPause   = 6
)

// talk sends a packet every 20 ms, from when the call is up until it is over.
func (v *webVoice) talk() {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	h := rtp.Header{Version: 2}
	held, pause := 0, 0
	for n := 0; ; n++ {
		select {
		case <-v.done:
			return
		case <-tick.C:
		}
		v.mu.Lock()
		out, voice, event := v.out, v.opus, v.event
		h.SSRC = uint32(v.ssrc)
		var key byte
		if len(v.keys) > 0 && pause == 0 {
			key = v.keys[0]
			if held+1 == heldFrames {
				v.keys = v.keys[1:]
			}
		}
		v.mu.Unlock()
		if out == nil {
			continue
		}
		if key == 0 || held == 0 {
			h.Timestamp = uint32(n * opusFrame) // of a key, when it was pressed
		}
		if key != 0 {
			held++
			hold(out, &h, event, key, held)
			if held == heldFrames {
				held, pause = 0, keyPause
			}
			continue
		}
		pause = max(0, pause-1)
		h.PayloadType, h.Marker = uint8(voice), false
		h.SequenceNumber++
		_, _ = out.WriteRTP(&h, v.packets[n%len(v.packets)]) // not connected yet, or no more
	}
}

// hold sends what is due of a key in a frame: one packet, the last one three times (RFC 4733 section 2.5.1.4).
func hold(out webrtc.TrackLocalWriter, h *rtp.Header, event webrtc.RTPCodecParameters, key byte, held int) {
	long := uint32(held) * event.ClockRate / 50
	payload := []byte{byte(strings.IndexByte("0123456789*#ABCD", key)), 10, byte(long >> 8), byte(long)}
	times := 1
	if held == heldFrames {
		payload[1] |= 0x80
		times = 3
	}
	h.PayloadType, h.Marker = uint8(event.PayloadType), held == 1
	for range times {
		h.SequenceNumber++
		_, _ = out.WriteRTP(h, payload)
	}
}

// listen decodes what comes.
func (v *webVoice) listen(t *webrtc.TrackRemote) {
	decoder, err := opus.NewDecoderWithOutput(sound.Rate, 1)
	for err == nil {
		var p *rtp.Packet
		if p, _, err = t.ReadRTP(); err != nil || len(p.Payload) == 0 || !strings.EqualFold(t.Codec().MimeType, webrtc.MimeTypeOpus) {
			continue
		}
		samples := make([]int16, sound.Rate*120/1000)
		var n int
		if n, err = decoder.DecodeToInt16(p.Payload, samples); err != nil {
			err = fmt.Errorf("decoding %x: %w", p.Payload, err)
			continue
		}
		v.ear.Take(samples[:n], time.Now())
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.bad = err
}

// failure says why the phone hears nothing, and how far it is.
func (v *webVoice) failure() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return fmt.Errorf("connection %s, ICE %s: %v", v.pc.ConnectionState(), v.pc.ICEConnectionState(), v.bad)
}

func (v *webVoice) close() {
	v.once.Do(func() {
		close(v.done)
		_ = v.pc.Close()
		v.wg.Wait()
	})
}
