package book

import (
	"bytes"
	"errors"
	"io"
	"mime/quotedprintable"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/htmlindex"
)

// content is one line of a vCard: group.name;parameters:value.
type content struct {
	line        int
	group, name string // name in upper case
	params      map[string][]string
	value       string // as it stands in the file, unfolded
	long        bool   // its end was left out
}

// readVCards reads vCards, one behind another.
func (b *builder) readVCards(r io.Reader) error {
	in := newLines(r)
	var c *vcard
	for {
		text, long, err := logical(in)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		line := text.line
		upper := strings.ToUpper(strings.TrimSpace(text.text))
		switch {
		case upper == "":
		case upper == "BEGIN:VCARD":
			if c != nil {
				b.problem(c.line, "the card has no END:VCARD before the next begins")
			}
			c = &vcard{card: card{line: line}}
		case upper == "END:VCARD":
			if c == nil {
				b.problem(line, "END:VCARD without a card before it")
				continue
			}
			b.add(c.done())
			c = nil
		case c == nil:
			b.problemOnce(line, "no vCard: a card begins with BEGIN:VCARD")
		default:
			p, problem := parseContent(text.text)
			p.line, p.long = line, long
			if problem == "" {
				problem = c.take(p)
			}
			if problem != "" {
				b.problem(line, problem)
			}
		}
		if b.full {
			return nil
		}
	}
	if c != nil {
		b.problem(c.line, "the card has no END:VCARD: the file ends in it")
	}
	return nil
}

type numbered struct {
	line int
	text string
}

// logical reads one line with those that continue it: they begin with a space or a tab (RFC 6350 section 3.2), or stand behind the
// soft line break of quoted-printable (vCard 2.1).
func logical(in *lines) (numbered, bool, error) {
	text, long, err := in.next()
	if err != nil {
		return numbered{}, false, err
	}
	line, whole := in.number, []byte(text) // one buffer: a line may be folded at each of its bytes
	done := func() (numbered, bool, error) { return numbered{line, string(whole)}, long, nil }
	soft := !long && isQuotedPrintable(text)
	for {
		if soft && bytes.HasSuffix(whole, []byte("=")) {
			more, tooLong, err := in.next()
			if err != nil {
				return done() //nolint:nilerr // the next call meets it again
			}
			long = long || tooLong
			whole = append(whole[:len(whole)-1], more...)
		} else {
			more, tooLong, err := in.next()
			if err != nil {
				return done() //nolint:nilerr // the next call meets it again
			}
			if more == "" || more[0] != ' ' && more[0] != '\t' {
				in.giveBack(more)
				return done()
			}
			long = long || tooLong
			if !long {
				whole = append(whole, more[1:]...)
			}
		}
		if len(whole) > maxLine {
			whole, long = whole[:maxLine], true
		}
	}
}

func isQuotedPrintable(text string) bool {
	head, _, ok := strings.Cut(text, ":")
	return ok && strings.Contains(strings.ToUpper(head), "QUOTED-PRINTABLE")
}

// parseContent takes a line apart (RFC 6350 section 3.3; parameters without a name as vCard 2.1 has them).
func parseContent(text string) (content, string) {
	c := content{params: map[string][]string{}}
	end := strings.IndexAny(text, ":;")
	if end < 1 {
		return c, "it is no property: NAME:value is missing its colon"
	}
	name := text[:end]
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		c.group, name = strings.ToUpper(name[:i]), name[i+1:]
	}
	c.name = strings.ToUpper(strings.TrimSpace(name))
	rest := text[end:]
	for strings.HasPrefix(rest, ";") {
		rest = rest[1:]
		end := strings.IndexAny(rest, "=:;")
		if end < 0 {
			return c, "its parameters have no end: NAME;PARAMETER=value:value is missing its colon"
		}
		key := strings.ToUpper(strings.TrimSpace(rest[:end]))
		if rest[end] != '=' { // vCard 2.1
			if key != "" {
				c.params["TYPE"] = append(c.params["TYPE"], key)
			}
			rest = rest[end:]
			continue
		}
		for more := true; more; {
			rest = rest[end+1:]
			var value string
			if strings.HasPrefix(rest, `"`) {
				closing := strings.IndexByte(rest[1:], '"')
				if closing < 0 {
					return c, "a quote in its parameters is never closed"
				}
				value, rest = rest[1:closing+1], rest[closing+2:]
				end = 0
			} else {
				if end = strings.IndexAny(rest, ",:;"); end < 0 {
					return c, "its parameters have no end: NAME;PARAMETER=value:value is missing its colon"
				}
				value, rest = rest[:end], rest[end:]
				end = 0
			}
			c.params[key] = append(c.params[key], value)
			more = strings.HasPrefix(rest, ",")
		}
	}
	if !strings.HasPrefix(rest, ":") {
		return c, "it is no property: NAME:value is missing its colon"
	}
	c.value = rest[1:]
	return c, ""
}

