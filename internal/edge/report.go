package edge

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"

	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/screen"
	"github.com/signalbox/signalbox/internal/tel"
	"github.com/signalbox/signalbox/sipproxy"
)

// Report is what `signalbox screen` prints of an INVITE.
type Report struct {
	Caller       string       `json:"caller"` // as presented
	CallerNumber tel.Number   `json:"caller_number,omitempty"`
	Called       string       `json:"called"` // user of the Request-URI
	CalledNumber tel.Number   `json:"called_number,omitempty"`
	Withheld     bool         `json:"withheld,omitempty"`
	Trunk        string       `json:"trunk,omitempty"`
	Mode         screen.Mode  `json:"mode"`
	Verdict      call.Verdict `json:"verdict"`
	Answer       string       `json:"answer,omitempty"`     // the status line a refused caller gets
	WouldBe      string       `json:"would_be,omitempty"`   // the same, if the trunk enforced
	Diversions   int          `json:"diversions,omitempty"` // how often the call was diverted
	Stripped     int          `json:"stripped,omitempty"`   // forged X-Signalbox headers
	Size         int          `json:"size"`                 // of the message in bytes
	At           time.Time    `json:"at,omitzero"`
}

// Judge reads an INVITE as it stands in a file and says what the edge would do with it, as if trunk had sent it. The error
// is that of sipproxy.Parse: what the proxy would refuse unread is no INVITE here either.
func (e *Edge) Judge(raw []byte, trunkName string) (Report, error) {
	inv, err := sipproxy.Parse(raw, sipproxy.Limits{})
	if err != nil {
		return Report{}, err
	}
	inv.Peer.Name = trunkName
	trunk := e.trunk(inv)
	caller := Caller(inv, trunk)
	verdict, strict := judge(caller, e.options.Rules)
	r := Report{
		Caller: caller.From.User, CallerNumber: caller.From.Number, Withheld: caller.From.Withheld,
		Called: inv.Called.User, CalledNumber: caller.Called, Trunk: trunkName, Mode: trunk.Mode,
		Verdict: verdict, Stripped: inv.Stripped, Size: inv.Size, At: inv.Time,
		Diversions: tel.Diverted(tel.ParseDiversions(inv.Header("Diversion"), trunk.Region)),
	}
	if strict.Action == call.Refuse {
		line := screen.AnswerTo(strict, e.options.Answers).StatusLine()
		if verdict.Action == call.Refuse {
			r.Answer = line
		} else {
			r.WouldBe = line
		}
	}
	return r, nil
}

// WriteText prints the report for people. What a stranger wrote cannot move the cursor or end a line.
func (r Report) WriteText(w io.Writer) error {
	var b strings.Builder
	withheld := ""
	if r.Withheld {
		withheld = " (withheld)"
	}
	fmt.Fprintf(&b, "caller     %s%s\ncalled     %s\n", with(r.Caller, r.CallerNumber), withheld, with(r.Called, r.CalledNumber))
	trunk := r.Trunk
	if trunk == "" {
		trunk = "none named"
	}
	fmt.Fprintf(&b, "trunk      %s (%s)\nlikelihood %.2f that the number is spoofed, says %s\n", trunk, r.Mode, r.Verdict.Likelihood, r.Verdict.Model)
	for _, reason := range r.Verdict.Reasons {
		fmt.Fprintf(&b, "  %+.2f  %-18s %s\n", reason.Weight, reason.Name, plain(reason.Sentence))
	}
	if r.Diversions > 0 {
		fmt.Fprintf(&b, "diverted   %s before\n", times(r.Diversions))
	}
	if r.Stripped > 0 {
		fmt.Fprintf(&b, "forged     %d X-Signalbox header(s) from outside were removed\n", r.Stripped)
	}
	switch {
	case r.Answer != "":
		fmt.Fprintf(&b, "refused with %s\n", r.Answer)
	case r.WouldBe != "":
		fmt.Fprintf(&b, "delivered, because the trunk only observes; enforcing, it would be %s\n", r.WouldBe)
	default:
		b.WriteString("delivered\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// with is what was presented and, where it reads otherwise, the number in it.
func with(presented string, number tel.Number) string {
	presented = plain(presented)
	switch {
	case presented == "":
		return "nobody"
	case number == "" || presented == string(number):
		return presented
	}
	return presented + " = " + string(number)
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// plain keeps what is printable, up to 200 characters.
func plain(s string) string {
	var b strings.Builder
	n := 0
	for _, r := range s {
		if n++; n > 200 {
			b.WriteString("...")
			break
		}
		if !unicode.IsPrint(r) {
			r = '?'
		}
		b.WriteRune(r)
	}
	return b.String()
}
