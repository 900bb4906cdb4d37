package conference

import (
	"slices"

	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/tel"
)

// maxCandidates bounds the numbers that are looked up for one call.
const maxCandidates = 6

// Candidates are the numbers whose owner a call to an access number may be for, best evidence first: the RFC 4458 target, the address
// that History-Info says the call left, those who diverted it, newest first, P-Called-Party-ID, and the dialled number itself. A caller
// who came straight to the access number may be a host who calls in.
func Candidates(a call.Arrival, region string) []call.Forward {
	var list []call.Forward
	add := func(source string, number tel.Number, why tel.Why) {
		known := slices.ContainsFunc(list, func(f call.Forward) bool { return f.Number == number })
		if number != "" && !known && (number != a.To || source == "dialled") && len(list) < maxCandidates {
			list = append(list, call.Forward{Source: source, Number: number, Why: why})
		}
	}
	add("target", presented(a.Target, region), tel.RedirectWhy(a.Cause))
	for i := len(a.History) - 1; i >= 0; i-- {
		if h := a.History[i]; h.Cause != 0 {
			add("history-info", left(a, i, region), tel.RedirectWhy(h.Cause))
		}
	}
	for _, d := range a.Diversions {
		add("diversion", d.Number, tel.DiversionWhy(d.Reason))
	}
	add("called-party", a.Called, "")
	straight := len(list) == 0
	add("dialled", a.To, "")
	if straight && !a.Nameless() {
		add("caller", a.From.Number, "")
	}
	return list
}

// Originals are the same for hosts who want calls by whom they were placed to first: the oldest diversion and its kin.
func Originals(a call.Arrival, region string) []call.Forward {
	var list []call.Forward
	for _, d := range slices.Backward(a.Diversions) {
		if d.Number != "" && d.Number != a.To {
			list = append(list, call.Forward{Source: "diversion", Number: d.Number, Why: tel.DiversionWhy(d.Reason)})
		}
	}
	for i, h := range a.History {
		if n := left(a, i, region); h.Cause != 0 && n != "" && n != a.To {
			list = append(list, call.Forward{Source: "history-info", Number: n, Why: tel.RedirectWhy(h.Cause)})
		}
	}
	return list[:min(len(list), maxCandidates)]
}

// left is the address that the call left, as entry i of its history tells: the entry itself when the reason is its own (RFC 7044), the one
// before it, or the one it points to, when the cause stands at the address that the call was sent to (RFC 4458, RFC 7544).
func left(a call.Arrival, i int, region string) tel.Number {
	h := a.History[i]
	own := presented(h.URI, region)
	if own != a.To && h.Of == "" {
		return own
	}
	for j, other := range a.History {
		if h.Of != "" && other.Index == h.Of {
			return presented(a.History[j].URI, region)
		}
	}
	if i > 0 {
		return presented(a.History[i-1].URI, region)
	}
	return ""
}

func presented(uri, region string) tel.Number {
	if uri == "" {
		return ""
	}
	number, _ := tel.ParsePresented(uri, region)
	return number
}
