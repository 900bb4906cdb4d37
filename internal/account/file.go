package account

import (
	"github.com/goccy/go-yaml"

	"github.com/signalbox/signalbox/internal/strictyaml"
)

// ParseDocument reads a Document from YAML (or JSON, which is YAML). A key that is not known, or stands twice, is an
// error that names it with its line. It does not validate; Validate does.
func ParseDocument(text []byte) (Document, error) {
	var d Document
	if err := strictyaml.Decode(text, &d); err != nil {
		return Document{}, err
	}
	return d, nil
}

// YAML writes the Document as ParseDocument reads it.
func (d Document) YAML() ([]byte, error) { return yaml.Marshal(d) }
