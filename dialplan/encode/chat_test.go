package encode_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/signalbox/signalbox/dialplan/encode"
	"github.com/signalbox/signalbox/dialplan/internal/realswitch"
)

func TestChat(t *testing.T) {
	phone := encode.Chat{Profile: "internal", User: "1000", Host: "pbx.example.net", FromUser: "+14155550100", FromHost: "pbx.example.net", Text: "a|b 'c' \\ d\ne "}
	got, err := phone.Command()
	if want := `chat sip|+14155550100@pbx.example.net|internal/1000@pbx.example.net|a\|b \'c\' \\ d\ne\s|text/plain`; err != nil || got != want {
		t.Errorf("to a phone: %q, %v, want %q", got, err, want)
	}
	far := encode.Chat{Profile: "external", URI: true, User: "+14155550101", Host: "2001:db8::7", Port: 5062, Transport: "tcp", FromUser: "a", FromHost: "h.example", Text: "x", Type: "text/html"}
	got, err = far.Command()
	if want := `chat sip|a@h.example|external/sip:+14155550101@[2001:db8::7]:5062;transport=tcp|x|text/html`; err != nil || got != want {
		t.Errorf("to an address: %q, %v, want %q", got, err, want)
	}
	for name, change := range map[string]func(*encode.Chat){
		"a bar in the user":       func(c *encode.Chat) { c.User = "a|b" },
		"a bar in the host":       func(c *encode.Chat) { c.Host = "a|b" },
		"a bar in the sender":     func(c *encode.Chat) { c.FromUser = "a|b" },
		"a line in the sender":    func(c *encode.Chat) { c.FromHost = "a\nb" },
		"a slash in the profile":  func(c *encode.Chat) { c.Profile = "a/b" },
		"a line in the type":      func(c *encode.Chat) { c.Type = "a\nb" },
		"no text":                 func(c *encode.Chat) { c.Text = "" },
		"too much text":           func(c *encode.Chat) { c.Text = strings.Repeat("x", encode.MaxChat+1) },
		"text that is no UTF-8":   func(c *encode.Chat) { c.Text = "\xff" },
		"control character":       func(c *encode.Chat) { c.Text = "a\rb" },
		"tab, which would be cut": func(c *encode.Chat) { c.Text = "a\tb" },
	} {
		c := phone
		change(&c)
		if got, err := c.Command(); !errors.Is(err, encode.ErrInvalid) && !errors.Is(err, encode.ErrUnsafe) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// TestChatArrivesOnRealFreeSWITCH sends texts that mean something to a switch or a shell; each arrives as it is, and the answer of the
// far end is what the switch says.
func TestChatArrivesOnRealFreeSWITCH(t *testing.T) {
	fs := realswitch.Start(t, "")
	b, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	bodies := make(chan string, 10)
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 65535)
		for {
			n, from, err := b.ReadFrom(buf)
			if err != nil {
				return
			}
			head, body, _ := strings.Cut(string(buf[:n]), "\r\n\r\n")
			status := "200 OK"
			if strings.HasPrefix(head, "MESSAGE sip:nobody@") {
				status = "404 Not Found"
			}
			answer := "SIP/2.0 " + status + "\r\n"
			for line := range strings.SplitSeq(head, "\r\n") {
				switch name, _, _ := strings.Cut(line, ":"); name {
				case "Via", "From", "Call-ID", "CSeq":
					answer += line + "\r\n"
				case "To":
					answer += line + ";tag=x\r\n"
				}
			}
			_, _ = b.WriteTo([]byte(answer+"Content-Length: 0\r\n\r\n"), from)
			bodies <- headerOf(head+"\r\n", "From") + "|" + headerOf(head+"\r\n", "Content-Type") + "|" + body
		}
	}()
	defer func() { _ = b.Close(); <-done }()
	marker := filepath.Join(t.TempDir(), "x")
	port := uint16(b.LocalAddr().(*net.UDPAddr).Port)
	for _, text := range []string{
		"plain", "${system(touch " + marker + ")} $${domain} `touch " + marker + "` $(touch " + marker + ")", "a|b||c", `quotes ' " \' \n \s \\`, "two\nlines\n", " spaces  at both ends ",
		"'", "it's", "<speak>&amp;</speak> %0d%0a", "Zoë 山田 😀", "^^:a:b", strings.Repeat("é", encode.MaxChat/2),
	} {
		command, err := encode.Chat{Profile: "external", URI: true, User: "+14155550101", Host: "127.0.0.1", Port: port, Transport: "udp", FromUser: "+14155550100", FromHost: "pbx.example.net", Text: text}.Command()
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if got := strings.TrimSpace(fs.API(command)); got != "Sent" {
			t.Errorf("%q: the switch says %q", text, got)
		}
		select {
		case got := <-bodies:
			from, rest, _ := strings.Cut(got, "|")
			kind, body, _ := strings.Cut(rest, "|")
			if body != text || kind != "text/plain" || !strings.Contains(from, "<sip:+14155550100@pbx.example.net>") {
				t.Errorf("%q arrived as %q, %s from %s", text, body, kind, from)
			}
		case <-time.After(10 * time.Second):
			t.Errorf("%q did not arrive", text)
		}
	}
	command, err := encode.Chat{Profile: "external", URI: true, User: "nobody", Host: "127.0.0.1", Port: port, FromUser: "a", FromHost: "h.example", Text: "x"}.Command()
	if err != nil {
		t.Fatal(err)
	}
	if got := fs.API(command); !strings.Contains(got, "Not Sent") {
		t.Errorf("refused with 404, the switch says %q", got)
	}
	if _, err := os.Stat(marker); err == nil {
		t.Error("a text was executed")
	}
}
