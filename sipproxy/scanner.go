package sipproxy

import "strings"

// scanners are what programs that look for switches to break into write into User-Agent when nobody has taught them better.
var scanners = []string{
	"friendly-scanner", "friendly-request", "sipvicious", "sundayddr", "sipcli", "vaxsip", "pplsip", "sipscan", "sip-scan", "siparmyknife", "sivus", "iwar",
}

// isScanner says whether a request says so itself. Such a request gets no answer, and FreeSWITCH does not see it.
func (m *message) isScanner() bool {
	agent := strings.ToLower(strings.TrimSpace(m.get("user-agent")))
	for _, s := range scanners {
		if strings.HasPrefix(agent, s) {
			return true
		}
	}
	return false
}
