package book

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/signalbox/signalbox/internal/ical"
)

// maxJCards bounds a file of jCards in bytes, which is read whole.
const maxJCards = 64 << 20

// readJCards reads one jCard (RFC 7095), a list of them, or one behind another.
func (b *builder) readJCards(r io.Reader) error {
	text, err := io.ReadAll(io.LimitReader(r, maxJCards+1))
	if err != nil {
		return err
	}
	if len(text) > maxJCards {
		return fmt.Errorf("the file is larger than %d bytes", maxJCards)
	}
	if !utf8.Valid(text) {
		return errors.New("the file is not UTF-8: name its character set (charset)")
	}
	d := json.NewDecoder(bytes.NewReader(text))
	line, at := 1, 0
	lineOf := func(offset int64) int { // offsets only rise
		line += bytes.Count(text[at:offset], []byte("\n"))
		at = int(offset)
		return line
	}
	inList := bytes.HasPrefix(bytes.TrimLeft(bytes.TrimPrefix(bytes.TrimSpace(text), []byte("[")), " \t\r\n"), []byte("["))
	if inList {
		_, _ = d.Token()
	}
	for d.More() && !b.full {
		start := d.InputOffset()
		for int(start) < len(text) && strings.IndexByte(" \t\r\n,", text[start]) >= 0 {
			start++
		}
		begins := lineOf(start)
		var parts []json.RawMessage
		if err := d.Decode(&parts); err != nil {
			var typ *json.UnmarshalTypeError
			if errors.As(err, &typ) {
				b.problem(begins, "no jCard: it is a %s", typ.Value)
				continue
			}
			b.problem(begins, "no JSON from here on: %v", err)
			return nil
		}
		c, problem := jcard(parts, text[start:d.InputOffset()], begins)
		if problem != "" {
			b.problem(begins, "%s", problem)
			continue
		}
		b.add(c)
	}
	return nil
}

// jcard makes a card of ["vcard", [properties]]. source is its text, which begins in a line.
func jcard(parts []json.RawMessage, source []byte, line int) (card, string) {
	v := vcard{card: card{line: line}}
	var kind string
	var properties []json.RawMessage
	if len(parts) != 2 || json.Unmarshal(parts[0], &kind) != nil || !strings.EqualFold(kind, "vcard") || json.Unmarshal(parts[1], &properties) != nil {
		return card{}, `no jCard: want ["vcard", [properties]] (RFC 7095)`
	}
	at := 0
	for _, raw := range properties {
		var p []json.RawMessage
		if json.Unmarshal(raw, &p) != nil || len(p) < 4 {
			return card{}, "no jCard: a property is [name, parameters, type, value]"
		}
		if i := bytes.Index(source[at:], raw); i >= 0 {
			line += bytes.Count(source[at:at+i], []byte("\n"))
			at += i
		}
		var name string
		params := map[string]any{}
		if json.Unmarshal(p[0], &name) != nil || json.Unmarshal(p[1], &params) != nil {
			return card{}, "no jCard: a property is [name, parameters, type, value]"
		}
		c := content{line: line, name: strings.ToUpper(name), params: map[string][]string{}}
		for key, value := range params {
			if strings.EqualFold(key, "group") {
				c.group = strings.ToUpper(strings.Join(words(value), ""))
				continue
			}
			c.params[strings.ToUpper(key)] = words(value)
		}
		var value any
		if json.Unmarshal(p[3], &value) != nil {
			continue
		}
		list := words(value)
		for i := range list {
			list[i] = ical.Escape(list[i])
		}
		c.value = strings.Join(list, ";")
		if problem := v.take(c); problem != "" {
			return card{}, problem
		}
	}
	return v.done(), ""
}

// words are the strings of a value: one, a list of them, or a list of lists (RFC 7095 section 3.3.1.3).
func words(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		var out []string
		for _, one := range v {
			out = append(out, strings.Join(words(one), " "))
		}
		return out
	}
	return []string{""}
}
