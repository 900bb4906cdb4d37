package sipproxy

import (
	"net/url"
	"strings"
)

// dialled gives a carrier's Request-URI with its telephone number as FreeSWITCH takes it: FreeSWITCH makes the whole user part the destination
// number, and "+14155550100;npdi;rn=+14155550199" is no number that a dialplan knows. So parameters of the user part (RFC 3966, 4694), visual
// separators and escapes go, and a phone-context that is the beginning of a number is put in front. To keeps all of it. What is no number
// stays as it is.
func dialled(uri string) string {
	scheme, rest, _ := strings.Cut(uri, ":")
	user, tail := rest, ""
	switch strings.ToLower(scheme) {
	case "tel":
	case "sip", "sips":
		at := strings.LastIndexByte(rest, '@')
		if at < 0 {
			return uri
		}
		user, tail = rest[:at], rest[at:]
	default:
		return uri
	}
	if !strings.ContainsAny(user, ";%-.()") {
		return uri
	}
	written, params, _ := strings.Cut(user, ";")
	number, separated := digits(written)
	if number == "" || separated && number[0] != '+' && tail != "" && !saysPhone(tail) {
		return uri // a name may have dashes
	}
	if context, ok := param(params, "phone-context"); ok && number[0] != '+' {
		prefix, _ := digits(context)
		if !strings.HasPrefix(prefix, "+") {
			return uri // a number of somebody's own
		}
		number = prefix + number
	}
	return scheme + ":" + number + tail
}

// routeStrictly writes a request for a next hop that is a strict router, as RFC 2543 had them (RFC 3261 16.6 step 6).
func (m *message) routeStrictly() {
	top, ok := m.top("route")
	if !ok {
		return
	}
	next, err := parseAddress(top)
	if err != nil || next.Scheme != "sip" && next.Scheme != "sips" {
		return
	}
	_, loose := next.URIParam("lr")
	if _, outside := next.Param("lr"); loose || outside { // without angle brackets it stands outside
		return
	}
	m.pop("route")
	m.add("Route", "<"+m.uri+">")
	m.uri = next.URI
}

// saysPhone says whether a URI, from its "@" on, says that its user part is a number.
func saysPhone(tail string) bool {
	_, params, _ := strings.Cut(tail, ";")
	user, _ := param(params, "user")
	return strings.EqualFold(user, "phone")
}

// digits gives a number without escapes and visual separators, and says whether it had such; "" = it is none.
func digits(s string) (number string, separated bool) {
	plain, err := url.PathUnescape(s)
	if err != nil {
		return "", false
	}
	out := make([]byte, 0, len(plain))
	for i := range len(plain) {
		switch c := plain[i]; {
		case '0' <= c && c <= '9', c == '+' && i == 0:
			out = append(out, c)
		case strings.IndexByte("-.()", c) >= 0:
			separated = true
		default:
			return "", false
		}
	}
	if string(out) == "+" {
		return "", false
	}
	return string(out), separated
}
