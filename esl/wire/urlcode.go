package wire

import (
	"bytes"
	"strings"
)

// undef is what FreeSWITCH writes for an empty value in a plain event.
const undef = "_undef_"

const upperHex = "0123456789ABCDEF"

// urlUnsafe holds the printable characters FreeSWITCH percent-encodes in
// header values, besides everything outside ' '..'~'.
const urlUnsafe = "\r\n #%&+:;<=>?@[\\]^`{|}\""

// AppendEncoded appends s as FreeSWITCH encodes a header value of a plain
// event: percent-encoding with upper-case digits, and, like FreeSWITCH, a '%'
// that is already followed by two upper-case hexadecimal digits stays as it is. That
// makes the coding lossy for such values ("100%AB" comes back as 0x31 0x30 0x30 0xAB);
// it is the switch's own behaviour.
func AppendEncoded(dst []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '%' && len(s)-i > 2 && isUpperHex(s[i+1]) && isUpperHex(s[i+2]):
			dst = append(dst, c)
		case c < ' ' || c > '~' || strings.IndexByte(urlUnsafe, c) >= 0:
			dst = append(dst, '%', upperHex[c>>4], upperHex[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

func isUpperHex(c byte) bool { return c >= '0' && c <= '9' || c >= 'A' && c <= 'F' }

// Decode undoes the percent-encoding of a header value. A '%' that is not
// followed by two hexadecimal digits stays as it is; nothing fails. "_undef_",
// which FreeSWITCH writes for an empty value, becomes "".
func Decode(s string) string {
	if s == undef {
		return ""
	}
	i := strings.IndexByte(s, '%')
	if i < 0 {
		return s
	}
	return string(appendDecoded(make([]byte, 0, len(s)), s))
}

// decodeBytes is Decode for bytes; it copies once.
func decodeBytes(b []byte) string {
	if bytes.IndexByte(b, '%') < 0 {
		if string(b) == undef {
			return ""
		}
		return string(b)
	}
	var room [256]byte
	return string(appendDecoded(room[:0], b))
}

func appendDecoded[T string | []byte](dst []byte, s T) []byte {
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && len(s)-i > 2 {
			hi, lo := unhex(s[i+1]), unhex(s[i+2])
			if hi >= 0 && lo >= 0 {
				dst = append(dst, byte(hi<<4|lo))
				i += 2
				continue
			}
		}
		dst = append(dst, s[i])
	}
	return dst
}

func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	}
	return -1
}
