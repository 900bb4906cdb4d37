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
const MaxArg = 64 << 10

// maxText is the longest display name that Text returns, in bytes.
const maxText = 128

// maxHeader is the longest header value that Header returns, in bytes.
const maxHeader = 4 << 10

// maxEscaped is how many backslashes and apostrophes Header leaves; each takes 32 bytes in a dial string.
const maxEscaped = 64

// Arg encodes one application argument so that the application gets exactly s: it doubles backslashes, of which
// expansion takes every second one. It refuses:
//   - "$", which FreeSWITCH expands and has no escape for, also where it would be completed by a later expansion;
//   - line breaks, NUL and every other control character, which would end the Event Socket header or begin another;
//   - text that is not UTF-8;
//   - "%[" or "%x[" at the beginning, which FreeSWITCH takes for variables of that one execution;
//   - a result of more than MaxArg bytes.
//
// How the application itself parts its argument is not Arg's business: text from outside goes through Text first.
func Arg(s string) (string, error) {
	if err := safe(s); err != nil {
		return "", fmt.Errorf("argument %s: %w", show(s), err)
	}
	if strings.HasPrefix(s, "%") && (strings.HasPrefix(s[1:], "[") || len(s) > 2 && s[2] == '[') {
		return "", fmt.Errorf("argument %s would be read as scoped variables: %w", show(s), ErrUnsafe)
	}
	out := escapeExpansion(s)
	if len(out) > MaxArg {
		return "", fmt.Errorf("argument of %d bytes is longer than %d: %w", len(out), MaxArg, ErrInvalid)
	}
	return out, nil
}

// Set returns the argument of the application set that gives the variable exactly this value; an empty one unsets it.
// It refuses what Arg refuses. FreeSWITCH expands the argument of set twice, which is undone here, so the result
// fits no other application.
func Set(name, value string) (string, error) {
	s, err := Export(name, value)
	if err != nil {
		return "", err
	}
	return Arg(s)
}

// Export returns the argument of the application export, which is expanded once: NAME=VALUE.
func Export(name, value string) (string, error) {
	if err := checkVarName(name); err != nil {
		return "", err
	}
	if err := checkCallerID(name, value); err != nil {
		return "", err
	}
	if strings.HasPrefix(value, arrayMark) {
		return "", fmt.Errorf("variable %s would become a list: %w", name, ErrUnsafe)
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

// show quotes s for an error message, bounded.
func show(s string) string {
	const most = 60
	if len(s) > most {
		return fmt.Sprintf("%+q...", s[:most])
	}
	return fmt.Sprintf("%+q", s)
}

// Text makes free text, such as a display name, safe in every position where FreeSWITCH puts it: as a variable's
// value, inside a dial string, and between the quotes of a From header. FreeSWITCH writes that without escaping,
// decodes percent escapes in it (so %0d%0a would begin a header of its own), drops what stands before a "/" or ":" and
// behind an "@". Text never fails. Letters, digits, commas, semicolons and everything else harmless stays; $ % / : @
// and the backslash become their full-width forms, quotes become typographic ones; braces, brackets and angle
// brackets become parentheses; control characters become spaces; runs of spaces become one. The result is at most
// 128 bytes of UTF-8 and has no space at either end.
func Text(s string) string {
	var b strings.Builder
	for _, r := range strings.ToValidUTF8(s, "\uFFFD") {
		switch r {
		case '$', '%', '/', ':', '@', '\\':
			r += '＄' - '$' // the full-width form
		case '\'':
			r = '’'
		case '"':
			r = '”'
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
// FreeSWITCH can carry stays as it is: commas, semicolons, quotes, angle brackets, backslashes, balanced brackets.
// Inside <...> a dollar sign or an unbalanced bracket is percent-encoded, which names the same URI (RFC 3261, 19.1.4);
// elsewhere it becomes a look-alike, and so do backslashes and apostrophes after the 64th. Control characters, among
// them the line breaks of a folded header, become spaces. The result is at most 4 kB.
func Header(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	brackets, braces := !balanced(s, '[', ']'), !balanced(s, '{', '}')
	var b strings.Builder
	inURI, escaped := false, 0
	for _, r := range s {
		if b.Len() > maxHeader {
			break
		}
		switch r {
		case '<':
			inURI = true
		case '>':
			inURI = false
		case '\\', '\'':
			escaped++
		}
		alike, odd := lookAlike(r, brackets, braces)
		switch {
		case lineOrControl(r):
			b.WriteByte(' ')
		case odd && inURI:
			fmt.Fprintf(&b, "%%%02X", r)
		case odd:
			b.WriteRune(alike)
		case escaped > maxEscaped && r == '\\':
			b.WriteByte('/')
		case escaped > maxEscaped && r == '\'':
			b.WriteRune('’')
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
