package api

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/signalbox/signalbox/internal/provision"
)

const (
	maxBody     = 1 << 20 // bytes
	maxNesting  = 32
	maxProblems = 20
)

// readBody reads a body of JSON, bounded.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return nil, problem("media-type", "the body is JSON: say Content-Type: application/json")
	}
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return nil, problem("too-large", "a body has at most %d bytes", maxBody)
	}
	if err != nil {
		return nil, problem("bad-request", "the body did not come in whole")
	}
	return text, nil
}

// checkText refuses what no store has as a key, in path and query: control characters and what is no UTF-8.
func checkText(r *http.Request) error {
	bad := func(text string) bool {
		return !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl)
	}
	if bad(r.URL.Path) {
		return problem("not-found", "no key has control characters")
	}
	for name, given := range r.URL.Query() {
		if slices.ContainsFunc(given, bad) {
			return problem("bad-request", "%.40q has control characters", name)
		}
	}
	return nil
}

// readFile reads a body that is a file of one of some media types, bounded.
func readFile(w http.ResponseWriter, r *http.Request, allowed []string) ([]byte, string, error) {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if _, known := bookFormats[media]; err != nil || !known {
		return nil, "", problem("media-type", "say in Content-Type what the file is: %s", strings.Join(allowed, ", "))
	}
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxAddressBook))
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return nil, "", problem("too-large", "a file has at most %d bytes", maxAddressBook)
	}
	if err != nil {
		return nil, "", problem("bad-request", "the file did not come in whole")
	}
	return text, media, nil
}

// fill puts a tree into a value, and names every field that is not known or has another type.
func fill(tree any, into any) error {
	c := &checker{}
	c.check(tree, reflect.TypeOf(into).Elem(), "")
	if len(c.problems) > 0 {
		return invalid(c.problems)
	}
	text, err := json.Marshal(tree)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, into); err != nil { // the checks above leave nothing to find
		return problem("bad-request", "the body cannot be read: %.200s", err.Error())
	}
	return nil
}

// object is a JSON object.
type object = map[string]any

