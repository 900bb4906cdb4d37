package sipproxy

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// SIP over WebSocket (RFC 7118): one message in each WebSocket message, the subprotocol is "sip", and responses go down the
// connection their request came on.

var errWebSocket = errors.New("sipproxy: websocket")

// maxUpgrade bounds the HTTP request that opens a WebSocket, in header lines.
const maxUpgrade = 64

// upgrade takes the HTTP request of a browser. Which pages may connect is Listener.Origins; a device that is no browser sends none.
func (c *conn) upgrade() error {
	_ = c.nc.SetDeadline(time.Now().Add(handshakeTimeout))
	defer func() { _ = c.nc.SetDeadline(time.Time{}) }()
	lines, offered := 0, false
	u := ws.Upgrader{
		ReadBufferSize: 4096, // the longest request line or header
		Protocol: func(p []byte) bool {
			offered = offered || strings.EqualFold(string(p), "sip")
			return offered
		},
		OnHeader: func(key, value []byte) error {
			if lines++; lines > maxUpgrade {
				return ws.RejectConnectionError(ws.RejectionStatus(http.StatusRequestHeaderFieldsTooLarge))
			}
			if strings.EqualFold(string(key), "Origin") && !c.lis.mayEmbed(string(value)) {
				return ws.RejectConnectionError(ws.RejectionStatus(http.StatusForbidden), ws.RejectionReason("this origin may not connect"))
			}
			return nil
		},
		OnBeforeUpgrade: func() (ws.HandshakeHeader, error) {
			if !offered {
				return nil, noSubprotocol
			}
			return nil, nil
		},
	}
	_, err := u.Upgrade(c.nc)
	return err
}

// noSubprotocol refuses who speaks something else than SIP, while HTTP can still say so.
var noSubprotocol = ws.RejectConnectionError(ws.RejectionStatus(http.StatusBadRequest),
	ws.RejectionReason("this WebSocket speaks SIP: ask for it with Sec-WebSocket-Protocol: sip (RFC 7118)"))

// mayEmbed reports whether pages of an origin may connect.
func (l *listener) mayEmbed(origin string) bool {
	if len(l.origins) == 0 {
		return true
	}
	for _, o := range l.origins {
		if strings.EqualFold(o, origin) {
			return true
		}
	}
	return false
}

// readWS hands on the messages of a WebSocket.
func (c *conn) readWS() {
	defer c.close()
	p := c.p
	var msg []byte
	for {
		c.wait(len(msg) > 0)
		h, err := ws.ReadHeader(c.nc)
		if err != nil {
			return
		}
		limit := int64(p.opt.Limits.MaxMessage)
		if !h.Masked || h.Rsv != 0 || h.Length < 0 || h.OpCode.IsControl() && (h.Length > ws.MaxControlFramePayloadSize || !h.Fin) || int64(len(msg))+h.Length > limit {
			c.offend("websocket frame", fmt.Errorf("%w: opcode %d, %d bytes, masked %v", errWebSocket, h.OpCode, h.Length, h.Masked))
			return
		}
		body := make([]byte, h.Length)
		_ = c.nc.SetReadDeadline(time.Now().Add(partTimeout))
		if _, err := io.ReadFull(c.nc, body); err != nil {
			return
		}
		ws.Cipher(body, h.Mask, 0)
		switch h.OpCode {
		case ws.OpPing:
			c.push(outgoing{control: ws.MustCompileFrame(ws.NewPongFrame(body))})
			continue
		case ws.OpPong:
			continue
		case ws.OpClose:
			c.push(outgoing{control: ws.MustCompileFrame(ws.NewCloseFrame(nil))})
			return
		}
		if msg = append(msg, body...); !h.Fin {
			continue
		}
		if whole := msg; len(strings.Trim(string(whole[:min(len(whole), 8)]), "\r\n")) == 0 {
			c.push(outgoing{raw: []byte("\r\n")}) // the keep-alive of RFC 5626 4.4.1
		} else if !c.take(whole) {
			return
		}
		msg = nil
	}
}

// write puts one message on the connection.
func (c *conn) write(o outgoing) error {
	_ = c.nc.SetWriteDeadline(time.Now().Add(writeTimeout))
	raw := o.raw
	switch {
	case o.control != nil:
		raw = o.control
	case c.lis.webSocket():
		op := ws.OpText
		if !utf8.Valid(o.raw) {
			op = ws.OpBinary
		}
		frame, err := ws.CompileFrame(ws.NewFrame(op, true, o.raw))
		if err != nil {
			return err
		}
		raw = frame
	}
	_, err := c.nc.Write(raw)
	return err
}

func (l *listener) webSocket() bool { return l.network == "ws" || l.network == "wss" }
