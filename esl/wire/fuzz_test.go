package wire

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"unicode/utf8"
)

var fuzzLimits = Limits{MaxLine: 1 << 12, MaxHeaders: 64, MaxHeaderBytes: 1 << 14, MaxBody: 1 << 14}

var readerFaults = []error{io.EOF, ErrTruncated, ErrLineTooLong, ErrTooManyHeaders, ErrMalformedHeader, ErrBadContentLength, ErrBodyTooLarge}

func named(err error, faults []error) bool {
	for _, f := range faults {
		if errors.Is(err, f) {
			return true
		}
	}
	return false
}

// FuzzReader: any stream ends with a named error, within the limits, and whatever
// header was read is found again by its name.
func FuzzReader(f *testing.F) {
	f.Add([]byte("Content-Type: auth/request\n\nContent-Type: command/reply\nReply-Text: +OK accepted\n\n"))
	f.Add(AppendEventPlain(nil, []Field{{"Event-Name", "CUSTOM"}, {"X", "a b"}}, []byte("body")))
	f.Add([]byte("Content-Length: -1\n\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		r := NewReader(bytes.NewReader(in), fuzzLimits)
		for {
			m, err := r.Read()
			if err != nil {
				if !named(err, readerFaults) {
					t.Fatalf("error without a name: %v", err)
				}
				return
			}
			if m.Header.Len() == 0 || m.Header.Len() > fuzzLimits.MaxHeaders || len(m.Body) > fuzzLimits.MaxBody {
				t.Fatalf("%d headers, body of %d", m.Header.Len(), len(m.Body))
			}
			m.Header.Each(func(name, _ string) {
				if !m.Header.Has(name) {
					t.Fatalf("header %q is listed and not found", name)
				}
			})
			_, _ = ParseEvent(m)
		}
	})
}

// FuzzEvent: an event of any content can be read, and every header listed is found
// by its name with the value of the first of that name.
func FuzzEvent(f *testing.F) {
	f.Add([]byte("Event-Name: CUSTOM\nEvent-Subclass: a%3A%3Ab\nContent-Length: 2\n\nhi"), false)
	f.Add([]byte(strings.Repeat("variable_a: b\n", nearLines)+"A:B: c\nfar: 1\nno header\nfar: 2\n\nfar: 3"), false)
	f.Add([]byte(`{"Event-Name":"X","list":["a","b"],"n":1,"_body":"é"}`), true)
	f.Add([]byte("{\"a\\\"b\": {\"x\":[1,{}]} , \"c\":null}"), true)
	f.Fuzz(func(t *testing.T, body []byte, isJSON bool) {
		contentType := TypeEventPlain
		if isJSON {
			contentType = TypeEventJSON
		}
		e, err := ParseEvent(NewMessage(NewHeader(Field{"Content-Type", contentType}), body))
		if err != nil {
			if !errors.Is(err, ErrMalformedEvent) && !errors.Is(err, ErrTooManyHeaders) {
				t.Fatalf("error without a name: %v", err)
			}
			return
		}
		first := map[string]string{}
		e.Each(func(name, value string) {
			if _, ok := first[name]; !ok {
				first[name] = value
			}
		})
		for name, want := range first {
			if got, ok := e.Lookup(name); !ok || got != want {
				t.Fatalf("%q: Lookup gives %q %v, Each %q", name, got, ok, want)
			}
		}
		_, _, _, _ = e.Sequence(), e.Time(), e.UUID(), e.Array("list")
	})
}

