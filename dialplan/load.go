package dialplan

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

var (
	// ErrSyntax is wrapped by errors about XML that FreeSWITCH would not load.
	ErrSyntax = errors.New("not the XML that FreeSWITCH reads")
	// ErrLimit is wrapped by errors about input beyond a bound of Limits.
	ErrLimit = errors.New("beyond the limit")
	// ErrNoDialplan is returned by Load when nothing that was read holds a dialplan.
	ErrNoDialplan = errors.New("no dialplan found")
	// ErrNoContext is returned by Hunt when neither the context nor one called global exists.
	ErrNoContext = errors.New("context not found")
)

// Pos is a place in a file. Lines and columns (bytes) are counted from 1; the zero Pos is no place. What a global
// variable put into a line has the column of its "$${".
type Pos struct {
	File string `json:"file"`
	Line int    `json:"line"`
	Col  int    `json:"col,omitempty"`
}

// String is file:line.
func (p Pos) String() string {
	if p.File == "" {
		return "-"
	}
	return fmt.Sprintf("%s:%d", p.File, p.Line)
}

// WithColumn is file:line:column, as far as they are known.
func (p Pos) WithColumn() string {
	if p.Col == 0 {
		return p.String()
	}
	return fmt.Sprintf("%s:%d", p, p.Col)
}

// NoticeKind says what sort of thing a Notice is about.
type NoticeKind string

// The kinds of notices. Those of Load come first; Hunt and Walk know the rest.
const (
	NoticeDropped   NoticeKind = "dropped-line"       // FreeSWITCH drops a line, or a part of it
	NoticeCut       NoticeKind = "cut-line"           // FreeSWITCH has no room for a line, and cuts it
	NoticeGlobal    NoticeKind = "undefined-global"   // $${name} that is not set
	NoticeInclude   NoticeKind = "missing-include"    // nothing to include there, or a file that cannot be read
	NoticeExec      NoticeKind = "exec-refused"       // a directive that would run a program or ask the network
	NoticeDirective NoticeKind = "bad-directive"      // a directive that FreeSWITCH does not understand
	NoticeElsewhere NoticeKind = "answered-elsewhere" // a module answers for a section before the files do
	NoticePattern   NoticeKind = "bad-pattern"        // a pattern that does not compile, or takes too long
	NoticeUnknown   NoticeKind = "not-evaluated"      // something that cannot be evaluated offline
	NoticeAssumed   NoticeKind = "assumed"            // an outcome that was assumed
	NoticeError     NoticeKind = "freeswitch-error"   // what FreeSWITCH itself logs as an error or does not do
)

// Notice is something that does not stop the work but that a dialplan engineer wants to know.
type Notice struct {
	Pos  Pos
	Kind NoticeKind
	Text string
}

func (n Notice) String() string { return n.Pos.String() + ": " + n.Text }

// Error is an error at a place in a file.
type Error struct {
	Pos    Pos
	Source string // the line that stands there, "" when it cannot be shown
	Err    error
}

// Error is file:line:column: what, and on two further lines the line itself and a mark under the column.
func (e *Error) Error() string {
	s := e.Pos.WithColumn() + ": " + e.Err.Error()
	if e.Source == "" {
		return s
	}
	s += "\n\t" + e.Source
	if e.Pos.Col > 0 && e.Pos.Col <= len(e.Source) {
		blank := strings.Map(func(r rune) rune {
			if r == '\t' {
				return r
			}
			return ' '
		}, e.Source[:e.Pos.Col-1])
		s += "\n\t" + blank + "^"
	}
	return s
}

// Unwrap returns the error without its place.
func (e *Error) Unwrap() error { return e.Err }

func errAt(pos Pos, format string, args ...any) error {
	return &Error{Pos: pos, Err: fmt.Errorf(format, args...)}
}

// maxSource is how much of a line an error shows.
const maxSource = 200

// withSource adds to an error at a place the line that stands there.
func withSource(err error, limit int64) error {
	var at *Error
	if !errors.As(err, &at) || at.Source != "" || at.Pos.Line == 0 {
		return err
	}
	f, err2 := os.Open(at.Pos.File)
	if err2 != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewReader(io.LimitReader(f, limit))
	for n := 1; ; n++ {
		text, err2 := lines.ReadString('\n')
		if n == at.Pos.Line {
			if text = strings.TrimRight(text, "\r\n"); len(text) > maxSource {
				text = text[:maxSource]
			}
			at.Source = strings.ToValidUTF8(strings.Map(printable, text), "?")
			return err
		}
		if err2 != nil {
			return err
		}
	}
}

