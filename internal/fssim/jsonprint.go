package fssim

import (
	"encoding/json"
	"strings"
)

// jsonPrinter writes JSON byte for byte as cJSON_Print does: tabs, one field a line, the elements of an array on one.
type jsonPrinter struct {
	strings.Builder
	stack []bool // the open brackets: whether something stands in them already
	depth int
}

// open writes an opening bracket.
func (p *jsonPrinter) open(bracket string) {
	p.WriteString(bracket)
	p.stack = append(p.stack, false)
	p.depth++
}

// next begins an element of the innermost bracket; in an array key is "".
func (p *jsonPrinter) next(key string) {
	top := len(p.stack) - 1
	had := p.stack[top]
	p.stack[top] = true
	if key == "" {
		if had {
			p.WriteString(", ")
		}
		return
	}
	if had {
		p.WriteByte(',')
	}
	p.WriteByte('\n')
	p.WriteString(strings.Repeat("\t", p.depth))
	p.WriteString(quoteJSON(key) + ":\t")
}

// object and array begin a value inside another.
func (p *jsonPrinter) object(key string) { p.next(key); p.open("{") }
func (p *jsonPrinter) array(key string)  { p.next(key); p.open("[") }

// close ends the innermost bracket.
func (p *jsonPrinter) close(bracket string) {
	p.stack = p.stack[:len(p.stack)-1]
	p.depth--
	if bracket == "}" {
		p.WriteByte('\n')
		p.WriteString(strings.Repeat("\t", p.depth))
	}
	p.WriteString(bracket)
}

// field writes a string, a number or a truth value.
func (p *jsonPrinter) field(key string, value any) {
	p.next(key)
	if s, ok := value.(string); ok {
		p.WriteString(quoteJSON(s))
		return
	}
	b, _ := json.Marshal(value) // a number or a bool
	p.Write(b)
}

func quoteJSON(s string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string always encodes
	return strings.TrimSuffix(b.String(), "\n")
}
