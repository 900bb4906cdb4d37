package fssim

import "strings"

// atoi reads a number as C does: leading blanks and sign, then digits, the rest ignored.
func atoi(s string) int {
	s = strings.TrimSpace(s)
	sign := 1
	if s != "" && (s[0] == '-' || s[0] == '+') {
		if s[0] == '-' {
			sign = -1
		}
		s = s[1:]
	}
	n := 0
	for i := 0; i < len(s) && s[i] >= '0' && s[i] <= '9'; i++ {
		if n > 1<<30 {
			break
		}
		n = n*10 + int(s[i]-'0')
	}
	return sign * n
}

// isTrue is FreeSWITCH's switch_true.
func isTrue(s string) bool {
	switch strings.ToLower(s) {
	case "yes", "on", "true", "t", "enabled", "active", "allow":
		return true
	}
	return atoi(s) != 0 && isNumber(s)
}

// isFalse is FreeSWITCH's switch_false: what is neither true nor false is not false.
func isFalse(s string) bool {
	switch strings.ToLower(s) {
	case "no", "off", "false", "f", "disabled", "inactive", "disallow":
		return true
	}
	return atoi(s) == 0 && isNumber(s)
}

func isNumber(s string) bool {
	if s == "" {
		return false
	}
	for i := 0; i < len(s); i++ {
		if (s[i] < '0' || s[i] > '9') && s[i] != '.' && (i > 0 || s[i] != '-' && s[i] != '+') {
			return false
		}
	}
	return true
}

// splitArgs cuts a string at blanks as switch_separate_string does: single quotes keep blanks together, and one round
// of quotes and backslashes is taken off every piece. The last of max pieces is the rest.
func splitArgs(s string, max int) []string {
	var out []string
	for s = strings.TrimLeft(s, " "); s != ""; s = strings.TrimLeft(s, " ") {
		if len(out) == max-1 {
			return append(out, cleanup(s, 0))
		}
		quoted := false
		i := 0
	scan:
		for ; i < len(s); i++ {
			switch {
			case s[i] == '\\' && i+1 < len(s):
				i++
			case s[i] == '\'' && (quoted || strings.IndexByte(s[i+1:], '\'') >= 0):
				quoted = !quoted
			case s[i] == ' ' && !quoted:
				break scan
			}
		}
		out = append(out, cleanup(s[:i], 0))
		s = s[i:]
	}
	return out
}

// firstNonEmpty returns the first argument that is not empty.
func firstNonEmpty(s ...string) string {
	for _, v := range s {
		if v != "" {
			return v
		}
	}
	return ""
}
