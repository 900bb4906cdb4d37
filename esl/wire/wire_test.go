package wire

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

var errReset = errors.New("connection reset by peer")

// TestReaderNamesEveryFault: each way a stream can be wrong has its own error.
func TestReaderNamesEveryFault(t *testing.T) {
	small := Limits{MaxLine: 64, MaxHeaders: 4, MaxHeaderBytes: 100, MaxBody: 10}
	tests := []struct {
		name, in string
		want     error
	}{
		{"end between messages", "Content-Type: a/b\n\n", io.EOF},
		{"nothing", "", io.EOF},
		{"only blank lines", "\n\r\n\n", io.EOF},
		{"cut in a header", "Content-Type: a", ErrTruncated},
		{"cut before the blank line", "Content-Type: a/b\n", ErrTruncated},
		{"cut in the body", "Content-Length: 5\n\nabc", ErrTruncated},
		{"negative length", "Content-Length: -5\n\n", ErrBadContentLength},
		{"signed length", "Content-Length: +5\n\nabcde", ErrBadContentLength},
		{"length with a tail", "Content-Length: 5x\n\nabcde", ErrBadContentLength},
		{"empty length", "Content-Length:\n\n", ErrBadContentLength},
		{"two lengths", "Content-Length: 1\ncontent-length: 2\n\nab", ErrBadContentLength},
		{"length above the limit", "Content-Length: 11\n\n12345678901", ErrBodyTooLarge},
		{"length beyond 64 bits", "Content-Length: 99999999999999999999\n\n", ErrBodyTooLarge},
		{"length of a novel", "Content-Length: 111111111111111111111111\n\n", ErrBadContentLength},
		{"long line", "A: " + strings.Repeat("x", 100) + "\n\n", ErrLineTooLong},
		{"endless line", strings.Repeat("x", 100000), ErrLineTooLong},
		{"endless headers", strings.Repeat("A: b\n", 100), ErrTooManyHeaders},
		{"endless header bytes", strings.Repeat("A: "+strings.Repeat("x", 50)+"\n", 3), ErrTooManyHeaders},
		{"endless blank lines", strings.Repeat("\n", 100), ErrTooManyHeaders},
		{"no colon", "Content-Type\n\n", ErrMalformedHeader},
		{"empty name", ": x\n\n", ErrMalformedHeader},
		{"NUL", "A: x\x00\n\n", ErrMalformedHeader},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := NewReader(strings.NewReader(tt.in), small)
			var err error
			for err == nil {
				_, err = r.Read()
			}
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if tt.want != io.EOF && errors.Is(err, io.EOF) {
				t.Errorf("%v looks like a clean end", err)
			}
		})
	}
}

func TestResetIsNamedAndKeepsItsCause(t *testing.T) {
	for in, want := range map[string]error{"Content-Ty": ErrTruncated, "Content-Length: 5\n\nab": ErrTruncated, "": ErrReset} {
		r := NewReader(io.MultiReader(strings.NewReader(in), iotest.ErrReader(errReset)), Limits{})
		_, err := r.Read()
		if !errors.Is(err, want) || !errors.Is(err, errReset) {
			t.Errorf("%q: got %v, want %v and the reset", in, err, want)
		}
	}
}

// TestHugeContentLengthTakesNoMemory: memory follows the bytes, not the claim.
func TestHugeContentLengthTakesNoMemory(t *testing.T) {
	r := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, err := NewReader(strings.NewReader("Content-Length: 16777216\n\nx"), Limits{}).Read()
			if !errors.Is(err, ErrTruncated) {
				b.Fatal(err)
			}
		}
	})
	if n := r.AllocedBytesPerOp(); n > 256<<10 {
		t.Errorf("a claimed 16 MiB body took %d bytes", n)
	}
}

func TestReaderReadsByteByByteAlike(t *testing.T) {
	in := AppendEventPlain(AppendAPIResponse(AppendAuthRequest(nil), "+OK\n"), []Field{{"Event-Name", "HEARTBEAT"}}, []byte("body"))
	r := NewReader(iotest.OneByteReader(bytes.NewReader(in)), Limits{})
	var types []string
	for {
		m, err := r.Read()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		types = append(types, m.ContentType())
	}
	if want := []string{TypeAuthRequest, TypeAPIResponse, TypeEventPlain}; !slices.Equal(types, want) {
		t.Errorf("got %q, want %q", types, want)
	}
}

func TestLargeBodyArrivesWhole(t *testing.T) {
	body := strings.Repeat("0123456789abcdef", 40_000)
	m, err := NewReader(strings.NewReader(string(AppendAPIResponse(nil, body))), Limits{}).Read()
	if err != nil || string(m.Body) != body {
		t.Errorf("%d bytes read, want %d, %v", len(m.Body), len(body), err)
	}
}

