package sipproxy

import (
	"bytes"
	"fmt"
	"strconv"
)

// frame finds the first message of a stream: skip bytes of line ends before it, then n bytes, 0 when it is not complete.
// Content-Length must be there (RFC 3261 18.3), once.
func frame(buf []byte, limit int) (skip, n int, err error) {
	for skip+1 < len(buf) && buf[skip] == '\r' && buf[skip+1] == '\n' {
		skip += 2
	}
	buf = buf[skip:]
	end := bytes.Index(buf, headEnd)
	if end < 0 {
		if len(buf) > limit {
			return skip, 0, fmt.Errorf("%w: no end of header in %d bytes", ErrTooLarge, len(buf))
		}
		return skip, 0, nil
	}
	length := -1
	for line := range bytes.SplitSeq(buf[:end], headEnd[:2]) {
		name, value, ok := bytes.Cut(line, []byte(":"))
		if !ok || len(name) == 0 || name[0] == ' ' || name[0] == '\t' || foldName(string(bytes.TrimSpace(name))) != "content-length" {
			continue
		}
		v, err := strconv.ParseUint(string(bytes.TrimSpace(value)), 10, 31)
		if err != nil || length >= 0 {
			return skip, 0, fmt.Errorf("%w: Content-Length %.40q", ErrMalformed, value)
		}
		length = int(v)
	}
	if length < 0 {
		return skip, 0, fmt.Errorf("%w: no Content-Length on a stream", ErrMalformed)
	}
	total := end + len(headEnd) + length
	if total > limit {
		return skip, 0, fmt.Errorf("%w: %d bytes", ErrTooLarge, total)
	}
	if len(buf) < total {
		return skip, 0, nil
	}
	return skip, total, nil
}
