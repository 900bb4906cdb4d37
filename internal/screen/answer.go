package screen

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/signalbox/signalbox/internal/call"
)

// Answers are the statuses with which refused callers are answered, by what they are refused for: 403, 603, 607 or 608.
// Anything else counts as 403.
type Answers struct {
	Impossible     int // for numbers that cannot be, are not assigned, or are the called number itself
	Denied         int
	DoNotOriginate int    // 0 = as Impossible
	RedressURL     string // https or http: where a blocked caller may complain; for 608 that of an RFC 8688 jCard; "" = none
}

// Answer is a SIP answer with its further header fields, names and values.
type Answer struct {
	Code    int
	Phrase  string
	Headers [][2]string
}

// StatusLine is the first line of the answer.
func (a Answer) StatusLine() string { return fmt.Sprintf("SIP/2.0 %d %s", a.Code, a.Phrase) }

// AnswerTo is the answer to a refused caller.
//
// 603 "Network Blocked" with the analytics marker is for blocking by judgement only (ATIS-1000099), here the deny list. A
// number that cannot exist, and one on whose behalf its owner said so (do-not-originate), get a plain 603 "Decline". 607 says that
// a person did not want the call (RFC 8197), 608 that a machine refused it, and where to complain (RFC 8688).
func AnswerTo(v call.Verdict, a Answers) Answer {
	judged := false
	code := a.Impossible
	switch {
	case has(v, ReasonDoNotOriginate):
		if a.DoNotOriginate != 0 {
			code = a.DoNotOriginate
		}
	case has(v, ReasonDenied):
		code, judged = a.Denied, true
	}
	url := redress(a.RedressURL)
	switch code {
	case 607:
		return Answer{Code: 607, Phrase: "Unwanted"}
	case 608:
		answer := Answer{Code: 608, Phrase: "Rejected"}
		if url != "" {
			answer.Headers = [][2]string{{"Call-Info", "<" + url + ">;purpose=jwscard"}}
		}
		return answer
	case 603:
		if !judged {
			return Answer{Code: 603, Phrase: "Decline"}
		}
		text := "v=analytics1;" // receivers look for the marker with its semicolon
		if url != "" {
			text += "url=" + url
		}
		return Answer{Code: 603, Phrase: "Network Blocked", Headers: [][2]string{
			{"Reason", `SIP;cause=603;text="` + text + `";location=TN`},
		}}
	}
	return Answer{Code: 403, Phrase: "Forbidden"}
}

func has(v call.Verdict, name string) bool {
	for _, r := range v.Reasons {
		if r.Name == name {
			return true
		}
	}
	return false
}

// redress is the URL when it can stand in a quoted string and between angle brackets.
func redress(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return ""
	}
	text = u.String()
	if len(text) > 512 || strings.IndexFunc(text, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`"<>\`, r) }) >= 0 {
		return ""
	}
	return text
}
