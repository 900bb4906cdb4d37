package sipproxy

import (
	"bytes"
	"fmt"
	"strconv"
)

// framer finds the messages of one stream, which comes in pieces of any size.
type framer struct {
	limit int // of one message
	ends  int // bytes of line ends since the last message or ping
	need  int // bytes that the message under way has, once its head is here: before, there is nothing to look for
}

// next is frame for what is there now. ping says that the line ends before the message make up a keep-alive of RFC 5626 section 4.4.1, also when
// it came in pieces.
func (f *framer) next(buf []byte) (skip, n int, ping bool, err error) {
	if len(buf) < f.need {
		return 0, 0, false, nil
	}
	skip, n, err = measure(buf, f.limit)
	f.ends += skip
	ping, f.ends = f.ends >= 4, f.ends%4
	if f.need = n; n > len(buf)-skip {
		return skip, 0, ping, err
	}
	if n > 0 {
		f.ends, f.need = 0, 0
	}
	return skip, n, ping, err
}

// frame finds the first message of a stream: skip bytes of line ends before it, then n bytes, 0 when it is not complete.
func frame(buf []byte, limit int) (skip, n int, err error) {
	if skip, n, err = measure(buf, limit); n > len(buf)-skip {
		n = 0
	}
	return skip, n, err
}

// measure is how long the first message of a stream is, whether all of it is here or not; 0 when that is not known yet.
// Content-Length must be there (RFC 3261 18.3), once.
func measure(buf []byte, limit int) (skip, n int, err error) {
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
	return skip, total, nil
}
