package edge

import (
	"net/url"
	"strings"
	"testing"

	"github.com/signalbox/signalbox/internal/tel/teltest"
	"github.com/signalbox/signalbox/sipproxy"
)

// The called number and the caller of an INVITE are what the table of all packages says, whichever URI carries them.
func TestNumbersOfAnInviteAreThoseOfTheTable(t *testing.T) {
	read := 0
	for _, c := range teltest.Cases(t) {
		for _, uri := range uris(c.Written) {
			raw := strings.Replace(text("<"+uri+">;tag=1"), "INVITE sip:"+called+"@198.51.100.1;target=sip:%2B14155550122%40h;cause=486;user=phone", "INVITE "+uri, 1)
			inv, err := sipproxy.Parse([]byte(raw), sipproxy.Limits{})
			if err != nil {
				if c.Presented != "" {
					t.Errorf("line %d: an INVITE for %q is refused: %v", c.Line, uri, err)
				}
				continue
			}
			read++
			got := Caller(inv, Trunk{Region: c.Region})
			if string(got.Called) != c.Presented {
				t.Errorf("line %d: %q in %q is a call to %q, want %q", c.Line, uri, c.Region, got.Called, c.Presented)
			}
			if string(got.From.Number) != c.Presented || got.From.Withheld != c.Withheld {
				t.Errorf("line %d: %q in %q is a caller %+v, want %q, withheld %t", c.Line, uri, c.Region, got.From, c.Presented, c.Withheld)
			}
		}
	}
	if read < 500 {
		t.Errorf("only %d INVITEs were read", read)
	}
}

// uris are those that carry what is written: itself, or a SIP and a tel URI with it as its user part. A Request-URI has no
// headers (RFC 3261 section 19.1.1).
func uris(written string) []string {
	written, _, _ = strings.Cut(written, "?")
	lower := strings.ToLower(written)
	for _, scheme := range []string{"sip:", "sips:", "tel:"} {
		if strings.HasPrefix(lower, scheme) {
			return []string{written}
		}
	}
	if written == "" || strings.ContainsAny(written, "<>@\r\n") || strings.HasPrefix(lower, "urn:") || strings.HasPrefix(lower, "mailto:") {
		return nil
	}
	user, params, _ := strings.Cut(written, ";")
	if params != "" {
		params = ";" + params
	}
	if !strings.Contains(user, "%") {
		user = url.PathEscape(user)
	}
	return []string{"sip:" + user + params + "@198.51.100.1", "tel:" + user + params}
}
