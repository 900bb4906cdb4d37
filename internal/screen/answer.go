package screen

import (
	"fmt"
	"net/url"

	"github.com/signalbox/signalbox/internal/call"
)

// Answers are the statuses with which refused callers are answered, by what they are refused for: 403, 603, 607 or 608.
type Answers struct {
	Impossible int
	Denied     int
	RedressURL string // where a blocked caller may complain; carried by 608 and by 603 for the deny list
}

// Answer is a SIP answer with its further header fields, names and values.
type Answer struct {
	Code    int
	Phrase  string
	Headers [][2]string
}

// AnswerTo is the answer to a refused caller.
//
// 603 "Network Blocked" with the analytics marker is for blocking by judgement only (ATIS-1000099); a number that cannot
// exist gets a plain 603. 607 says that a person did not want the call (RFC 8197), 608 that a machine refused it
// (RFC 8688).
func AnswerTo(v call.Verdict, a Answers) Answer {
	code := a.Impossible
	if has(v, ReasonDenied) {
		code = a.Denied
	}
	switch code {
	case 607:
		return Answer{Code: 607, Phrase: "Unwanted"}
	case 608:
		answer := Answer{Code: 608, Phrase: "Rejected"}
		if u := redress(a.RedressURL); u != "" {
			answer.Headers = [][2]string{{"Call-Info", "<" + u + ">;purpose=jwscard"}}
		}
		return answer
	case 603:
		if !has(v, ReasonDenied) {
			return Answer{Code: 603, Phrase: "Decline"}
		}
		text := "v=analytics1"
		if u := redress(a.RedressURL); u != "" {
			text += ";url=" + u
		}
		return Answer{Code: 603, Phrase: "Network Blocked", Headers: [][2]string{
			{"Reason", fmt.Sprintf(`SIP;cause=603;text="%s";location=TN`, text)},
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

// redress is the URL when it can stand in a header.
func redress(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" {
		return ""
	}
	return u.String()
}
