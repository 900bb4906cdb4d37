// Package spoken turns people's names into what an English voice can speak, for voices that know ASCII alone, as mod_flite's. It is pure.
package spoken

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// MaxName is how many characters of a name are spoken; it takes the voice about 4 s.
const MaxName = 60

// letters are those that the decomposition of Unicode leaves, as an English voice comes closest to them.
var letters = map[rune]string{
	'ß': "ss", 'æ': "ae", 'œ': "oe", 'ø': "o", 'ł': "l", 'đ': "d", 'ð': "d", 'þ': "th", 'ı': "i", 'ħ': "h", 'ŋ': "ng",
	'а': "a", 'б': "b", 'в': "v", 'г': "g", 'д': "d", 'е': "e", 'ж': "zh", 'з': "z", 'и': "i", 'к': "k", 'л': "l", 'м': "m", 'н': "n", 'о': "o",
	'п': "p", 'р': "r", 'с': "s", 'т': "t", 'у': "u", 'ф': "f", 'х': "kh", 'ц': "ts", 'ч': "ch", 'ш': "sh", 'щ': "shch", 'ъ': "", 'ы': "y",
	'ь': "", 'э': "e", 'ю': "yu", 'я': "ya", 'і': "i", 'є': "ye", 'ґ': "g", 'ј': "y", 'љ': "l", 'њ': "n", 'ђ': "dj", 'ћ': "ch", 'џ': "dzh",
	'α': "a", 'β': "v", 'γ': "g", 'δ': "d", 'ε': "e", 'ζ': "z", 'η': "i", 'θ': "th", 'ι': "i", 'κ': "k", 'λ': "l", 'μ': "m", 'ν': "n", 'ξ': "x",
	'ο': "o", 'π': "p", 'ρ': "r", 'σ': "s", 'ς': "s", 'τ': "t", 'υ': "y", 'φ': "f", 'χ': "ch", 'ψ': "ps", 'ω': "o",
}

// Name is what an English voice is given of a name: ASCII letters, digits and single blanks, accents taken off, Cyrillic and Greek in
// Latin letters; everything else separates words. "" means that it cannot be spoken: nothing of it is left, or most of its letters are
// of a script that the voice has no idea of, or it is a telephone number, which nobody is told.
func Name(name string) string {
	var b strings.Builder
	blank, known, unknown, digits := false, 0, 0, 0
	put := func(s string) {
		if blank && b.Len() > 0 {
			b.WriteByte(' ')
		}
		blank = false
		b.WriteString(s)
	}
	for _, r := range norm.NFD.String(cut(name, 4*MaxName)) {
		low := unicode.ToLower(r)
		latin, translated := letters[low]
		switch {
		case b.Len() >= MaxName:
		case r <= unicode.MaxASCII && unicode.IsLetter(r):
			put(string(r))
			known++
		case r <= unicode.MaxASCII && unicode.IsDigit(r):
			put(string(r))
			digits++
		case translated:
			known++
			if unicode.IsUpper(r) && latin != "" {
				latin = strings.ToUpper(latin[:1]) + latin[1:]
			}
			put(latin)
		case unicode.Is(unicode.Mn, r) || r == '\'' || r == '’': // accents, O'Neil
		case unicode.IsLetter(r):
			unknown++
			blank = true
		default:
			blank = true
		}
	}
	if known == 0 || unknown > known || digits >= 5 {
		return ""
	}
	return strings.TrimSpace(cut(b.String(), MaxName))
}

// cut takes no more than n bytes, and no half of a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xc0 == 0x80 {
		n--
	}
	return s[:n]
}
