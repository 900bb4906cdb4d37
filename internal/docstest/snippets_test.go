package docstest

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/signalbox/signalbox/dialplan"
	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/config"
	"github.com/signalbox/signalbox/internal/strictyaml"
)

// snippet is a piece of YAML, in a page or in a file of examples.
type snippet struct{ where, text string }

func yamlSnippets(t *testing.T) []snippet {
	t.Helper()
	var all []snippet
	for _, p := range pages(t) {
		for _, b := range p.Blocks {
			if b.Lang == "yaml" || b.Lang == "yml" {
				all = append(all, snippet{p.Where(b.Line), b.Text})
			}
		}
	}
	for _, path := range filesBelow(t, "examples", ".yaml", ".yml") {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, snippet{strings.TrimPrefix(filepath.ToSlash(path), top+"/"), string(text)})
	}
	return all
}

func filesBelow(t *testing.T, folder string, extensions ...string) []string {
	t.Helper()
	var out []string
	if !exists(folder) {
		return nil
	}
	err := filepath.WalkDir(filepath.Join(top, folder), func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && slices.Contains(extensions, filepath.Ext(path)) {
			out = append(out, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestEveryYAMLSnippetLoads decides by the keys at the top which of our files a snippet is a piece of, and has the
// program read it. What other programs read (Prometheus, a Compose file) has to be YAML at least; their own tests know more.
func TestEveryYAMLSnippetLoads(t *testing.T) {
	ours := keysOf(reflect.TypeFor[config.Config](), 1)
	documents := keysOf(reflect.TypeFor[account.Document](), 1)
	foreign := []string{"groups", "scrape_configs", "rule_files", "alerting", "services", "apiVersion", "route", "receivers"}
	for _, s := range yamlSnippets(t) {
		var keys map[string]any
		if err := yaml.Unmarshal([]byte(s.text), &keys); err != nil || len(keys) == 0 {
			t.Errorf("%s: no YAML map: %v", s.where, err)
			continue
		}
		all := func(known []string) bool {
			for key := range keys {
				if !slices.Contains(known, key) {
					return false
				}
			}
			return true
		}
		switch {
		case all(ours):
			if err := readConfig(s.text); err != nil {
				t.Errorf("%s: %v", s.where, err)
			}
		case all(documents):
			if _, err := account.ParseDocument([]byte(s.text)); err != nil {
				t.Errorf("%s: %v", s.where, err)
			}
		case slices.ContainsFunc(foreign, func(key string) bool { _, ok := keys[key]; return ok }):
		default:
			t.Errorf("%s: neither a configuration nor a provisioning document has these keys: %v", s.where, keys)
		}
	}
}

// readConfig reads a piece of a configuration over the example's, and validates what comes of it.
func readConfig(text string) error {
	example, err := os.ReadFile(filepath.Join(top, "examples", "signalbox.yaml"))
	if err != nil {
		return err
	}
	c, err := config.Parse(example)
	if err != nil {
		return err
	}
	if err := strictyaml.Decode([]byte(text), c); err != nil {
		return errors.New(yaml.FormatError(err, false, true))
	}
	for i := range c.Nodes { // secrets may stand in files that only the operator has
		if es := &c.Nodes[i].EventSocket; es.PasswordFile != "" {
			es.Password = "stands in the file"
		}
	}
	if d := &c.Directory; d.PasswordFile != "" {
		d.Password = "stands-in-the-file"
	}
	for i := range c.Token.Keys {
		if key := &c.Token.Keys[i]; key.SecretFile != "" {
			key.Secret = config.Secret(strings.Repeat("f", 32))
		}
	}
	return c.Validate()
}

// TestKeysInTheTextExist looks at code spans such as `screening: enforce` and `proxy.max_udp_bytes`.
func TestKeysInTheTextExist(t *testing.T) {
	known := append(keysOf(reflect.TypeFor[config.Config](), 9), keysOf(reflect.TypeFor[account.Document](), 9)...)
	sections := keysOf(reflect.TypeFor[config.Config](), 1)
	assignment := regexp.MustCompile(`^([a-z_.]+): \S`)
	path := regexp.MustCompile(`^([a-z_]+)(\[[0-9]*\])?(\.[a-z_]+(\[[0-9]*\])?)+$`)
	for _, p := range pages(t) {
		for _, s := range p.Spans {
			key := ""
			if m := assignment.FindStringSubmatch(s.Text); m != nil {
				key = m[1]
			} else if m := path.FindStringSubmatch(s.Text); m != nil && slices.Contains(sections, m[1]) {
				key = s.Text
			}
			for part := range strings.SplitSeq(key, ".") {
				if part, _, _ = strings.Cut(part, "["); part != "" && !slices.Contains(known, part) {
					t.Errorf("%s: `%s`: %s is no key", p.Where(s.Line), s.Text, part)
				}
			}
		}
	}
}

// keysOf lists the YAML keys of a struct, and those of what is in it down to a depth.
func keysOf(of reflect.Type, depth int) []string {
	for of.Kind() == reflect.Slice || of.Kind() == reflect.Pointer {
		of = of.Elem()
	}
	if of.Kind() != reflect.Struct || depth == 0 {
		return nil
	}
	var out []string
	for i := range of.NumField() {
		name, _, _ := strings.Cut(of.Field(i).Tag.Get("yaml"), ",")
		if name != "" {
			out = append(out, name)
			out = append(out, keysOf(of.Field(i).Type, depth-1)...)
		}
	}
	return out
}

// TestEveryXMLSnippetLoads has package dialplan read what is a dialplan, and asks of the rest that it is XML.
func TestEveryXMLSnippetLoads(t *testing.T) {
	for _, p := range pages(t) {
		for _, b := range p.Blocks {
			if b.Lang == "xml" {
				if err := readXML(t, b.Text); err != nil {
					t.Errorf("%s: %v", p.Where(b.Line), err)
				}
			}
		}
	}
	for _, folder := range []string{"freeswitch-conf", "examples", "packaging"} {
		for _, path := range filesBelow(t, folder, ".xml") {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := readXML(t, string(text)); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		}
	}
}

func readXML(t *testing.T, text string) error {
	if strings.Contains(text, "<extension") || strings.Contains(text, "<context") {
		file := filepath.Join(t.TempDir(), "snippet.xml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			return err
		}
		tree, err := dialplan.Load(file, dialplan.LoadOptions{})
		if err != nil {
			return err
		}
		for _, notice := range tree.Notices() {
			return errors.New(notice.String())
		}
		return nil
	}
	decoder := xml.NewDecoder(strings.NewReader("<snippet>" + text + "</snippet>"))
	for {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func TestEveryJSONSnippetIsJSON(t *testing.T) {
	check := func(where, text string) {
		decoder := json.NewDecoder(strings.NewReader(text)) // JSON lines are several values
		for {
			var v any
			if err := decoder.Decode(&v); errors.Is(err, io.EOF) {
				return
			} else if err != nil {
				t.Errorf("%s: %v", where, err)
				return
			}
		}
	}
	for _, p := range pages(t) {
		for _, b := range p.Blocks {
			if b.Lang == "json" {
				check(p.Where(b.Line), b.Text)
			}
		}
	}
	for _, path := range filesBelow(t, "examples", ".json") {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		check(path, string(text))
	}
}
