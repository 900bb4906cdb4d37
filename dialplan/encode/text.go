package encode

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ErrUnsafe is wrapped by errors about text that FreeSWITCH would execute, cut or misread and has no escape for.
var ErrUnsafe = errors.New("FreeSWITCH has no escape for it")

// ErrInvalid is wrapped by errors about a part that is outside its grammar: a host, a user, a cause, a UUID.
var ErrInvalid = errors.New("not valid here")

// MaxArg is the longest application argument or dial string in bytes. FreeSWITCH itself takes more, but an argument
// of this size is never meant.
const MaxArg = 16 << 10

// maxText is the longest display name that Text returns, in bytes.
const maxText = 128

// maxHeader is the longest header value that Header returns, in bytes.
const maxHeader = 4 << 10

// Arg checks one application argument that is sent as it stands and returns it unchanged. It refuses:
//   - "$", which FreeSWITCH expands and has no escape for, also where it would be completed by a later expansion;
//   - line breaks, NUL and every other control character, which would end the Event Socket header or begin another;
//   - text that is not UTF-8;
//   - \', which the expansion deletes;
//   - "%[" or "%x[" at the beginning, which FreeSWITCH takes for variables of that one execution;
//   - more than MaxArg bytes.
func Arg(s string) (string, error) {
	if len(s) > MaxArg {
		return "", fmt.Errorf("argument of %d bytes is longer than %d: %w", len(s), MaxArg, ErrInvalid)
	}
	if err := safe(s); err != nil {
		return "", fmt.Errorf("argument %s: %w", show(s), err)
	}
	if expansionEats(s) {
		return "", fmt.Errorf(`argument %s holds \', which expansion deletes: %w`, show(s), ErrUnsafe)
	}
	if strings.HasPrefix(s, "%") && (strings.HasPrefix(s[1:], "[") || len(s) > 2 && s[2] == '[') {
		return "", fmt.Errorf("argument %s would be read as scoped variables: %w", show(s), ErrUnsafe)
	}
	return s, nil
}

// Set returns the argument of the application set (and export): NAME=VALUE. An empty value unsets the variable, as
// it does in FreeSWITCH. The value is carried literally, except that what Arg refuses is refused.
func Set(name, value string) (string, error) {
	if err := checkVarName(name); err != nil {
		return "", err
	}
	if err := safe(value); err != nil {
		return "", fmt.Errorf("variable %s: value %s: %w", name, show(value), err)
	}
	return Arg(name + "=" + value)
}

// safe reports why s must not be sent at all, in any position and under any quoting.
func safe(s string) error {
	if !utf8.ValidString(s) {
		return fmt.Errorf("is not UTF-8: %w", ErrUnsafe)
	}
	for _, r := range s {
		switch {
		case r == '$':
			return fmt.Errorf("holds a dollar sign: %w", ErrUnsafe)
		case lineOrControl(r):
			return fmt.Errorf("holds control character %U: %w", r, ErrUnsafe)
		}
	}
	return nil
}

// lineOrControl reports whether r is a control character or would be taken for a line break by anything on the way.
func lineOrControl(r rune) bool {
	return unicode.IsControl(r) || r == '\u2028' || r == '\u2029'
}

// expansionEats reports whether expansion would delete a backslash and an apostrophe from s. Backslashes are read in
// pairs from the left.
func expansionEats(s string) bool {
	for i := 0; i+1 < len(s); i++ {
		if s[i] != '\\' {
			continue
		}
		if s[i+1] == '\'' {
			return true
		}
		if s[i+1] == '\\' {
			i++
		}
	}
	return false
}

// show quotes s for an error message, bounded.
func show(s string) string {
	const most = 60
	if len(s) > most {
		return fmt.Sprintf("%+q...", s[:most])
	}
	return fmt.Sprintf("%+q", s)
}

