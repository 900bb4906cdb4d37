package encode_test

import (
	"strings"
)

// This file models how FreeSWITCH reads the argument of bridge: expansion, the bracket of the whole string,
// alternatives, legs, the brackets of a leg, variables, name and value. TestModelAgreesWithRealFreeSWITCH holds it to
// what was measured.

const quotedComma, bareComma = 1, 2

type decodedLeg struct {
	vars   map[string]string
	target string
}

// expandModel is the round of expansion. fired says that something was expanded.
func expandModel(s string) (out string, fired bool) {
	escape := false
	for i := 0; i+1 < len(s); i++ {
		escape = escape || s[i] == '\\' && strings.IndexByte(`\nst'`, s[i+1]) >= 0
	}
	if strings.Contains(s, "$") {
		return s, true
	}
	if !escape {
		return s, false
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) && s[i+1] == '\'' {
			i++
			continue
		}
		if s[i] == '\\' && i+1 < len(s) && s[i+1] == '\\' {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String(), false
}

func splitModel(s string, delim byte, most int) []string {
	if len(s) > 3 && s[:2] == "^^" {
		delim, s = s[2], s[3:]
	}
	var out []string
	for s != "" && len(out) < most {
		cut, quoted := len(s), false
		for i := 0; i < len(s) && len(out) < most-1; i++ {
			if s[i] == '\\' {
				i++
			} else if s[i] == '\'' && (quoted || strings.IndexByte(s[i+1:], '\'') >= 0) {
				quoted = !quoted
			} else if s[i] == delim && !quoted {
				cut = i
				break
			}
		}
		out = append(out, cleanModel(s[:cut], delim))
		if cut == len(s) {
			break
		}
		s = s[cut+1:]
	}
	return out
}

func cleanModel(s string, delim byte) string {
	s = strings.TrimLeft(s, " ")
	var out []byte
	keep, quoted := 0, false
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			c := s[i+1]
			at := strings.IndexByte("nrts", c)
			if c == '\'' || c == '"' || c == '\\' || c == delim || at >= 0 {
				if c != delim && at >= 0 {
					c = "\n\r\t "[at]
				}
				out = append(out, c)
				keep = len(out)
				i++
				continue
			}
		}
		if s[i] == '\'' && (quoted || strings.IndexByte(s[i+1:], '\'') >= 0) {
			quoted = !quoted
			if quoted {
				keep = len(out)
			}
			continue
		}
		out = append(out, s[i])
		if s[i] != ' ' || quoted {
			keep = len(out)
		}
	}
	return string(out[:keep])
}

func endOfBracket(s string, open, end byte) int {
	depth := 0
	for i := range len(s) {
		switch s[i] {
		case open:
			depth++
		case end:
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

// bracketModel takes one bracket off s and adds its variables.
func bracketModel(s string, open, end, delim byte, vars map[string]string) (rest string, ok bool) {
	at := endOfBracket(s, open, end)
	if at < 0 {
		return s, false
	}
	list := s[1:at]
	if strings.HasPrefix(list, "^^") && len(list) > 2 {
		delim, list = list[2], list[3:]
	}
	for _, item := range splitModel(list, delim, 1024) {
		if pair := splitModel(item, '=', 2); len(pair) == 2 {
			vars[pair[0]] = pair[1]
		}
	}
	return s[at+1:], true
}

// decodeModel reads a dial string. ok is false where FreeSWITCH would do something else than ring these legs at once.
func decodeModel(arg string) (global map[string]string, legs []decodedLeg, ok bool) {
	s, fired := expandModel(arg)
	if fired || strings.Contains(s, ":_:") || strings.ContainsAny(s, "\r\n\x00") ||
		strings.Contains(strings.ToLower(s), "origination_nested_vars=true") {
		return nil, nil, false
	}
	global = map[string]string{}
	s = strings.TrimLeft(s, " ")
	for strings.HasPrefix(s, "{") {
		if s, ok = bracketModel(s, '{', '}', ',', global); !ok {
			return nil, nil, false
		}
	}
	alternatives := splitModel(s, '|', 128)
	if len(alternatives) != 1 {
		return nil, nil, false
	}
	for _, peer := range splitModel(markCommas(alternatives[0]), ',', 128) {
		leg := decodedLeg{vars: map[string]string{}, target: strings.TrimLeft(peer, " ")}
		for strings.HasPrefix(leg.target, "[") {
			restored := leg.target
			if at := endOfBracket(restored, '[', ']'); at > 0 {
				restored = strings.ReplaceAll(restored[:at], string(rune(quotedComma)), ",") + restored[at:]
			}
			if leg.target, ok = bracketModel(restored, '[', ']', bareComma, leg.vars); !ok {
				return nil, nil, false
			}
		}
		legs = append(legs, leg)
	}
	return global, legs, true
}

// markCommas hides the commas inside a leg's brackets from the parting of legs.
func markCommas(s string) string {
	b := []byte(s)
	end, alt, quoted := -1, false, false
	for i := 0; i < len(b); i++ {
		if end < 0 && b[i] == '[' {
			if n := endOfBracket(string(b[i:]), '[', ']'); n >= 0 {
				end = i + n
			}
			alt = i+2 < len(b) && b[i+1] == '^' && b[i+2] == '^'
			quoted = false
		}
		if b[i] == '\'' {
			quoted = !quoted
		}
		if end >= 0 && i < end && b[i] == ',' && b[i-1] != '\\' {
			b[i] = bareComma
			if quoted || alt {
				b[i] = quotedComma
			}
		}
		if i == end {
			end = -1
		}
	}
	return string(b)
}

// uuidSetvarModel reads the value of uuid_setvar.
func uuidSetvarModel(command string) (value string, ok bool) {
	f := strings.SplitN(command, " ", 4)
	if len(f) < 3 || f[0] != "uuid_setvar" {
		return "", false
	}
	if len(f) == 3 {
		return "", true
	}
	return cleanModel(f[3], 0), true
}