func TestParseEventRefusesWhatIsNoEvent(t *testing.T) {
	tests := []struct {
		in   string
		want error
	}{
		{"Content-Type: command/reply\nReply-Text: +OK\n\n", ErrNotEvent},
		{"Content-Type: api/response\nContent-Length: 2\n\nok", ErrNotEvent},
		{"X: y\n\n", ErrNotEvent},
		{"Content-Type: text/event-xml\nContent-Length: 4\n\n<e/>", ErrUnsupportedFormat},
		{"Content-Type: text/event-json\nContent-Length: 2\n\n[]", ErrMalformedEvent},
		{"Content-Type: text/event-json\nContent-Length: 4\n\n{\"a\"", ErrMalformedEvent},
		{"Content-Type: text/event-json\n\n", ErrMalformedEvent},
	}
	for _, tt := range tests {
		m, err := NewReader(strings.NewReader(tt.in), Limits{}).Read()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseEvent(m); !errors.Is(err, tt.want) {
			t.Errorf("%q: got %v, want %v", tt.in, err, tt.want)
		}
	}
}

func TestEncodingIsFreeSWITCHs(t *testing.T) {
	tests := []struct{ in, want string }{
		{"Mon, 23 Nov 2026 14:59:33 GMT", "Mon,%2023%20Nov%202026%2014%3A59%3A33%20GMT"},
		{"+OK\n", "%2BOK%0A"},
		{"//%(300,200,440)", "//%25(300,200,440)"},
		{"a%2Bb", "a%2Bb"},   // already looks encoded, stays
		{"a%2bb", "a%252bb"}, // lower case does not count
		{"50%", "50%25"},
		{"%4", "%254"},
		{"Zoë", "Zo%C3%AB"},
		{"$'()*,-./_!~", "$'()*,-./_!~"},
	}
	for _, tt := range tests {
		if got := string(AppendEncoded(nil, tt.in)); got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.in, got, tt.want)
		}
	}
	for _, tt := range []struct{ in, want string }{{"%2b%zz%4", "+%zz%4"}, {"_undef_", ""}, {"%", "%"}} {
		if got := Decode(tt.in); got != tt.want {
			t.Errorf("Decode(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

func TestEmptyValuesAndArraysInBothFormats(t *testing.T) {
	fields := []Field{{"Event-Name", "X"}, {"empty", ""}, {"list", "ARRAY::a b|:c"}, {"dup", "1"}, {"dup", "2"}, {"tab\"q", "\x01\t\"\\/"}}
	for _, frame := range [][]byte{AppendEventPlain(nil, fields, nil), AppendEventJSON(nil, fields, nil)} {
		m, err := NewReader(bytes.NewReader(frame), Limits{}).Read()
		if err != nil {
			t.Fatal(err)
		}
		e, err := ParseEvent(m)
		if err != nil {
			t.Fatal(err)
		}
		if v, ok := e.Lookup("empty"); v != "" || !ok {
			t.Errorf("%s: empty = %q, %v", m.ContentType(), v, ok)
		}
		if got := e.Array("list"); !slices.Equal(got, []string{"a b", "c"}) {
			t.Errorf("%s: list = %q", m.ContentType(), got)
		}
		if got := e.Get("dup"); got != "1" {
			t.Errorf("%s: first of two = %q, want 1", m.ContentType(), got)
		}
		if !slices.Equal(e.Fields(), fields) {
			t.Errorf("%s: %q, want %q", m.ContentType(), e.Fields(), fields)
		}
		if _, ok := e.Lookup("none"); ok || e.Array("none") != nil {
			t.Errorf("%s: a header that is not there was found", m.ContentType())
		}
	}
}

func TestHeaderInTheEventBodyIsNoHeader(t *testing.T) {
	frame := AppendEventPlain(nil, []Field{{"Event-Name", "MESSAGE"}}, []byte("x\nHangup-Cause: FORGED\n\n"))
	m, err := NewReader(bytes.NewReader(frame), Limits{}).Read()
	if err != nil {
		t.Fatal(err)
	}
	e, err := ParseEvent(m)
	if err != nil {
		t.Fatal(err)
	}
	if got := e.Get("Hangup-Cause"); got != "" {
		t.Errorf("a line of the body was taken for a header: %q", got)
	}
}

func TestCheckRefusesWhatWouldBeReadAsTwo(t *testing.T) {
	tests := []struct {
		command string
		want    error
	}{
		{"api status", nil},
		{"sendmsg\ncall-command: hangup", nil},
		{"sendmsg X\r\ncall-command: hangup", nil},
		{"sendmsg\ncontent-length: 3\n\nabc", nil},
		{"sendmsg X\r\nContent-Length: 5\r\n\r\na\n\nbc", nil},
		{"bgapi status\nJob-UUID: 1", nil},
		{"sendmsg\ncontent-length: 0", nil},
		{"", ErrCommandEmpty},
		{"\napi status", ErrCommandEmpty},
		{"api a\x00b", ErrNUL},
		{"api status\n\napi hupall", ErrBlankLine},
		{"api status\r\n\r\napi hupall", ErrBlankLine},
		{"api status\n\r\napi hupall", ErrLineEnds},
		{"api status\r\r\napi hupall", ErrLineEnds},
		{"api a\rb", ErrLineEnds},
		{"api a\nX: b", ErrNoHeaders},
		{"api a\n", ErrNoHeaders},
		{"sendmsg\n", ErrHeaderLine},
		{"sendmsg\nno colon", ErrHeaderLine},
		{"sendmsg\n a: b", ErrHeaderLine},
		{"sendmsg\na[1]: b", ErrHeaderLine},
		{"sendmsg\nX: a\n\nexit", ErrBlankLine},
		{"sendmsg\ncontent-length: 2\n\nabc", ErrBodyLength},
		{"sendmsg\ncontent-length: 4\n\nabc", ErrBodyLength},
		{"sendmsg\ncontent-length: 3", ErrBodyLength},
		{"sendmsg\ncontent-length: -1", ErrBodyLength},
		{"sendmsg\ncontent-length: 3x\n\nabc", ErrBodyLength},
		{"sendmsg\ncontent-length: 3\nContent-Length: 3\n\nabc", ErrDuplicate},
		{"sendmsg\nexecute-app-arg: a\nexecute-app-arg: b", ErrDuplicate},
		{"sendmsg\ncontent-length: 3\n\r\nabc", ErrLineEnds},
		{"sendmsg\r\na: b\ncontent-length: 3\r\n\r\nabc", ErrLineEnds},
		{"getvar caller_id_name", ErrRawReply},
		{strings.Repeat("x", MaxCommandBytes+1), ErrCommandTooLong},
	}
	for _, tt := range tests {
		err := Check(tt.command)
		if !errors.Is(err, tt.want) || (tt.want != nil && !errors.Is(err, ErrRefused)) {
			t.Errorf("%.60q: got %v, want %v", tt.command, err, tt.want)
		}
	}
}

func readCommands(t *testing.T, in []byte) []*Command {
	t.Helper()
	br := bufio.NewReader(bytes.NewReader(in))
	var all []*Command
	for {
		c, err := ReadCommand(br, Limits{})
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatalf("%q: %v", in, err)
		}
		all = append(all, c)
	}
}

func TestReadCommandReadsAsFreeSWITCHDoes(t *testing.T) {
	in := "\r\n\napi status\n\n" +
		"sendmsg abc\r\nCall-Command: execute\r\ncontent-length: 5\r\n\r\na\n\nbc" +
		"\n\nsendevent CUSTOM\nEvent-Subclass: a::b\nno colon\nZ: 1\nX:   y \nz:\n\n" +
		"exit\r\n\r\n"
	all := readCommands(t, []byte(in))
	if len(all) != 4 {
		t.Fatalf("%d commands, want 4: %+v", len(all), all)
	}
	if all[0].Verb() != "api" || all[0].Args() != "status" {
		t.Errorf("first: %+v", all[0])
	}
	if c := all[1]; c.Args() != "abc" || c.Get("call-command") != "execute" || string(c.Body) != "a\n\nbc" {
		t.Errorf("second: %+v", c)
	}
	if c := all[2]; c.Get("event-subclass") != "a::b" || c.Get("x") != "y " || len(c.Header) != 2 {
		t.Errorf("third: %+v", c)
	}
	if all[3].Line != "exit" {
		t.Errorf("fourth: %+v", all[3])
	}
}

func TestReadCommandBoundsAndFaults(t *testing.T) {
	small := Limits{MaxHeaders: 3, MaxHeaderBytes: 64, MaxBody: 10}
	tests := []struct {
		in   string
		want error
	}{
		{"", io.EOF},
		{"\n\n\n", io.EOF},
		{"api status\n", ErrTruncated},
		{"sendmsg\ncontent-length: 5\n\nabc", ErrTruncated},
		{"sendmsg\ncontent-length: 11\n\n", ErrBodyTooLarge},
		{"sendmsg\ncontent-length: 99999999999999999999999\n\n", ErrBodyTooLarge},
		{"sendmsg\na:1\nb:1\nc:1\nd:1\n\n", ErrTooManyHeaders},
		{strings.Repeat("x", 100), ErrTooManyHeaders},
		{"api \x00\n\n", ErrMalformedHeader},
		{"sendmsg\ncontent-length: -99999999999999999999999\n\n", nil},
	}
	for _, tt := range tests {
		_, err := ReadCommand(bufio.NewReader(strings.NewReader(tt.in)), small)
		if !errors.Is(err, tt.want) {
			t.Errorf("%.40q: got %v, want %v", tt.in, err, tt.want)
		}
	}
}

func TestReplyIsCutWhereFreeSWITCHCutsIt(t *testing.T) {
	frame := AppendReply(nil, strings.Repeat("x", 600))
	m, err := NewReader(bytes.NewReader(frame), Limits{}).Read()
	if err != nil || len(m.Header.Get("Reply-Text")) != 511 {
		t.Errorf("%d characters, %v", len(m.Header.Get("Reply-Text")), err)
	}
}

func ExampleCheck() {
	fmt.Println(Check("api uuid_setvar 1 name Anna\n\napi hupall"))
	// Output: command refused before it was sent: blank line without a content-length, it would be read as two
}
