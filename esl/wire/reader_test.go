package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

// pieces gives its text in pieces of these sizes, again and again.
type pieces struct {
	text  []byte
	sizes []int
	n     int
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.text) == 0 {
		return 0, io.EOF
	}
	size := p.sizes[p.n%len(p.sizes)]
	p.n++
	n := copy(b[:min(len(b), size)], p.text)
	p.text = p.text[n:]
	return n, nil
}

// TestMessagesAreTheSameInWhateverPiecesTheyCome: small, larger than every buffer, and with a header that is; and a message
// stays as it was when the next ones are read.
func TestMessagesAreTheSameInWhateverPiecesTheyCome(t *testing.T) {
	var stream []byte
	var bodies []string
	for i, size := range []int{0, 1, 5000, 8192 - 50, 8192, 20_000, 70_000, 3, 200_000, 5000} {
		bodies = append(bodies, strings.Repeat(fmt.Sprint(i), size))
		stream = fmt.Appendf(stream, "Content-Type: %s\nContent-Length: %d\n\n%s", TypeAPIResponse, size, bodies[i])
		stream = AppendConnectReply(stream, []Field{{"Event-Name", "CHANNEL_DATA"}, {"variable_long", strings.Repeat(fmt.Sprint(i), 2*size)}}, true, true)
	}
	for _, sizes := range [][]int{{1 << 20}, {1}, {7, 4096, 1}, {8192}, {60_000, 3}} {
		r := NewReader(&pieces{text: stream, sizes: sizes}, Limits{})
		var all []*Message
		for {
			m, err := r.Read()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("pieces %v: %v", sizes, err)
			}
			all = append(all, m)
		}
		if len(all) != 2*len(bodies) {
			t.Fatalf("pieces %v: %d messages, want %d", sizes, len(all), 2*len(bodies))
		}
		for i, body := range bodies {
			if got := string(all[2*i].Body); got != body {
				t.Errorf("pieces %v: body %d has %d bytes, want %d", sizes, i, len(got), len(body))
			}
			e, err := ParseEvent(all[2*i+1])
			if err != nil {
				t.Fatal(err)
			}
			if got := e.Var("long"); got != body+body {
				t.Errorf("pieces %v: header %d has %d bytes, want %d", sizes, i, len(got), 2*len(body))
			}
		}
	}
}

func TestLongHeaderDoesNotKeepItsBuffer(t *testing.T) {
	stream := AppendConnectReply(nil, []Field{{"variable_long", strings.Repeat("x", 400_000)}}, true, true)
	stream = AppendAPIResponse(stream, "+OK")
	r := NewReader(&pieces{text: stream, sizes: []int{4096}}, Limits{})
	for range 2 {
		if _, err := r.Read(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.Read(); err != io.EOF {
		t.Fatal(err)
	}
	if len(r.buf) > largeBuffer {
		t.Errorf("the reader still holds %d bytes", len(r.buf))
	}
}

// TestHeadersInAnySpellingReadAlike: line ends and blanks that FreeSWITCH does not write, but might.
func TestHeadersInAnySpellingReadAlike(t *testing.T) {
	for _, in := range []string{"A: b\nContent-Length: 2\n\nok", "A: b\r\nContent-Length: 2\r\n\r\nok", "\n\r\nA:b\nContent-Length:   2\n\nok", "A:   b\r\nContent-Length:2\n\nok", "A: b\nContent-Length:2\r\n\nok"} {
		m, err := NewReader(strings.NewReader(in), Limits{}).Read()
		if err != nil {
			t.Fatal(err)
		}
		if m.Header.Get("A") != "b" || m.Header.Get("Content-Length") != "2" || m.Header.Len() != 2 || string(m.Body) != "ok" {
			t.Errorf("%q is read as %q, %q", in, m.Header.block, m.Body)
		}
	}
}

func TestSourceThatGivesNothingEnds(t *testing.T) {
	_, err := NewReader(readerFunc(func([]byte) (int, error) { return 0, nil }), Limits{}).Read()
	if !errors.Is(err, io.ErrNoProgress) || !errors.Is(err, ErrReset) {
		t.Errorf("got %v", err)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

// FuzzReaderPieces: the pieces in which a stream comes change neither its messages nor the error at its end.
func FuzzReaderPieces(f *testing.F) {
	f.Add([]byte("\nContent-Type: auth/request\r\n\r\nContent-Length: 3\n\nabcA:b\n\n"), 1, 5)
	f.Add([]byte("A:\r\n\nB: \n\n"), 1, 1)
	f.Add(AppendEventPlain(AppendConnectReply(nil, []Field{{"Event-Name", "X"}}, true, true), []Field{{"Event-Name", "Y"}}, []byte("z")), 3, 17)
	f.Fuzz(func(t *testing.T, in []byte, one, two int) {
		if one < 1 || two < 1 {
			t.Skip("pieces of nothing")
		}
		whole := NewReader(bytes.NewReader(in), fuzzLimits)
		cut := NewReader(&pieces{text: in, sizes: []int{one, two}}, fuzzLimits)
		for {
			a, errA := whole.Read()
			b, errB := cut.Read()
			if errA != nil || errB != nil {
				if fmt.Sprint(errA) != fmt.Sprint(errB) {
					t.Fatalf("whole: %v, in pieces: %v", errA, errB)
				}
				return
			}
			if a.ContentType() != b.ContentType() || !bytes.Equal(a.Header.block, b.Header.block) || !bytes.Equal(a.Body, b.Body) {
				t.Fatalf("whole: %q %q, in pieces: %q %q", a.Header.block, a.Body, b.Header.block, b.Body)
			}
		}
	})
}
