package fssim

import (
	"errors"
	"strings"
)

// Bounds of a dial string, FreeSWITCH's own.
const (
	maxLegs         = 128
	maxDialString   = 64 << 10
	maxDialBrackets = 64
)

var errDialString = errors.New("malformed dial string")

// dialString is the argument of bridge: groups that are tried one after the other, the legs of a group at once.
type dialString struct {
	vars   []variable
	groups [][]dialLeg
}

// dialLeg is one leg: "sofia" and what stands behind the slash, with its own variables.
type dialLeg struct {
	kind, data string
	vars       []variable
}

// The commas inside a leg's bracket are masked while the legs are parted, with the same two marks FreeSWITCH uses.
const (
	quotedComma   = '\x01'
	unquotedComma = '\x02'
)

// parseDialString reads a dial string as switch_ivr_originate does: {..} for all legs, "|" between alternatives, ","
// between legs, [..] for one leg, ^^c for another delimiter inside a bracket, quotes and backslashes taken off once in
// every round.
func parseDialString(s string) (dialString, error) {
	var d dialString
	if len(s) > maxDialString {
		return d, errDialString
	}
	s = strings.TrimLeft(s, " ")
	for n := 0; strings.HasPrefix(s, "<") || strings.HasPrefix(s, "{"); n++ {
		open, end := byte('{'), byte('}')
		if s[0] == '<' {
			open, end = '<', '>'
		}
		vars, rest, err := cutBracket(s, open, end, ',')
		if err != nil || n >= maxDialBrackets {
			return d, errDialString
		}
		d.vars = mergeVars(d.vars, vars)
		s = strings.TrimLeft(rest, " ")
	}
	for _, alt := range separate(s, '|') {
		var group []dialLeg
		for _, one := range separate(maskBrackets(alt), ',') {
			leg, err := parseLeg(one)
			if err != nil {
				return d, err
			}
			group = append(group, leg)
		}
		if len(group) > maxLegs || len(d.groups) >= maxLegs {
			return d, errDialString
		}
		d.groups = append(d.groups, group)
	}
	if len(d.groups) == 0 {
		return d, errDialString
	}
	return d, nil
}

func parseLeg(s string) (dialLeg, error) {
	var l dialLeg
	s = strings.TrimLeft(s, " ")
	for n := 0; strings.HasPrefix(s, "["); n++ {
		end := closing(s, '[', ']')
		if end < 0 || n >= maxDialBrackets {
			return l, errDialString
		}
		s = strings.ReplaceAll(s[:end], string(quotedComma), ",") + s[end:]
		vars, rest, err := cutBracket(s, '[', ']', unquotedComma)
		if err != nil {
			return l, err
		}
		l.vars = mergeVars(l.vars, vars)
		s = strings.TrimLeft(rest, " ")
	}
	l.kind, l.data, _ = strings.Cut(s, "/")
	if l.kind == "" {
		return l, errDialString
	}
	return l, nil
}

// maskBrackets replaces the commas inside [..].
func maskBrackets(s string) string {
	b := []byte(s)
	for i := 0; i < len(b); i++ {
		if b[i] != '[' {
			continue
		}
		end := closing(string(b[i:]), '[', ']')
		if end < 0 {
			continue
		}
		alt := strings.HasPrefix(string(b[i:]), "[^^")
		quoted := false
		for j := i; j < i+end; j++ {
			switch b[j] {
			case '\'':
				quoted = !quoted
			case ',':
				b[j] = unquotedComma
				if quoted || alt {
					b[j] = quotedComma
				}
			}
		}
		i += end
	}
	return string(b)
}

// closing finds the bracket that closes the one s begins with, -1 when there is none.
func closing(s string, open, end byte) int {
	depth := 0
	for i := 0; i < len(s); i++ {
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

// cutBracket reads one bracket of variables and returns what stands behind it.
func cutBracket(s string, open, end, delim byte) ([]variable, string, error) {
	at := closing(s, open, end)
	if at < 0 {
		return nil, "", errDialString
	}
	inner, rest := s[1:at], s[at+1:]
	if len(inner) >= 3 && inner[:2] == "^^" {
		delim = inner[2]
		inner = inner[3:]
	}
	var vars []variable
	for _, kv := range separate(inner, delim) {
		if p := separateN(kv, '=', 2); len(p) == 2 {
			vars = mergeVars(vars, []variable{{p[0], p[1]}})
		}
	}
	return vars, rest, nil
}

// mergeVars adds variables, a later one of the same name in the place of the earlier.
func mergeVars(dst, src []variable) []variable {
next:
	for _, v := range src {
		for i := range dst {
			if dst[i].name == v.name {
				dst[i].value = v.value
				continue next
			}
		}
		dst = append(dst, v)
	}
	return dst
}

func varOf(vars []variable, name string) string {
	for _, v := range vars {
		if v.name == name {
			return v.value
		}
	}
	return ""
}

// separate parts a string at a delimiter that stands outside single quotes and behind no backslash, and takes one
// round of quotes and escapes off every piece.
func separate(s string, delim byte) []string { return separateN(s, delim, 1024) }

func separateN(s string, delim byte, max int) []string {
	var out []string
	for s != "" && len(out) < max {
		end := len(s)
		quoted := false
		// The first byte of a piece is never taken for the delimiter's neighbour: as in FreeSWITCH, scanning begins
		// with the piece itself.
		for i := 0; i < len(s); i++ {
			if s[i] == '\\' {
				i++
			} else if s[i] == '\'' && (quoted || strings.IndexByte(s[i+1:], '\'') >= 0) {
				quoted = !quoted
			} else if s[i] == delim && !quoted && len(out) < max-1 {
				end = i
				break
			}
		}
		out = append(out, cleanup(s[:end], delim))
		if end == len(s) {
			break
		}
		s = s[end+1:]
	}
	return out
}

// cleanup takes one round of quotes and escapes off a piece, and the blanks at its ends that are not quoted.
func cleanup(s string, delim byte) string {
	s = strings.TrimLeft(s, " ")
	b := make([]byte, 0, len(s))
	keep := 0
	quoted := false
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			e := s[i+1]
			plain := e == '\'' || e == '"' || e == delim || e == '\\'
			switch e {
			case 'n':
				e, plain = '\n', true
			case 'r':
				e, plain = '\r', true
			case 't':
				e, plain = '\t', true
			case 's':
				e, plain = ' ', true
			}
			if plain {
				i++
				b = append(b, e)
				keep = len(b)
				continue
			}
		}
		if s[i] == '\'' && (quoted || strings.IndexByte(s[i+1:], '\'') >= 0) {
			if quoted = !quoted; quoted {
				keep = len(b)
			}
			continue
		}
		b = append(b, s[i])
		if s[i] != ' ' || quoted {
			keep = len(b)
		}
	}
	return string(b[:keep])
}