// printable keeps what a terminal shows as it is.
func printable(r rune) rune {
	if r < ' ' && r != '\t' || r == 0x7f || r >= 0x80 && r < 0xa0 {
		return '?'
	}
	return r
}

// Limits bound what Load reads. A zero field takes its default.
type Limits struct {
	FileBytes  int64 // one file; default 8 MiB
	TotalBytes int64 // the tree after all includes; default 64 MiB
	Files      int   // files read, an included file counts each time; default 10,000
	Depth      int   // nesting of includes; default 100, which is FreeSWITCH's own
	Elements   int   // XML elements; default 1,000,000
	Nesting    int   // nesting of XML elements; default 120
	Notices    int   // kept; further ones are counted only; default 1,000
}

func (l Limits) withDefaults() Limits {
	def := Limits{FileBytes: 8 << 20, TotalBytes: 64 << 20, Files: 10_000, Depth: 100, Elements: 1_000_000, Nesting: 120, Notices: 1000}
	for _, p := range []struct{ have, want *int64 }{{&l.FileBytes, &def.FileBytes}, {&l.TotalBytes, &def.TotalBytes}} {
		if *p.have <= 0 {
			*p.have = *p.want
		}
	}
	for _, p := range []struct{ have, want *int }{{&l.Files, &def.Files}, {&l.Depth, &def.Depth}, {&l.Elements, &def.Elements}, {&l.Nesting, &def.Nesting}, {&l.Notices, &def.Notices}} {
		if *p.have <= 0 {
			*p.have = *p.want
		}
	}
	return l
}

// LoadOptions say what a running FreeSWITCH would know and a file does not.
type LoadOptions struct {
	// Globals are variables that FreeSWITCH sets itself before it reads the tree, such as local_ip_v4 and
	// base_dir. conf_dir is always the folder of the tree. X-PRE-PROCESS set overrides them.
	Globals map[string]string
	// Context is the context of extensions that stand in no context, as in a file that is meant to be included;
	// default "default".
	Context string
	// Getenv answers X-PRE-PROCESS env-set; nil = os.Getenv.
	Getenv func(string) string
	// Limits bound what is read.
	Limits Limits
}

// Tree is a configuration as loaded, with its dialplan: contexts with their extensions in FreeSWITCH's order. It does
// not change.
type Tree struct {
	roots    []*Element
	contexts []*Element
	globals  map[string]string // by their names in lower case
	files    []string
	notices  []Notice
	missing  []string
	dropped  int
	patterns *patternCache
	zones    zones
}

// Load reads one XML file (root document, section, context, or the inside of an include file), or a whole
// configuration tree: its folder or its freeswitch.xml. It reads regular files only.
func Load(path string, opt LoadOptions) (*Tree, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("loading dialplan: %w", err)
	}
	if info.IsDir() {
		folder := path
		path = filepath.Join(folder, "freeswitch.xml")
		if _, err = os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("loading dialplan: %s holds no freeswitch.xml: name the folder that FreeSWITCH reads, such as /etc/freeswitch, or one XML file: %w", folder, ErrNoDialplan)
		}
	}
	path, err = filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("loading dialplan: %w", err)
	}
	if opt.Getenv == nil {
		opt.Getenv = os.Getenv
	}
	if opt.Context == "" {
		opt.Context = "default"
	}
	t, err := readTree(path, opt)
	if err != nil {
		return nil, fmt.Errorf("loading dialplan: %w", withSource(err, opt.Limits.withDefaults().FileBytes))
	}
	return t, nil
}

