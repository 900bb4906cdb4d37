package wire

import (
	"bufio"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Command is one message of a client, as FreeSWITCH reads it.
type Command struct {
	// Line is the command line, such as "api status".
	Line string
	// Header holds the lines behind it, names as written, in order.
	Header []Field
	// Body has the length the client's content-length said.
	Body []byte
}

// Verb gives the first word of the command line, in lower case.
func (c *Command) Verb() string {
	verb, _, _ := strings.Cut(c.Line, " ")
	return strings.ToLower(verb)
}

// Args gives what stands behind the verb and its blanks.
func (c *Command) Args() string {
	_, args, _ := strings.Cut(c.Line, " ")
	return strings.TrimLeft(args, " ")
}

// Get gives the first header of this name whatever its case, as FreeSWITCH looks
// it up, or "".
func (c *Command) Get(name string) string {
	for _, f := range c.Header {
		if strings.EqualFold(f.Name, name) {
			return f.Value
		}
	}
	return ""
}

// ReadCommand reads the next message of a client the way mod_event_socket does:
// line ends before the first character are passed over; the header ends at an
// empty line, carriage returns not counted; lines are cut at the first carriage
// return of what is left or, without one, at the first line feed; every
// content-length above 0 reads a body at once; a line without a colon is passed
// over, and one without a value removes the headers of its name. Arrays ("name[0]:")
// are not put together. It returns io.EOF at a clean end, and the named errors of this
// package. The limits are those of [Limits]; MaxHeaderBytes counts the command
// line too.
func ReadCommand(r *bufio.Reader, l Limits) (*Command, error) {
	l = l.withDefaults()
	head, err := readCommandHead(r, l)
	if err != nil {
		return nil, err
	}
	c := &Command{Line: cutLine(head)}
	rest := nextLine(head)
	for lines := 0; len(rest) > 0; rest = nextLine(rest) {
		name, value, ok := strings.Cut(cutLine(rest), ":")
		if !ok {
			continue
		}
		if lines++; lines > l.MaxHeaders {
			return nil, errLimit(ErrTooManyHeaders, l.MaxHeaders)
		}
		value = strings.TrimLeft(value, " ")
		c.set(name, value)
		if strings.EqualFold(name, "content-length") {
			n, err := atoi(value, l.MaxBody)
			if err != nil {
				return nil, err
			}
			if n > 0 {
				if c.Body, err = readBody(r, n); err != nil {
					return nil, err
				}
			}
		}
	}
	return c, nil
}

// set adds a header. One without a value takes away those of its name, as on
// FreeSWITCH.
func (c *Command) set(name, value string) {
	if value != "" {
		c.Header = append(c.Header, Field{Name: name, Value: value})
		return
	}
	c.Header = slices.DeleteFunc(c.Header, func(f Field) bool { return strings.EqualFold(f.Name, name) })
}

// readCommandHead reads up to and with the empty line.
func readCommandHead(r *bufio.Reader, l Limits) (string, error) {
	var head []byte
	newlines := 0
	for newlines < 2 {
		c, err := r.ReadByte()
		if err != nil {
			return "", endOf(err, len(head) == 0)
		}
		switch {
		case len(head) == 0 && (c == '\r' || c == '\n'):
			continue
		case c == 0:
			return "", fmt.Errorf("%w: NUL byte", ErrMalformedHeader)
		case c == '\n':
			newlines++
		case c != '\r':
			newlines = 0
		}
		if head = append(head, c); len(head) > l.MaxHeaderBytes {
			return "", errLimit(ErrTooManyHeaders, l.MaxHeaderBytes)
		}
	}
	return string(head), nil
}

// lineEnd finds where FreeSWITCH ends a line: at the first carriage return
// anywhere, else at the first line feed.
func lineEnd(s string) int {
	if i := strings.IndexByte(s, '\r'); i >= 0 {
		return i
	}
	return strings.IndexByte(s, '\n')
}

func cutLine(s string) string {
	if i := lineEnd(s); i >= 0 {
		return s[:i]
	}
	return s
}

func nextLine(s string) string {
	i := lineEnd(s)
	if i < 0 {
		return ""
	}
	return strings.TrimLeft(s[i:], "\r\n")
}

// atoi reads a number as C's atoi does: blanks, a sign, digits, and whatever
// follows is ignored. More than limit is ErrBodyTooLarge.
func atoi(s string, limit int) (int, error) {
	s = strings.TrimLeft(s, " \t\v\f\r\n")
	negative := strings.HasPrefix(s, "-")
	if negative || strings.HasPrefix(s, "+") {
		s = s[1:]
	}
	n := 0
	for i := 0; i < len(s) && s[i] >= '0' && s[i] <= '9'; i++ {
		if n = n*10 + int(s[i]-'0'); n > limit {
			if negative {
				return -1, nil
			}
			return 0, errLimit(ErrBodyTooLarge, limit)
		}
	}
	if negative {
		n = -n
	}
	return n, nil
}

// MaxCommandBytes is the longest message Check lets out, terminator not
// counted: 1 MiB. FreeSWITCH cuts the header of a message at 10 MiB.
const MaxCommandBytes = 1 << 20

// The reasons for which Check refuses a message. Each wraps ErrRefused.
var (
	// ErrRefused is wrapped by every error of Check.
	ErrRefused = errors.New("command refused before it was sent")

	ErrCommandEmpty   = fmt.Errorf("%w: it is empty or begins with a line end", ErrRefused)
	ErrCommandTooLong = fmt.Errorf("%w: longer than %d bytes", ErrRefused, MaxCommandBytes)
	ErrNUL            = fmt.Errorf("%w: NUL byte", ErrRefused)
	ErrLineEnds       = fmt.Errorf("%w: carriage return that is not part of a line end, or mixed line ends", ErrRefused)
	ErrBlankLine      = fmt.Errorf("%w: blank line without a content-length, it would be read as two", ErrRefused)
	ErrBodyLength     = fmt.Errorf("%w: content-length is not the length of the body", ErrRefused)
	ErrHeaderLine     = fmt.Errorf("%w: a line behind the command is not \"name: value\"", ErrRefused)
	ErrDuplicate      = fmt.Errorf("%w: the same header twice", ErrRefused)
	ErrNoHeaders      = fmt.Errorf("%w: only sendmsg, sendevent and bgapi take further lines", ErrRefused)
	ErrRawReply       = fmt.Errorf("%w: getvar answers with the bare value, which can break the stream; use api uuid_getvar", ErrRefused)
)

// Check is the one check on every outgoing message. It takes the message
// without its terminator and refuses whatever FreeSWITCH would read as two
// messages, as part of the next, or otherwise than it looks: a NUL byte, a carriage
// return outside a line end, mixed line ends, a blank line or a body
// without the matching content-length, two headers of one name, further lines behind
// a command that takes none, and more than MaxCommandBytes. It does not judge
// what the command does.
func Check(command string) error {
	switch {
	case len(command) > MaxCommandBytes:
		return ErrCommandTooLong
	case command == "" || command[0] == '\r' || command[0] == '\n':
		return ErrCommandEmpty
	case strings.IndexByte(command, 0) >= 0:
		return ErrNUL
	}
	head, body, hasBody := splitHead(command)
	if err := checkLineEnds(command[:len(command)-len(body)]); err != nil {
		return err
	}
	line, rest, more := strings.Cut(head, "\n")
	verb, _, _ := strings.Cut(strings.TrimSuffix(line, "\r"), " ")
	verb = strings.ToLower(verb)
	if strings.HasPrefix(verb, "getvar") {
		return ErrRawReply
	}
	if (more || hasBody) && verb != "sendmsg" && verb != "sendevent" && verb != "bgapi" {
		if hasBody {
			return ErrBlankLine
		}
		return ErrNoHeaders
	}
	length, err := checkHeaders(rest, more)
	if err != nil {
		return err
	}
	switch {
	case hasBody && length <= 0:
		return ErrBlankLine
	case !hasBody && length > 0, hasBody && length != len(body):
		return ErrBodyLength
	}
	return nil
}

// splitHead cuts a message at its blank line.
func splitHead(command string) (head, body string, hasBody bool) {
	for at := 0; ; {
		i := strings.IndexByte(command[at:], '\n')
		if i < 0 {
			return command, "", false
		}
		i += at
		j := i + 1
		for j < len(command) && command[j] == '\r' {
			j++
		}
		if j < len(command) && command[j] == '\n' {
			return command[:i], command[j+1:], true
		}
		at = i + 1
	}
}

// checkLineEnds wants every line end alike, "\n" or "\r\n": FreeSWITCH cuts
// lines at the first carriage return of all that is left, so mixed ones hide
// headers from it.
func checkLineEnds(head string) error {
	if strings.IndexByte(head, '\r') < 0 {
		return nil
	}
	pairs := strings.Count(head, "\r\n")
	if strings.Count(head, "\r") != pairs || strings.Count(head, "\n") != pairs {
		return ErrLineEnds
	}
	return nil
}

// checkHeaders looks at the lines behind the command line and gives the
// content-length, -1 without one.
func checkHeaders(rest string, more bool) (int, error) {
	length := -1
	var seen []string
	for more {
		var line string
		line, rest, more = strings.Cut(rest, "\n")
		line = strings.TrimSuffix(line, "\r")
		name, value, ok := strings.Cut(line, ":")
		if !ok || !isToken(name) {
			return 0, ErrHeaderLine
		}
		for _, s := range seen {
			if strings.EqualFold(s, name) {
				return 0, fmt.Errorf("%w: %s", ErrDuplicate, name)
			}
		}
		if seen = append(seen, name); len(seen) > maxCommandHeaders {
			return 0, fmt.Errorf("%w: more than %d headers", ErrRefused, maxCommandHeaders)
		}
		if strings.EqualFold(name, "content-length") {
			n, err := parseLength([]byte(strings.TrimLeft(value, " ")), MaxCommandBytes)
			if err != nil {
				return 0, ErrBodyLength
			}
			length = n
		}
	}
	return length, nil
}

// maxCommandHeaders bounds the lines behind a command.
const maxCommandHeaders = 256

// isToken tells whether a header name is one printable word. "[" is refused:
// FreeSWITCH takes "name[1]" for a part of the header "name".
func isToken(name string) bool {
	for i := 0; i < len(name); i++ {
		if name[i] <= ' ' || name[i] > '~' || name[i] == '[' {
			return false
		}
	}
	return name != ""
}

// AppendCommand checks a message and appends it with the terminator it needs: an
// empty line, or nothing behind a body.
func AppendCommand(dst []byte, command string) ([]byte, error) {
	if err := Check(command); err != nil {
		return dst, err
	}
	dst = append(dst, command...)
	if _, _, hasBody := splitHead(command); !hasBody {
		dst = append(dst, "\n\n"...)
	}
	return dst, nil
}

// CheckLine refuses a text that is to stand inside one line of a command: line
// ends and NUL. It is for the callers that build lines.
func CheckLine(text string) error {
	if strings.ContainsAny(text, "\r\n\x00") {
		return ErrLineEnds
	}
	return nil
}
