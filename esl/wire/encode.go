package wire

import (
	"fmt"
	"strconv"
)

// The functions of this file write what FreeSWITCH writes, byte for byte as the
// recordings show it. They are for simulators and tests.

// Goodbye is the body of the notice with which FreeSWITCH ends a connection.
const Goodbye = "Disconnected, goodbye.\nSee you at ClueCon! http://www.cluecon.com/\n"

// appendFields writes "Name: value" lines, URL-encoded; an empty value is
// written "_undef_".
func appendFields(dst []byte, fields []Field) []byte {
	for _, f := range fields {
		dst = append(dst, f.Name...)
		dst = append(dst, ": "...)
		if f.Value == "" {
			dst = append(dst, undef...)
		} else {
			dst = AppendEncoded(dst, f.Value)
		}
		dst = append(dst, '\n')
	}
	return dst
}

// AppendEventPlain writes one event as a whole frame, Content-Length before
// Content-Type. Fields are decoded values in order; an array is written as
// "ARRAY::a|:b". The Content-Length of an event's own body is added here.
func AppendEventPlain(dst []byte, fields []Field, body []byte) []byte {
	event := appendFields(nil, fields)
	if len(body) > 0 {
		event = append(event, "Content-Length: "...)
		event = strconv.AppendInt(event, int64(len(body)), 10)
		event = append(event, "\n\n"...)
		event = append(event, body...)
	} else {
		event = append(event, '\n')
	}
	return append(appendEventHead(dst, TypeEventPlain, len(event)), event...)
}

// AppendEventJSON writes one event as a whole frame in FreeSWITCH's JSON: one
// line, members in order, '/' and UTF-8 as they are, an "ARRAY::" value as an
// array. With a body come the members Content-Length and _body.
func AppendEventJSON(dst []byte, fields []Field, body []byte) []byte {
	event := []byte{'{'}
	for i, f := range fields {
		if i > 0 {
			event = append(event, ',')
		}
		event = append(appendJSONString(event, f.Name), ':')
		event = appendJSONValue(event, f.Value)
	}
	if len(body) > 0 {
		if len(fields) > 0 {
			event = append(event, ',')
		}
		event = append(event, `"Content-Length":"`...)
		event = strconv.AppendInt(event, int64(len(body)), 10)
		event = append(event, `","_body":`...)
		event = appendJSONString(event, string(body))
	}
	event = append(event, '}')
	return append(appendEventHead(dst, TypeEventJSON, len(event)), event...)
}

func appendEventHead(dst []byte, contentType string, n int) []byte {
	dst = append(dst, "Content-Length: "...)
	dst = strconv.AppendInt(dst, int64(n), 10)
	dst = append(dst, "\nContent-Type: "...)
	dst = append(dst, contentType...)
	return append(dst, "\n\n"...)
}

func appendJSONValue(dst []byte, v string) []byte {
	items := SplitArray(v)
	if len(items) == 1 {
		return appendJSONString(dst, items[0])
	}
	dst = append(dst, '[')
	for i, item := range items {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendJSONString(dst, item)
	}
	return append(dst, ']')
}

// appendJSONString escapes as FreeSWITCH's cJSON does.
func appendJSONString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c == '\b':
			dst = append(dst, `\b`...)
		case c == '\f':
			dst = append(dst, `\f`...)
		case c == '\n':
			dst = append(dst, `\n`...)
		case c == '\r':
			dst = append(dst, `\r`...)
		case c == '\t':
			dst = append(dst, `\t`...)
		case c < ' ':
			dst = fmt.Appendf(dst, `\u%04x`, c)
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}

// AppendConnectReply writes the answer to "connect" on an outbound socket: the
// channel's data, URL-encoded, and behind it Content-Type, Reply-Text,
// Socket-Mode and Control, as the words "async" and "full" of the socket
// application say.
func AppendConnectReply(dst []byte, channel []Field, async, full bool) []byte {
	mode, control := "static", "single-channel"
	if async {
		mode = "async"
	}
	if full {
		control = "full"
	}
	dst = appendFields(dst, channel)
	dst = appendFields(dst, []Field{
		{"Content-Type", TypeCommandReply}, {"Reply-Text", "+OK\n"},
		{"Socket-Mode", mode}, {"Control", control},
	})
	return append(dst, '\n')
}

// maxReply is the size of the buffer FreeSWITCH formats the text of a reply in,
// its end byte included: longer replies are cut.
const maxReply = 512

// AppendReply writes a command/reply. The text is not encoded, and is cut to 511
// bytes as FreeSWITCH cuts it. Extra headers stand behind Reply-Text, as the
// Job-UUID of "bgapi" does.
func AppendReply(dst []byte, text string, extra ...Field) []byte {
	if len(text) >= maxReply {
		text = text[:maxReply-1]
	}
	dst = append(dst, "Content-Type: command/reply\n"...)
	dst = appendLine(dst, "Reply-Text", text)
	for _, f := range extra {
		dst = appendLine(dst, f.Name, f.Value)
	}
	return append(dst, '\n')
}

// AppendAPIResponse writes an api/response. An empty result becomes
// "-ERR no reply\n", as on FreeSWITCH.
func AppendAPIResponse(dst []byte, body string) []byte {
	if body == "" {
		body = "-ERR no reply\n"
	}
	return appendBodied(dst, TypeAPIResponse, body)
}

func appendBodied(dst []byte, contentType, body string) []byte {
	dst = append(dst, "Content-Type: "...)
	dst = append(dst, contentType...)
	dst = append(dst, "\nContent-Length: "...)
	dst = strconv.AppendInt(dst, int64(len(body)), 10)
	dst = append(dst, "\n\n"...)
	return append(dst, body...)
}

// AppendAuthRequest writes the greeting of an inbound socket.
func AppendAuthRequest(dst []byte) []byte {
	return append(dst, "Content-Type: auth/request\n\n"...)
}

// AppendRudeRejection writes what an address outside the access list gets.
func AppendRudeRejection(dst []byte) []byte {
	return appendBodied(dst, TypeRudeRejection, "Access Denied, go away.\n")
}

// AppendDisconnect writes the last notice of a connection. An outbound socket
// names its channel; an inbound one gives "" for uuid.
func AppendDisconnect(dst []byte, uuid string) []byte {
	if uuid == "" {
		return appendBodied(dst, TypeDisconnectNotice, Goodbye)
	}
	return fmt.Appendf(dst, "Content-Type: text/disconnect-notice\nControlled-Session-UUID: %s\n"+
		"Content-Disposition: disconnect\nContent-Length: %d\n\n%s", uuid, len(Goodbye), Goodbye)
}

// AppendLinger writes the notice that the channel is gone and the connection
// stays for so many seconds (-1: for ever).
func AppendLinger(dst []byte, uuid, channelName string, seconds int) []byte {
	return fmt.Appendf(dst, "Content-Type: text/disconnect-notice\nControlled-Session-UUID: %s\n"+
		"Content-Disposition: linger\nChannel-Name: %s\nLinger-Time: %d\nContent-Length: 0\n\n",
		uuid, channelName, seconds)
}
