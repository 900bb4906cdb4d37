package dialplan

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf8"
)

const xmlSpace = " \t\r\n\v\f"

// parser reads the XML that FreeSWITCH's own small parser takes: no namespaces, no entities of one's own, several
// roots (a file that is meant to be included has them).
type parser struct {
	text     []byte
	at       int
	origin   func(int) Pos
	limits   Limits
	open     []*Element
	roots    []*Element
	elements int
	comments [][2]int // from the "<" to behind the ">"
}

func parse(text []byte, origin func(int) Pos, limits Limits) (roots []*Element, comments [][2]int, err error) {
	if i := bytes.IndexByte(text, 0); i >= 0 {
		return nil, nil, errAt(origin(i), "a NUL byte: %w", ErrSyntax)
	}
	p := &parser{text: text, origin: origin, limits: limits}
	for {
		start := p.at
		lt := bytes.IndexByte(p.text[p.at:], '<')
		if lt < 0 {
			break
		}
		p.at += lt
		if len(p.open) > 0 && lt > 0 {
			p.addText(decode(string(p.text[start:p.at]), false))
		}
		if err := p.markup(); err != nil {
			return nil, nil, err
		}
	}
	if n := len(p.open); n > 0 {
		return nil, nil, errAt(p.open[n-1].Pos, "unclosed tag <%s>: %w", p.open[n-1].Name, ErrSyntax)
	}
	return p.roots, p.comments, nil
}

func (p *parser) fail(at int, format string, args ...any) error {
	return errAt(p.origin(at), format+": %w", append(args, ErrSyntax)...)
}

func (p *parser) addText(s string) {
	e := p.open[len(p.open)-1]
	e.text = append(e.text, s...)
}

// markup reads what begins with the "<" at p.at.
func (p *parser) markup() error {
	rest := p.text[p.at:]
	switch {
	case bytes.HasPrefix(rest, []byte("<!--")):
		return p.comment()
	case bytes.HasPrefix(rest, []byte("<![CDATA[")):
		end := bytes.Index(rest, []byte("]]>"))
		if end < 0 {
			return p.fail(p.at, "unclosed <![CDATA[")
		}
		if len(p.open) > 0 {
			p.addText(newlines(string(rest[len("<![CDATA["):end])))
		}
		p.at += end + 3
	case bytes.HasPrefix(rest, []byte("<!")):
		return p.fail(p.at, "a DTD, or an unknown declaration, is not read here")
	case bytes.HasPrefix(rest, []byte("<?")):
		end := bytes.Index(rest, []byte("?>"))
		if end < 0 {
			return p.fail(p.at, "unclosed <?")
		}
		p.at += end + 2
	case bytes.HasPrefix(rest, []byte("</")):
		return p.closeTag()
	default:
		return p.openTag()
	}
	return nil
}

// comment skips a comment. FreeSWITCH takes the first "--" for its end and wants a ">" there.
func (p *parser) comment() error {
	rest := p.text[p.at+4:]
	end := bytes.Index(rest, []byte("--"))
	if end < 0 || end+2 >= len(rest) || rest[end+2] != '>' {
		return p.fail(p.at, `unclosed <!--, or "--" inside a comment`)
	}
	p.comments = append(p.comments, [2]int{p.at, p.at + 4 + end + 3})
	p.at += 4 + end + 3
	return nil
}

func (p *parser) closeTag() error {
	start := p.at
	end := bytes.IndexByte(p.text[p.at:], '>')
	if end < 0 {
		return p.fail(start, "missing >")
	}
	name := strings.TrimRight(string(p.text[start+2:start+end]), xmlSpace)
	n := len(p.open)
	if n == 0 || p.open[n-1].Name != name {
		return p.fail(start, "unexpected closing tag </%s>", clip(name))
	}
	p.open = p.open[:n-1]
	p.at += end + 1
	return nil
}

