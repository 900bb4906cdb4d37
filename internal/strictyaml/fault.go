package strictyaml

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// maxFaults bounds how many faults of one text are told.
const maxFaults = 20

// Fault is a place in a text that cannot be taken.
type Fault struct {
	Line int    // counted from 1; 0 = not known
	Key  string // nodes[0].sip; "" = the whole text, or not known
	What string
}

// Faults are those of one text, in its order. No line of the text is in them, for the next one may be a password.
type Faults []Fault

// Error has a line for each fault.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, one := range f {
		lines[i] = one.What
		if one.Key != "" {
			lines[i] = one.Key + ": " + lines[i]
		}
		if one.Line > 0 {
			lines[i] = fmt.Sprintf("line %d: %s", one.Line, lines[i])
		}
	}
	return strings.Join(lines, "\n")
}

// explain says in words of the file what the YAML library refused in words of Go, and finds the faults behind the first one too.
func explain(err error, text []byte, into any) error {
	w := &walk{listed: map[reflect.Type]bool{}}
	if file, broken := parser.ParseBytes(text, 0); broken == nil {
		for _, d := range file.Docs {
			w.value(d.Body, reflect.TypeOf(into), "")
		}
	}
	if len(w.faults) > 0 {
		return w.faults
	}
	var known yaml.Error
	if !errors.As(err, &known) {
		return err
	}
	one := Fault{What: known.GetMessage()}
	if t := known.GetToken(); t != nil {
		one.Line = t.Position.Line
		if tabs(text, one.Line) {
			one.What = "indented by a tab: write blanks"
		}
	}
	return Faults{one}
}

// tabs reports whether a line begins with blanks among which is a tab.
func tabs(text []byte, number int) bool {
	for line := range strings.Lines(string(text)) {
		if number--; number == 0 {
			return strings.Contains(line[:len(line)-len(strings.TrimLeft(line, " \t"))], "\t")
		}
	}
	return false
}

// walk compares a text with the type that it is for.
type walk struct {
	faults Faults
	listed map[reflect.Type]bool // whose keys were told, once
}

func (w *walk) fault(at ast.Node, key, what string, args ...any) {
	if len(w.faults) == maxFaults {
		return
	}
	line := 0
	if t := at.GetToken(); t != nil {
		line = t.Position.Line
	}
	w.faults = append(w.faults, Fault{line, key, fmt.Sprintf(what, args...)})
}

// value looks at what stands at key. What it does not know it takes for good.
func (w *walk) value(n ast.Node, t reflect.Type, key string) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if _, null := n.(*ast.NullNode); n == nil || null {
		return
	}
	text, scalar := scalarText(n)
	if u, ok := reflect.New(t).Interface().(encoding.TextUnmarshaler); ok {
		if t == reflect.TypeFor[time.Time]() {
			if !instant(text) {
				w.fault(n, key, "%q: write a time, such as 2026-12-01T09:00:00Z", text)
			}
		} else if !scalar {
			w.fault(n, key, "a list, or keys: write one value")
		} else if err := u.UnmarshalText([]byte(text)); err != nil {
			w.fault(n, key, "%v", err)
		}
		return
	}
	switch t.Kind() {
	case reflect.Struct:
		w.keys(n, t, key)
	case reflect.Slice:
		list, ok := n.(*ast.SequenceNode)
		if !ok {
			w.fault(n, key, "no list: write [A, B], or a line \"- A\" for each")
			return
		}
		for i, entry := range list.Values {
			w.value(entry, t.Elem(), fmt.Sprintf("%s[%d]", key, i))
		}
	case reflect.Map, reflect.Interface:
	default:
		if !scalar {
			w.fault(n, key, "a list, or keys: write one value")
		} else if wrong := unfit(t, text); wrong != "" {
			w.fault(n, key, "%q: %s", text, wrong)
		}
	}
}

// keys looks at a struct.
func (w *walk) keys(n ast.Node, t reflect.Type, key string) {
	entries, ok := n.(ast.MapNode)
	if !ok {
		w.fault(n, key, "one value: here stand keys with theirs, of %s", strings.Join(keyNames(t), ", "))
		return
	}
	known, names := map[string]reflect.Type{}, keyNames(t)
	for i, name := range names {
		known[name] = t.Field(i).Type
	}
	for entry := entries.MapRange(); entry.Next(); {
		name, _ := scalarText(entry.Key())
		below := name
		if key != "" {
			below = key + "." + name
		}
		if field, ok := known[name]; ok {
			w.value(entry.Value(), field, below)
		} else if w.listed[t] {
			w.fault(entry.Key(), below, "no such key")
		} else {
			w.listed[t] = true
			w.fault(entry.Key(), below, "no such key; there are %s", strings.Join(names, ", "))
		}
	}
}

// keyNames are the keys of a struct, one for each of its fields.
func keyNames(t reflect.Type) []string {
	names := make([]string, t.NumField())
	for i := range names {
		names[i], _, _ = strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
	}
	return names
}

// scalarText is a value as it is meant, without quotes.
func scalarText(n ast.Node) (text string, scalar bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case ast.ScalarNode:
		return n.GetToken().Value, true
	}
	return "", false
}

// unfit says what to write instead of a text that is no value of the type.
func unfit(t reflect.Type, text string) string {
	var err error
	switch kind := t.Kind(); {
	case t == reflect.TypeFor[time.Duration]():
		if _, err = time.ParseDuration(text); err != nil {
			return "write a duration, such as 30s, 5m or 2h"
		}
	case kind == reflect.Bool:
		if !strings.EqualFold(text, "true") && !strings.EqualFold(text, "false") {
			return "write true or false"
		}
	case kind == reflect.Float64:
		if _, err = strconv.ParseFloat(text, 64); err != nil {
			return "write a number"
		}
	case reflect.Int <= kind && kind <= reflect.Int64:
		if _, err = strconv.ParseInt(text, 0, t.Bits()); err != nil {
			return "write a whole number"
		}
	case reflect.Uint <= kind && kind <= reflect.Uint64:
		if _, err = strconv.ParseUint(text, 0, t.Bits()); err != nil {
			return fmt.Sprintf("write a whole number from 0 to %d", uint64(1)<<t.Bits()-1)
		}
	}
	return ""
}

// instant reports whether the YAML library takes a text for a time.
func instant(text string) bool {
	for _, form := range []string{time.RFC3339Nano, "2006-01-02 15:04:05.999999999", time.DateOnly} {
		if _, err := time.Parse(form, text); err == nil {
			return true
		}
	}
	return false
}
