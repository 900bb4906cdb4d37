package dialplan

import "strings"

// separate parts s at a delimiter into at most most fields, as switch_separate_string does: not inside '...', not
// behind a backslash; each field is then un-quoted and trimmed of spaces. "^^x" in front changes the delimiter to x.
// Behind a blank as delimiter several blanks count as one. The last field takes the rest.
func separate(s string, delim byte, most int) []string {
	if strings.HasPrefix(s, "^^") && len(s) > 3 {
		delim, s = s[2], s[3:]
	}
	var out []string
	for len(s) > 0 && len(out) < most {
		if delim == ' ' {
			s = strings.TrimLeft(s, " ")
			if s == "" {
				break
			}
		}
		end := len(s)
		if len(out) < most-1 {
			end = fieldEnd(s, delim)
		}
		out = append(out, unquote(s[:end], delim))
		if end == len(s) {
			break
		}
		s = s[end+1:]
	}
	return out
}

// fieldEnd returns the offset of the first delimiter that is neither quoted nor escaped.
func fieldEnd(s string, delim byte) int {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\':
			i++
		case s[i] == '\'' && (quoted || delim == ' ' || strings.IndexByte(s[i+1:], '\'') >= 0):
			quoted = !quoted
		case s[i] == delim && !quoted:
			return i
		}
	}
	return len(s)
}

// unquote resolves the escapes and quotes of one field and trims spaces that are not quoted.
func unquote(s string, delim byte) string {
	s = strings.TrimLeft(s, " ")
	out := make([]byte, 0, len(s))
	end, quoted := 0, false
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			c := s[i+1]
			plain := c == '\'' || c == '"' || c == '\\' || delim != ' ' && c == delim
			if at := strings.IndexByte("nrts", c); !plain && at >= 0 {
				c, plain = "\n\r\t "[at], true
			}
			if plain {
				i++
				out = append(out, c)
				end = len(out)
				continue
			}
		}
		if s[i] == '\'' && (quoted || strings.IndexByte(s[i+1:], '\'') >= 0) {
			if quoted = !quoted; quoted {
				end = len(out)
			}
			continue
		}
		out = append(out, s[i])
		if s[i] != ' ' || quoted {
			end = len(out)
		}
	}
	return string(out[:end])
}