// FuzzJSONEvent: what is taken for a JSON event is what encoding/json takes for an object, with the same members.
func FuzzJSONEvent(f *testing.F) {
	for _, seed := range []string{`{}`, `{} `, ` { "a" : "b" , "c":["d","e"],"f":{"g":[1,-2.5e3,true,null]} } `, `{"a":"\\"\u00e9\/"}`, `{"a":"\u00"}`, `{"a":"\x"}`,
		`{"a"}`, `{"a":}`, `{"a":1,}`, `{,"a":1}`, `{"a":1}}`, `{"a":1 2}`, `{"a":[}`, `{"a":"` + "\n" + `"}`, `{"a":"b`, `{"a":tru}`, `{a:1}`, `[]`, `{"a":1}{"b":2}`, `{"a":"\`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		e, err := parseJSONEvent(text)
		if errors.Is(err, ErrTooManyHeaders) {
			return
		}
		var want map[string]json.RawMessage
		wantErr := json.Unmarshal(text, &want)
		if want == nil && wantErr == nil {
			wantErr = errors.New("null is no object")
		}
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("%q: we say %v, encoding/json %v", text, err, wantErr)
		}
		if err != nil || !utf8.Valid(text) { // encoding/json replaces what is no UTF-8
			return
		}
		names := make(map[string]bool)
		e.Each(func(name, _ string) { names[name] = true })
		for name := range want {
			if !names[name] && name != "_body" {
				t.Fatalf("%q: member %q is missing", text, name)
			}
		}
	})
}

// FuzzEventRoundTrip: what the encoders write is read back, in both formats.
func FuzzEventRoundTrip(f *testing.F) {
	f.Add("variable_x", "a b\n%zz", "body")
	f.Fuzz(func(t *testing.T, name, value, body string) {
		if !isToken(name) || strings.Contains(name, ":") || name == "_body" || value == undef ||
			strings.HasPrefix(value, "ARRAY::") || string(AppendEncoded(nil, value)) != string(AppendEncoded(nil, Decode(string(AppendEncoded(nil, value))))) {
			t.Skip("not what FreeSWITCH can carry")
		}
		if Decode(string(AppendEncoded(nil, value))) != value || !utf8.ValidString(value) || !utf8.ValidString(body) {
			t.Skip("lossy in FreeSWITCH's own coding")
		}
		for _, frame := range [][]byte{
			AppendEventPlain(nil, []Field{{name, value}}, []byte(body)),
			AppendEventJSON(nil, []Field{{name, value}}, []byte(body)),
		} {
			m, err := NewReader(bytes.NewReader(frame), Limits{}).Read()
			if err != nil {
				t.Fatal(err)
			}
			e, err := ParseEvent(m)
			if err != nil {
				t.Fatal(err)
			}
			if got := e.Get(name); got != value || string(e.Body()) != body {
				t.Fatalf("%s: %q %q, want %q %q", m.ContentType(), got, e.Body(), value, body)
			}
		}
	})
}

// FuzzCheck is the property the safety of all commands rests on: whatever passes
// Check, ReadCommand reads as exactly one message, with the body it was given.
func FuzzCheck(f *testing.F) {
	f.Add("api status")
	f.Add("sendmsg\ncall-command: execute\ncontent-length: 3\n\na\nb")
	f.Add("sendmsg X\r\nContent-Length: 4\r\n\r\n\r\n\r\n")
	f.Add("bgapi a\nJob-UUID: 1\n\nexit")
	f.Fuzz(func(t *testing.T, command string) {
		frame, err := AppendCommand(nil, command)
		if err != nil {
			if !errors.Is(err, ErrRefused) {
				t.Fatalf("error without a name: %v", err)
			}
			return
		}
		br := bufio.NewReader(strings.NewReader(string(frame) + "api next\n\n"))
		c, err := ReadCommand(br, Limits{})
		if err != nil {
			t.Fatalf("%q passed Check and is read with %v", command, err)
		}
		next, err := ReadCommand(br, Limits{})
		if err != nil || next.Line != "api next" || len(next.Header) > 0 {
			t.Fatalf("%q passed Check and the next command is read as %+v, %v", command, next, err)
		}
		if _, err := ReadCommand(br, Limits{}); err != io.EOF {
			t.Fatalf("%q passed Check and more than one message follows: %v", command, err)
		}
		line, _, _ := strings.Cut(command, "\n")
		if c.Line != strings.TrimSuffix(line, "\r") {
			t.Fatalf("%q is read with the line %q", command, c.Line)
		}
		head, body, _ := splitHead(command)
		if string(c.Body) != body {
			t.Fatalf("%q is read with the body %q", command, c.Body)
		}
		want := 0
		for _, l := range strings.Split(head, "\n")[1:] {
			if _, value, _ := strings.Cut(strings.TrimSuffix(l, "\r"), ":"); strings.TrimLeft(value, " ") != "" {
				want++ // FreeSWITCH drops a header without a value
			}
		}
		if len(c.Header) != want {
			t.Fatalf("%q is read with %d headers, want %d", command, len(c.Header), want)
		}
	})
}

// FuzzReadCommand: any client's bytes end with a named error, within the limits.
func FuzzReadCommand(f *testing.F) {
	f.Add([]byte("auth ClueCon\n\napi status\n\nsendmsg\ncontent-length: 2\n\nab"))
	f.Add([]byte("sendmsg\r\na: b\ncontent-length: 2\n\nab"))
	f.Fuzz(func(t *testing.T, in []byte) {
		br := bufio.NewReader(bytes.NewReader(in))
		for {
			c, err := ReadCommand(br, fuzzLimits)
			if err != nil {
				if !named(err, readerFaults) {
					t.Fatalf("error without a name: %v", err)
				}
				return
			}
			if c.Line == "" || len(c.Body) > fuzzLimits.MaxBody {
				t.Fatalf("%+v", c)
			}
		}
	})
}