func readTree(path string, opt LoadOptions) (*Tree, error) {
	limits := opt.Limits.withDefaults()
	pre := newPreprocessor(path, opt, limits)
	if err := pre.file(path, filepath.Dir(path), 0, Pos{File: path}); err != nil {
		return nil, err
	}
	roots, comments, err := parse(pre.out.Bytes(), pre.origin, limits)
	if err != nil {
		return nil, err
	}
	t := &Tree{roots: roots, globals: pre.globals, files: pre.names, patterns: newPatternCache()}
	t.contexts = findContexts(roots, opt.Context)
	if len(t.contexts) == 0 {
		return nil, fmt.Errorf("%s: %w: it has neither a context nor an extension", path, ErrNoDialplan)
	}
	t.notices, t.dropped = pre.outside(comments), pre.dropped
	t.missing = slices.Sorted(maps.Keys(pre.missing))
	for _, section := range [...]string{"dialplan", "directory"} {
		if module := t.elsewhere(section); module != "" {
			pos := Pos{}
			if s := t.Section(section); s != nil {
				pos = s.Pos
			}
			t.notices = append(t.notices, Notice{pos, NoticeElsewhere, fmt.Sprintf("%s answers for the %s before these files do: what it answers is not known here", module, section)})
		}
	}
	return t, nil
}

// findContexts picks what FreeSWITCH would take for the dialplan: the first section called dialplan. A file that is
// only meant to be included may also begin with contexts or with bare extensions.
func findContexts(roots []*Element, bare string) []*Element {
	top := roots
	if len(roots) == 1 && (roots[0].Name == "document" || roots[0].Name == "include") {
		top = roots[0].Children
	}
	for _, e := range top {
		if name, ok := e.Attr("name"); ok && e.Name == "section" && strings.EqualFold(name, "dialplan") {
			return childrenNamed(e.Children, "context")
		}
	}
	contexts := childrenNamed(top, "context")
	if extensions := childrenNamed(top, "extension"); len(extensions) > 0 {
		contexts = append(contexts, &Element{Name: "context", Pos: extensions[0].Pos,
			Attrs: []Attribute{{Name: "name", Value: bare}}, Children: extensions})
	}
	return contexts
}

func childrenNamed(list []*Element, name string) []*Element {
	var out []*Element
	for _, e := range list {
		if e.Name == name {
			out = append(out, e)
		}
	}
	return out
}

// Roots returns the outermost elements of what was read: one document, or what an include file holds.
func (t *Tree) Roots() []*Element { return t.roots }

// Section returns the first section of that name (configuration, dialplan, directory, ...), which is the one that
// FreeSWITCH looks into, or nil. A file that is meant to be included has none.
func (t *Tree) Section(name string) *Element {
	top := t.roots
	if len(top) == 1 && top[0].Name == "document" {
		top = top[0].Children
	}
	for _, e := range top {
		if have, ok := e.Attr("name"); ok && e.Name == "section" && strings.EqualFold(have, name) {
			return e
		}
	}
	return nil
}

// ContextElements returns the <context> elements of the dialplan in order. Extensions that stood in no context are in
// one of LoadOptions' name.
func (t *Tree) ContextElements() []*Element { return slices.Clone(t.contexts) }

// Files returns the files that were read, in order, each once.
func (t *Tree) Files() []string { return slices.Clone(t.files) }

// Contexts returns the names of the contexts in order. Of two with one name FreeSWITCH uses only the first.
func (t *Tree) Contexts() []string {
	names := make([]string, 0, len(t.contexts))
	for _, c := range t.contexts {
		name, _ := c.Attr("name")
		names = append(names, name)
	}
	return names
}

// Global returns a global variable as it stood when the whole tree was read. Case does not matter to FreeSWITCH.
func (t *Tree) Global(name string) (string, bool) {
	v, ok := t.globals[strings.ToLower(name)]
	return v, ok
}

// Missing returns the global variables that the files use and a running FreeSWITCH sets itself, such as local_ip_v4. They are empty
// here, but for those of LoadOptions.Globals.
func (t *Tree) Missing() []string { return t.missing }

// Notices returns what was odd about the files: refused directives, missing variables, lines that FreeSWITCH drops.
func (t *Tree) Notices() []Notice {
	list := append([]Notice(nil), t.notices...)
	if t.dropped > 0 {
		list = append(list, Notice{Text: fmt.Sprintf("%d more notices", t.dropped)})
	}
	return list
}

// context finds the context of that name, or the one called global, as FreeSWITCH does. Case does not matter.
func (t *Tree) context(name string) *Element {
	for _, want := range []string{name, "global"} {
		for _, c := range t.contexts {
			if have, ok := c.Attr("name"); ok && strings.EqualFold(have, want) {
				return c
			}
		}
	}
	return nil
}