// parse reads JSON into objects, lists, strings, json.Number, bool and nil. A name that stands twice is an error, and so are text behind
// the end, text that is no UTF-8, and nesting beyond maxNesting.
func parse(text []byte) (any, error) {
	if !utf8.Valid(text) {
		return nil, problem("bad-request", "the body is not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	v, err := value(d, "", 0)
	if err == nil {
		if _, more := d.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("something stands behind its end")
		}
	}
	var p *Problem
	switch {
	case err == nil || errors.As(err, &p):
		return v, err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, problem("bad-request", "the body is no JSON: it ends too early")
	}
	return nil, problem("bad-request", "the body is no JSON, at byte %d: %.200s", d.InputOffset(), err.Error())
}

func value(d *json.Decoder, at string, depth int) (any, error) {
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	delim, ok := t.(json.Delim)
	if !ok {
		if text, isText := t.(string); isText && strings.Contains(text, "\x00") {
			return nil, invalid([]provision.Problem{{Pointer: at, Detail: "holds U+0000, which no store keeps"}})
		}
		return t, nil
	}
	if depth >= maxNesting {
		return nil, problem("bad-request", "the body is nested deeper than %d", maxNesting)
	}
	if delim == '[' {
		list := []any{}
		for d.More() {
			v, err := value(d, at+"/"+strconv.Itoa(len(list)), depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err = d.Token()
		return list, err
	}
	o := object{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		name, ok := t.(string)
		if !ok {
			return nil, errors.New("an object has a name that is no string")
		}
		below := at + "/" + escape(name)
		if _, twice := o[name]; twice {
			return nil, invalid([]provision.Problem{{Pointer: below, Detail: "stands here twice"}})
		}
		if o[name], err = value(d, below, depth+1); err != nil {
			return nil, err
		}
	}
	_, err = d.Token()
	return o, err
}

// escape writes a name as part of a JSON pointer, shortened.
func escape(name string) string {
	if len(name) > 64 {
		name = strings.ToValidUTF8(name[:64], "") + "..."
	}
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}

// checker compares a tree with a type.
type checker struct{ problems []provision.Problem }

func (c *checker) add(at, format string, args ...any) {
	if len(c.problems) < maxProblems {
		c.problems = append(c.problems, provision.Problem{Pointer: at, Detail: fmt.Sprintf(format, args...)})
	}
}

var (
	textType = reflect.TypeFor[encoding.TextUnmarshaler]()
	timeType = reflect.TypeFor[time.Time]()
)

func (c *checker) check(v any, t reflect.Type, at string) {
	if t.Kind() == reflect.Pointer {
		if v != nil {
			c.check(v, t.Elem(), at)
		}
		return
	}
	if v == nil {
		c.add(at, "is null: leave it out instead")
		return
	}
	if t == timeType {
		if s, ok := v.(string); !ok {
			c.add(at, "is %s, want a time as 2026-03-01T12:00:00Z", kindOf(v))
		} else if _, err := time.Parse(time.RFC3339, s); err != nil {
			c.add(at, "%.40q is no time as 2026-03-01T12:00:00Z", s)
		}
		return
	}
	if reflect.PointerTo(t).Implements(textType) {
		c.text(v, t, at)
		return
	}
	switch t.Kind() {
	case reflect.Struct:
		c.object(v, t, at)
	case reflect.Slice:
		list, ok := v.([]any)
		if !ok {
			c.add(at, "is %s, want a list", kindOf(v))
			return
		}
		for i, v := range list {
			c.check(v, t.Elem(), at+"/"+strconv.Itoa(i))
		}
	case reflect.String:
		if _, ok := v.(string); !ok {
			c.add(at, "is %s, want a string", kindOf(v))
		}
	case reflect.Bool:
		if _, ok := v.(bool); !ok {
			c.add(at, "is %s, want true or false", kindOf(v))
		}
	default:
		c.number(v, t, at)
	}
}

func (c *checker) text(v any, t reflect.Type, at string) {
	s, ok := v.(string)
	if !ok {
		c.add(at, "is %s, want a string", kindOf(v))
		return
	}
	if err := reflect.New(t).Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(s)); err != nil {
		c.add(at, "%.200s", err.Error())
	}
}

func (c *checker) number(v any, t reflect.Type, at string) {
	n, ok := v.(json.Number)
	if !ok {
		c.add(at, "is %s, want a number", kindOf(v))
		return
	}
	if err := json.Unmarshal([]byte(n), reflect.New(t).Interface()); err != nil {
		c.add(at, "%.40s is no whole number that fits here", n)
	}
}

func (c *checker) object(v any, t reflect.Type, at string) {
	o, ok := v.(object)
	if !ok {
		c.add(at, "is %s, want an object", kindOf(v))
		return
	}
	known := map[string]reflect.Type{}
	for _, f := range fields(t) {
		known[f.name] = f.typ
	}
	names := make([]string, 0, len(o))
	for name := range o {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		typ, ok := known[name]
		if !ok {
			c.add(at+"/"+escape(name), "is no field that is known here")
			continue
		}
		c.check(o[name], typ, at+"/"+escape(name))
	}
}

func kindOf(v any) string {
	switch v.(type) {
	case object:
		return "an object"
	case []any:
		return "a list"
	case string:
		return "a string"
	case json.Number:
		return "a number"
	case bool:
		return "true or false"
	}
	return "null"
}

// field is one field of a struct as JSON has it.
type field struct {
	name     string
	typ      reflect.Type
	tag      reflect.StructTag
	optional bool // may be left out of what we send
}

// fields lists the fields of a struct.
func fields(t reflect.Type) []field {
	var out []field
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" || !f.IsExported() && !f.Anonymous {
			continue
		}
		if f.Anonymous && name == "" {
			out = append(out, fields(f.Type)...)
			continue
		}
		if name == "" {
			name = f.Name
		}
		out = append(out, field{name, f.Type, f.Tag, strings.Contains(options, "omitempty") || strings.Contains(options, "omitzero")})
	}
	return out
}
