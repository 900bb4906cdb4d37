package book

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/encoding/htmlindex"
	bom "golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

const (
	maxLine     = 64 << 10 // bytes of one line, and of one folded line
	maxNameText = 128      // bytes, as account.ContactEntry has them
)

// decoded gives the text of a file in UTF-8: a byte order mark says how it is encoded, else charset does, else it is UTF-8 already.
func decoded(r io.Reader, charset string) (io.Reader, error) {
	fallback := transform.Transformer(transform.Nop)
	if charset != "" {
		e, err := htmlindex.Get(charset)
		if err != nil {
			return nil, fmt.Errorf("%.40q is no character set that is known, such as windows-1252", charset)
		}
		fallback = e.NewDecoder()
	}
	return transform.NewReader(r, bom.BOMOverride(fallback)), nil
}

// lines reads a text line by line.
type lines struct {
	in      *bufio.Reader
	number  int      // of the line that next gave last
	pending []string // lines that were given back, the next one last
}

func newLines(r io.Reader) *lines { return &lines{in: bufio.NewReaderSize(r, maxLine)} }

// next gives a line without its end. Of a longer one than maxLine only the beginning is given, and long is true.
func (l *lines) next() (text string, long bool, err error) {
	if n := len(l.pending); n > 0 {
		text, l.pending = l.pending[n-1], l.pending[:n-1]
		l.number++
		return text, false, nil
	}
	raw, err := l.in.ReadSlice('\n')
	if len(raw) == 0 && err != nil {
		return "", false, err
	}
	long = errors.Is(err, bufio.ErrBufferFull)
	raw = bytes.Clone(raw)
	for errors.Is(err, bufio.ErrBufferFull) {
		_, err = l.in.ReadSlice('\n')
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return "", false, err
	}
	l.number++
	return strings.TrimRight(string(raw), "\r\n"), long, nil
}

// giveBack has next give lines again, in their order, that it gave last.
func (l *lines) giveBack(list ...string) {
	for _, text := range slices.Backward(list) {
		l.pending = append(l.pending, text)
	}
	l.number -= len(list)
}

// cleanName makes one line of a text, of at most as many bytes as a name has, without control characters and what nobody sees.
func cleanName(s string) string {
	var b strings.Builder
	space := false
	for _, r := range s {
		switch {
		case unicode.IsSpace(r) || r < ' ' || r == 0x7f:
			space = b.Len() > 0
			continue
		case unicode.Is(unicode.Cc, r), unicode.Is(unicode.Bidi_Control, r), r == utf8.RuneError, r == '\ufeff', r == '\u200b':
			continue
		}
		need := utf8.RuneLen(r)
		if space {
			need++
		}
		if b.Len()+need > maxNameText {
			break
		}
		if space {
			b.WriteByte(' ')
			space = false
		}
		b.WriteRune(r)
	}
	return b.String()
}

// folded is a name as names are compared: case and space do not count.
func folded(name string) string { return strings.ToLower(strings.Join(strings.Fields(name), " ")) }
