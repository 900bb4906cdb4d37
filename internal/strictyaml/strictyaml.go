// Package strictyaml reads YAML files that people write for Signalbox, and nothing that is not meant.
//
// A key that is not known or stands twice is an error that names it with its line. Anchors and aliases are refused,
// because a few hundred bytes of them can stand for gigabytes, and so are tags (!x), which nothing here means; nesting is
// bounded, and so is the size of the text. A text that the YAML library stumbles over is an error as well. An empty text leaves the value as it is. The package keeps no state and is safe for concurrent use.
package strictyaml

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/token"
)

const (
	// MaxBytes bounds a text.
	MaxBytes = 64 << 20
	// MaxNesting bounds lists and maps within each other, as far as they are written in one line or in brackets.
	MaxNesting = 32
)

// ErrRefused means that the text uses what this package does not take.
var ErrRefused = errors.New("not taken in this file")

// Decode reads one YAML document into a value that holds the defaults. The error is ErrRefused, or Faults with all that cannot be taken.
func Decode(text []byte, into any) (err error) {
	if len(text) > MaxBytes {
		return fmt.Errorf("%d bytes, more than %d: %w", len(text), MaxBytes, ErrRefused)
	}
	defer func() { // some malformed texts make the library follow a nil pointer
		if p := recover(); p != nil {
			err = fmt.Errorf("this is no YAML that can be read; look for a value with an indentation of its own: %w", ErrRefused)
		}
	}()
	empty, err := check(text)
	if err != nil || empty {
		return err // the YAML library would clear the defaults for an empty text
	}
	if err = yaml.NewDecoder(bytes.NewReader(text), yaml.Strict(), yaml.CustomUnmarshaler(duration)).Decode(into); err == nil || errors.Is(err, io.EOF) {
		return nil
	}
	return explain(err, text, into)
}

// duration takes 0 without a unit too, which the YAML library does not.
func duration(d *time.Duration, text []byte) error {
	var written string
	if err := yaml.Unmarshal(text, &written); err != nil {
		return err
	}
	read, err := time.ParseDuration(written)
	if err == nil {
		*d = read
	}
	return err
}

// check looks for what is refused before anything is built from the text, and whether it says anything at all.
func check(text []byte) (empty bool, err error) {
	empty = true
	brackets, line, entries := 0, 0, 0
	for _, t := range lexer.Tokenize(string(text)) {
		if t.Position.Line != line {
			line, entries = t.Position.Line, 0
		}
		switch t.Type {
		case token.CommentType, token.DocumentHeaderType, token.DocumentEndType:
			continue
		case token.AnchorType, token.AliasType:
			return false, fmt.Errorf("line %d: anchors (&) and aliases (*) are %w; write the value out, in quotes if it begins so", line, ErrRefused)
		case token.TagType:
			return false, fmt.Errorf("line %d: tags (!) are %w; put a value that begins with ! in quotes", t.Position.Line, ErrRefused)
		case token.SequenceStartType, token.MappingStartType:
			brackets++
		case token.SequenceEndType, token.MappingEndType:
			brackets--
		case token.SequenceEntryType, token.MappingKeyType:
			entries++
		}
		if brackets+entries > MaxNesting && brackets > 0 || entries > MaxNesting {
			return false, fmt.Errorf("line %d: nesting deeper than %d is %w", line, MaxNesting, ErrRefused)
		}
		empty = false
	}
	return empty, nil
}

// Line is the line of a key's value in a text that Decode took, such as proxy.trunks[0].region; 0 when it does not stand there.
func Line(text []byte, key string) int {
	path, err := yaml.PathString("$." + key)
	if err != nil {
		return 0
	}
	node, err := path.ReadNode(bytes.NewReader(text))
	if err != nil || node == nil || node.GetToken() == nil {
		return 0
	}
	return node.GetToken().Position.Line
}
