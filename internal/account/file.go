package account

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"github.com/goccy/go-yaml"
)

// ParseDocument reads a Document from YAML (or JSON, which is YAML). A key that is not known, or stands twice, is an
// error that names it with its line. It does not validate; Validate does.
func ParseDocument(text []byte) (Document, error) {
	var d Document
	err := yaml.NewDecoder(bytes.NewReader(text), yaml.Strict()).Decode(&d)
	if err != nil && !errors.Is(err, io.EOF) {
		return Document{}, errors.New(strings.TrimSpace(yaml.FormatError(err, false, true)))
	}
	return d, nil
}

// YAML writes the Document as ParseDocument reads it.
func (d Document) YAML() ([]byte, error) { return yaml.Marshal(d) }