// text is the value of a property in plain text; the problem when it has none.
func (c content) text(escaped bool) (string, string) {
	value := c.value
	if c.is("ENCODING", "QUOTED-PRINTABLE") || c.is("TYPE", "QUOTED-PRINTABLE") {
		raw, err := io.ReadAll(quotedprintable.NewReader(strings.NewReader(value)))
		if err != nil {
			return "", c.name + ": it is no quoted-printable"
		}
		value = string(raw)
	}
	if set := c.params["CHARSET"]; len(set) > 0 && !strings.EqualFold(set[0], "utf-8") {
		e, err := htmlindex.Get(set[0])
		if err == nil {
			value, err = e.NewDecoder().String(value)
		}
		if err != nil {
			return "", c.name + ": its character set is not known"
		}
	}
	if !utf8.ValidString(value) {
		return "", c.name + ": it is not UTF-8: name the character set of the file (charset)"
	}
	if escaped {
		value = unescape(value)
	}
	return value, ""
}

func (c content) is(param, value string) bool {
	return slices.ContainsFunc(c.params[param], func(v string) bool { return strings.EqualFold(v, value) })
}

// unescape takes the backslashes off a text (RFC 6350 section 3.4).
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		if s[i] == 'n' || s[i] == 'N' {
			b.WriteByte('\n')
		} else {
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

// components parts a structured value at its semicolons, before anything is unescaped.
func components(s string) []string {
	var out []string
	from := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case ';':
			out = append(out, s[from:i])
			from = i + 1
		}
	}
	return append(out, s[from:])
}

// vcard is a card under way.
type vcard struct {
	card
	groups []string          // of each phone
	labels map[string]string // X-ABLABEL by group
}

// take takes a property in, and says what is wrong with it.
func (v *vcard) take(c content) string {
	switch c.name {
	case "FN", "N", "ORG", "NICKNAME", "EMAIL", "TEL", "UID", "REV", "X-ABLABEL", "KIND", "X-ADDRESSBOOKSERVER-KIND", "X-ABSHOWAS", xMayJoin, xClip, xShared:
	default:
		return "" // photographs and all the rest
	}
	if c.long {
		return c.name + ": it is longer than 65536 bytes"
	}
	plain := c.name != "N" && c.name != "ORG"
	text, problem := c.text(plain)
	if problem != "" {
		return problem
	}
	switch c.name {
	case "FN":
		setOnce(&v.full, text)
	case "N":
		parts := components(text)
		for i := range parts {
			parts[i] = unescape(parts[i])
		}
		parts = append(parts, "", "", "")
		setOnce(&v.parts, strings.Join([]string{parts[1], parts[2], parts[0]}, " "))
	case "ORG":
		setOnce(&v.org, unescape(components(text)[0]))
	case "NICKNAME":
		setOnce(&v.nick, text)
	case "EMAIL":
		setOnce(&v.email, text)
	case "UID":
		setOnce(&v.uid, text)
	case "REV":
		v.rev = strings.Map(digitsOnly, text)
	case "X-ABLABEL":
		if v.labels == nil {
			v.labels = map[string]string{}
		}
		v.labels[c.group] = strings.TrimSuffix(strings.TrimPrefix(text, "_$!<"), ">!$_")
	case xMayJoin:
		v.mayJoin = text
	case xClip:
		v.clip = text
	case xShared:
		v.shared = text
	case "KIND", "X-ADDRESSBOOKSERVER-KIND": // RFC 6350 section 6.1.4, and what 3.0 has for it
		switch strings.ToLower(strings.TrimSpace(text)) {
		case "org", "group", "location":
			v.firm = true
		case "individual":
			v.person = true
		}
	case "X-ABSHOWAS":
		v.firm = v.firm || strings.EqualFold(strings.TrimSpace(text), "COMPANY")
	case "TEL":
		v.phones = append(v.phones, phone{text: text, label: phoneLabel(c.params["TYPE"]), line: c.line})
		v.groups = append(v.groups, c.group)
	}
	return ""
}

func (v *vcard) done() card {
	for i, group := range v.groups {
		if label := v.labels[group]; group != "" && label != "" {
			v.phones[i].label = label
		}
	}
	return v.card
}

func setOnce(into *string, text string) {
	if strings.TrimSpace(*into) == "" {
		*into = text
	}
}

// digitsOnly keeps what tells two times apart: 2026-03-01T12:00:00Z and 20260301T120000Z are one.
func digitsOnly(r rune) rune {
	if r >= '0' && r <= '9' {
		return r
	}
	return -1
}

// phoneLabel is what the types of a number say to people.
func phoneLabel(types []string) string {
	var all []string
	for _, t := range types {
		for one := range strings.SplitSeq(t, ",") {
			all = append(all, strings.ToLower(strings.TrimSpace(one)))
		}
	}
	for _, known := range []struct{ typ, label string }{{"cell", "mobile"}, {"iphone", "mobile"}, {"work", "work"}, {"home", "home"}, {"main", "main"}, {"car", "car"}, {"fax", "fax"}, {"pager", "pager"}} {
		if slices.Contains(all, known.typ) {
			return known.label
		}
	}
	return ""
}