// openTag reads <name attr="value" ...> or <name .../>.
func (p *parser) openTag() error {
	start := p.at
	p.at++
	name := p.token(xmlSpace + "/>")
	if name == "" || !isNameStart(name[0]) {
		return p.fail(start, "unexpected <")
	}
	e := &Element{Name: name, Pos: p.origin(start)}
	if p.elements++; p.elements > p.limits.Elements {
		return errAt(e.Pos, "more than %d elements: %w", p.limits.Elements, ErrLimit)
	}
	if len(p.open) >= p.limits.Nesting {
		return errAt(e.Pos, "elements nested deeper than %d: %w", p.limits.Nesting, ErrLimit)
	}
	if n := len(p.open); n > 0 {
		p.open[n-1].Children = append(p.open[n-1].Children, e)
	} else {
		p.roots = append(p.roots, e)
	}
	for {
		p.skipSpace()
		if p.at >= len(p.text) {
			return p.fail(start, "missing >")
		}
		switch p.text[p.at] {
		case '>':
			p.at++
			p.open = append(p.open, e)
			return nil
		case '/':
			if p.at+1 >= len(p.text) || p.text[p.at+1] != '>' {
				return p.fail(start, "missing >")
			}
			p.at += 2
			return nil
		}
		if err := p.attribute(e, start); err != nil {
			return err
		}
	}
}

// attribute reads one attribute. A value without quotes is taken for an empty value and a further attribute, which
// is what FreeSWITCH does.
func (p *parser) attribute(e *Element, start int) error {
	at := p.at
	a := Attribute{Name: p.token(xmlSpace + "=/>"), Pos: p.origin(at)}
	if a.Name == "" && p.at < len(p.text) && p.text[p.at] != '=' {
		return p.fail(start, "missing >")
	}
	if p.at < len(p.text) && strings.IndexByte(xmlSpace+"=", p.text[p.at]) >= 0 {
		for p.at < len(p.text) && strings.IndexByte(xmlSpace+"=", p.text[p.at]) >= 0 {
			p.at++
		}
		if p.at < len(p.text) && (p.text[p.at] == '"' || p.text[p.at] == '\'') {
			end := bytes.IndexByte(p.text[p.at+1:], p.text[p.at])
			if end < 0 {
				return p.fail(start, "missing %c", p.text[p.at])
			}
			a.Value = decode(string(p.text[p.at+1:p.at+1+end]), true)
			p.at += end + 2
		}
	}
	if len(e.Attrs) >= 256 {
		return errAt(e.Pos, "more than 256 attributes: %w", ErrLimit)
	}
	e.Attrs = append(e.Attrs, a)
	return nil
}

func (p *parser) token(stop string) string {
	start := p.at
	for p.at < len(p.text) && strings.IndexByte(stop, p.text[p.at]) < 0 {
		p.at++
	}
	return string(p.text[start:p.at])
}

func (p *parser) skipSpace() {
	for p.at < len(p.text) && strings.IndexByte(xmlSpace, p.text[p.at]) >= 0 {
		p.at++
	}
}

func isNameStart(c byte) bool {
	return c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_' || c == ':' || c >= utf8.RuneSelf
}

// newlines makes every line end a single line feed.
func newlines(s string) string {
	if !strings.Contains(s, "\r") {
		return s
	}
	return strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\r", "\n")
}

// decode resolves character references and the five entities. An entity it does not know stays as it is. White
// space in an attribute becomes spaces.
func decode(s string, attr bool) string {
	s = newlines(s)
	if attr {
		b := []byte(s)
		for i, c := range b {
			if strings.IndexByte(xmlSpace, c) >= 0 {
				b[i] = ' '
			}
		}
		s = string(b)
	}
	if !strings.Contains(s, "&") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		if s[i] != '&' {
			b.WriteByte(s[i])
			i++
			continue
		}
		text, n := reference(s[i:])
		b.WriteString(text)
		i += n
	}
	return b.String()
}

// reference decodes the reference s begins with and returns how many bytes it took; the "&" alone if it is none.
func reference(s string) (string, int) {
	end := strings.IndexByte(s, ';')
	if end < 0 || end > 12 {
		return "&", 1
	}
	name := s[1:end]
	if num, ok := strings.CutPrefix(name, "#"); ok {
		base := 10
		if hex, ok := strings.CutPrefix(num, "x"); ok {
			num, base = hex, 16
		}
		code, err := strconv.ParseUint(num, base, 32)
		if err != nil || code == 0 || code > utf8.MaxRune {
			return "&", 1
		}
		return string(rune(code)), end + 1
	}
	for _, e := range [...]struct{ name, text string }{{"lt", "<"}, {"gt", ">"}, {"quot", `"`}, {"apos", "'"}, {"amp", "&"}} {
		if name == e.name {
			return e.text, end + 1
		}
	}
	return "&", 1
}

func clip(s string) string {
	if len(s) > 60 {
		return s[:60] + "..."
	}
	return s
}