// Text makes free text, such as a display name, safe in every position where FreeSWITCH puts it: as a variable's
// value, inside a dial string, and between the quotes of a From header, which FreeSWITCH writes without escaping. It
// never fails. Letters, digits, commas, semicolons and everything else harmless stays; a dollar sign, apostrophe,
// double quote and backslash become their look-alikes; braces, brackets and angle brackets become parentheses;
// control characters become spaces; runs of spaces become one. The result is at most 128 bytes of UTF-8 and has no
// space at either end.
func Text(s string) string {
	var b strings.Builder
	for _, r := range strings.ToValidUTF8(s, "\uFFFD") {
		switch r {
		case '$':
			r = '＄'
		case '\'':
			r = '’'
		case '"':
			r = '”'
		case '\\':
			r = '/'
		case '{', '[', '<':
			r = '('
		case '}', ']', '>':
			r = ')'
		default:
			if lineOrControl(r) || unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) && unicode.Is(unicode.Bidi_Control, r) {
				r = ' '
			}
		}
		b.WriteRune(r)
		if b.Len() > 4*maxText {
			break
		}
	}
	return cut(breakWords(strings.Join(strings.Fields(b.String()), " ")), maxText)
}

// Header makes the value of a SIP header field safe to carry in a variable and in a dial string. It never fails. What
// FreeSWITCH can carry stays as it is: commas, semicolons, double quotes, angle brackets, backslashes, balanced
// brackets. Inside <...> a dollar sign, an apostrophe or an unbalanced bracket is percent-encoded, which names the
// same URI (RFC 3261, 19.1.4); elsewhere it becomes a look-alike. Control characters, among them the line breaks of
// a folded header, become spaces. The result is at most 4 kB.
func Header(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	brackets, braces := !balanced(s, '[', ']'), !balanced(s, '{', '}')
	var b strings.Builder
	inURI := false
	for _, r := range s {
		if b.Len() > maxHeader {
			break
		}
		switch r {
		case '<':
			inURI = true
		case '>':
			inURI = false
		}
		alike, odd := lookAlike(r, brackets, braces)
		switch {
		case lineOrControl(r):
			b.WriteByte(' ')
		case odd && inURI:
			fmt.Fprintf(&b, "%%%02X", r)
		case odd:
			b.WriteRune(alike)
		default:
			b.WriteRune(r)
		}
	}
	return cut(breakWords(strings.TrimSpace(b.String())), maxHeader)
}

// lookAlike returns what stands in for r in a header value, and whether r has to be replaced.
func lookAlike(r rune, brackets, braces bool) (rune, bool) {
	switch {
	case r == '$':
		return '＄', true
	case r == '\'':
		return '’', true
	case brackets && r == '[', braces && r == '{':
		return '(', true
	case brackets && r == ']', braces && r == '}':
		return ')', true
	}
	return r, false
}

// breakWords breaks the two words that change how FreeSWITCH reads everything around them: ":_:" makes it place
// separate calls, "ARRAY::" in front makes the value a list.
func breakWords(s string) string {
	s = strings.ReplaceAll(s, enterprise, ":-:")
	if strings.HasPrefix(s, arrayMark) {
		s = "ARRAY: :" + s[len(arrayMark):]
	}
	return s
}

// cut shortens s to at most n bytes at a rune boundary, without a space at the end. A cut may part a pair of
// brackets or take off the end of a URI; then the opened brackets become parentheses.
func cut(s string, n int) string {
	if len(s) > n {
		for n > 0 && !utf8.RuneStart(s[n]) {
			n--
		}
		s = strings.TrimSpace(s[:n])
		if !balanced(s, '[', ']') {
			s = strings.NewReplacer("[", "(", "]", ")").Replace(s)
		}
		if !balanced(s, '{', '}') {
			s = strings.NewReplacer("{", "(", "}", ")").Replace(s)
		}
	}
	return s
}

// balanced reports whether open and close stand in pairs, as FreeSWITCH counts them to find a bracket's end.
func balanced(s string, open, end byte) bool {
	depth := 0
	for i := range len(s) {
		switch s[i] {
		case open:
			depth++
		case end:
			if depth--; depth < 0 {
				return false
			}
		}
	}
	return depth == 0
}
