package esl

import (
	"strings"

	"github.com/signalbox/signalbox/esl/wire"
)

// Command is a message to FreeSWITCH, without its terminator. The types of
// eslgo's command packages fit.
type Command interface {
	BuildMessage() string
}

// Raw is a literal command, such as Raw("linger 5").
type Raw string

// BuildMessage gives the text itself.
func (r Raw) BuildMessage() string { return string(r) }

// Secret is a password; it prints as ***.
type Secret string

// String hides the secret.
func (s Secret) String() string { return "***" }

// GoString hides the secret from %#v.
func (s Secret) GoString() string { return `"***"` }

// Reply is FreeSWITCH's answer to one command.
type Reply struct {
	// Text is Reply-Text (decoded where FreeSWITCH encodes it, in the answer to
	// connect), or the body of an api/response. Line ends behind it are gone.
	Text string
	// Header holds all headers of the reply, such as Job-UUID.
	Header wire.Header

	command string
	message *wire.Message
}

// Err is a *ReplyError when FreeSWITCH refused the command (-ERR, -USAGE), else nil.
func (r Reply) Err() error { return replyError(r.command, r.Text) }

func newReply(command string, m *wire.Message) Reply {
	r := Reply{Header: m.Header, command: command, message: m}
	switch {
	case m.ContentType() == wire.TypeAPIResponse:
		r.Text = string(m.Body)
	case m.Header.Has("Event-Name"):
		r.Text = m.Header.Decoded("Reply-Text")
	default:
		r.Text = m.Header.Get("Reply-Text")
	}
	r.Text = strings.TrimRight(r.Text, "\r\n")
	return r
}

// label names a command in errors and logs: its verb, and for api and bgapi the
// function, but no argument, which may hold numbers or a password.
func label(message string) string {
	line, _, _ := strings.Cut(message, "\n")
	words := strings.Fields(line)
	switch {
	case len(words) == 0:
		return ""
	case len(words) > 1 && (words[0] == "api" || words[0] == "bgapi"):
		return words[0] + " " + words[1]
	}
	return words[0]
}

// sendmsg builds "sendmsg" for the channel of an outbound connection. An argument
// that a header line cannot carry as it is, goes as the body.
func executeMessage(app, arg, id string) string {
	var b strings.Builder
	b.WriteString("sendmsg\ncall-command: execute\nexecute-app-name: ")
	b.WriteString(app)
	b.WriteString("\nevent-lock: true\nEvent-UUID: ")
	b.WriteString(id)
	switch {
	case arg == "":
	case strings.HasPrefix(arg, " ") || strings.ContainsAny(arg, "\r\n"):
		b.WriteString("\ncontent-type: text/plain\ncontent-length: ")
		b.WriteString(itoa(len(arg)))
		b.WriteString("\n\n")
		b.WriteString(arg)
	default:
		b.WriteString("\nexecute-app-arg: ")
		b.WriteString(arg)
	}
	return b.String()
}

// subscribeLine builds the "event" command. Subclasses (anything with "::", and every
// word behind CUSTOM) are put last, behind one CUSTOM, because FreeSWITCH takes
// every word after CUSTOM for a subclass.
func subscribeLine(format Format, names []string) string {
	var plain, custom []string
	afterCustom := false
	for _, n := range names {
		switch {
		case n == "CUSTOM":
			afterCustom = true
		case afterCustom || strings.Contains(n, "::"):
			custom = append(custom, n)
		default:
			plain = append(plain, n)
		}
	}
	words := append([]string{"event", format.String()}, plain...)
	if len(custom) > 0 || afterCustom {
		words = append(append(words, "CUSTOM"), custom...)
	}
	return strings.Join(words, " ")
}
