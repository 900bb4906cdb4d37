package bulk

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/store"
)

// maxLine bounds one line in bytes; a longer one is rejected.
const maxLine = 64 << 10

// Format is how a file is written.
type Format string

// The formats.
const (
	CSV   Format = "csv"
	JSONL Format = "jsonl"
)

// FormatOf tells a file's format by its name.
func FormatOf(name string) (Format, error) {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".csv":
		return CSV, nil
	case ".jsonl", ".ndjson":
		return JSONL, nil
	}
	return "", fmt.Errorf("%s: the name of a file to load ends in .csv, .jsonl or .ndjson; a whole document in YAML is for provision apply", name)
}

// line is one line of a file that says something.
type line struct {
	number  int // in the file, from 1
	text    []byte
	tenant  string
	changes []store.Change // what it wants; entries are in their one form
	problem string         // why it is not taken; "" = it is, so far
}

func (l *line) reject(format string, args ...any) {
	if l.problem == "" {
		l.problem = fmt.Sprintf(format, args...)
	}
}

// reader reads lines and what they want.
type reader struct {
	in     *bufio.Reader
	format Format
	tenant string // of lines that name none
	only   bool   // lines that name another tenant are rejected
	number int
	table  *table // CSV
	seen   map[uint64]seen
	seed   maphash.Seed
}

// seen is where a key stood first, and what for.
type seen struct {
	line int
	sum  uint64
}

func newReader(in io.Reader, format Format, tenant string) (*reader, error) {
	r := &reader{in: bufio.NewReaderSize(in, maxLine), format: format, tenant: tenant, only: tenant != "", seen: map[uint64]seen{}, seed: maphash.MakeSeed()}
	if r.tenant == "" {
		r.tenant = account.OperatorTenant
	}
	if format != CSV {
		return r, nil
	}
	text, long, err := r.read()
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if long {
		return nil, fmt.Errorf("line 1: longer than %d bytes", maxLine)
	}
	r.table, err = newTable(text)
	return r, err
}

// read reads the next line that is not blank, without its end. long means that the rest of it was left out.
func (r *reader) read() (text []byte, long bool, err error) {
	for {
		text, err = r.in.ReadSlice('\n')
		long = errors.Is(err, bufio.ErrBufferFull)
		text = bytes.Clone(text)
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = r.in.ReadSlice('\n')
		}
		if len(text) == 0 {
			return nil, false, err
		}
		if r.number++; r.number == 1 {
			text = bytes.TrimPrefix(text, []byte("\ufeff"))
		}
		text = bytes.TrimRight(text, "\r\n")
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, false, err
		}
		if len(bytes.TrimSpace(text)) > 0 {
			return text, long, nil
		}
	}
}

// next reads the next line and what it wants; io.EOF behind the last.
func (r *reader) next() (*line, error) {
	text, long, err := r.read()
	if err != nil {
		return nil, err
	}
	l := &line{number: r.number, text: text, tenant: r.tenant}
	switch {
	case long:
		l.text = l.text[:200]
		l.reject("longer than %d bytes", maxLine)
	case !utf8.Valid(text):
		l.reject("it is not UTF-8: save the file in that encoding")
	case r.format == CSV:
		r.table.parse(l)
	default:
		r.parseJSON(l)
	}
	if l.problem == "" {
		l.normalize()
	}
	if l.problem == "" {
		r.once(l)
	}
	return l, nil
}

// normalize brings the entries in their one form.
func (l *line) normalize() {
	var bad account.Invalid
	for i, c := range l.changes {
		if c.Op != store.Put {
			continue
		}
		e := account.NormalizeEntry(c.Entry, "", &bad)
		l.changes[i].Entry, l.changes[i].Kind, l.changes[i].Key = e, e.Kind(), e.Key()
	}
	if err := bad.Err(); err != nil {
		l.reject("%s", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
}

// once rejects a line that says something else of a row than an earlier one did.
func (r *reader) once(l *line) {
	for _, c := range l.changes {
		text, err := json.Marshal(c.Entry)
		if err != nil {
			l.reject("%v", err)
			return
		}
		key := maphash.String(r.seed, l.tenant+"\x00"+string(c.Kind)+"\x00"+c.Key)
		sum := maphash.Bytes(r.seed, append(text, c.Op...))
		first, twice := r.seen[key]
		if twice && first.sum != sum {
			l.reject("%s %s stands in line %d already, and differently", c.Kind, c.Key, first.line)
			return
		}
		if !twice {
			r.seen[key] = seen{l.number, sum}
		}
	}
}

// jsonLine is a line of JSON Lines. Line and Problem are what a file of rejected lines has more; they say nothing.
type jsonLine struct {
	Tenant  string          `json:"tenant,omitempty"`
	Op      store.Op        `json:"op,omitempty"` // none = put
	Kind    account.Kind    `json:"kind"`
	Key     string          `json:"key,omitempty"` // of delete
	Entry   json.RawMessage `json:"entry,omitempty"`
	Line    any             `json:"line,omitempty"`
	Problem any             `json:"problem,omitempty"`
}

func (r *reader) parseJSON(l *line) {
	var j jsonLine
	if err := decodeStrictly(l.text, &j); err != nil {
		l.reject("no row in JSON: %v", err)
		return
	}
	if j.Tenant != "" {
		if r.only && j.Tenant != r.tenant {
			l.reject("tenant: the line is tenant %.64q's, and tenant %s is loaded", j.Tenant, r.tenant)
			return
		}
		l.tenant = j.Tenant
		var bad account.Invalid
		account.CheckTenant(j.Tenant, &bad)
		if err := bad.Err(); err != nil {
			l.reject("%v", err)
			return
		}
	}
	switch {
	case j.Op == store.Delete && j.Key == "":
		l.reject("key: which row shall be deleted?")
	case j.Op == store.Delete:
		if _, err := account.DecodeEntry(j.Kind, []byte("{}")); err != nil {
			l.reject("kind: %v", err)
			return
		}
		l.changes = []store.Change{{Op: store.Delete, Kind: j.Kind, Key: j.Key}}
	case j.Op != "" && j.Op != store.Put:
		l.reject("op: %.40q is neither put nor delete", j.Op)
	case len(j.Entry) == 0:
		l.reject("entry: the row is missing")
	default:
		e, err := account.DecodeEntry(j.Kind, []byte("{}"))
		if err != nil {
			l.reject("kind: %v", err)
			return
		}
		if err := decodeStrictly(j.Entry, e); err != nil {
			l.reject("entry: %v", err)
			return
		}
		l.changes = []store.Change{{Op: store.Put, Entry: e}}
	}
}

// decodeStrictly reads one JSON value and nothing behind it; a key that is not known is an error.
func decodeStrictly(text []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something stands behind the value")
	}
	return nil
}
