package dialplan

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
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

// Pos is a place in a file. Lines are counted from 1; the zero Pos is no place.
type Pos struct {
	File string `json:"file"`
	Line int    `json:"line"`
}

func (p Pos) String() string {
	if p.File == "" {
		return "-"
	}
	return fmt.Sprintf("%s:%d", p.File, p.Line)
}

// Notice is something that does not stop the work but that a dialplan engineer wants to know.
type Notice struct {
	Pos  Pos
	Text string
}

func (n Notice) String() string { return n.Pos.String() + ": " + n.Text }

// Error is an error at a place in a file.
type Error struct {
	Pos Pos
	Err error
}

func (e *Error) Error() string { return e.Pos.String() + ": " + e.Err.Error() }

// Unwrap returns the error without its place.
func (e *Error) Unwrap() error { return e.Err }

func errAt(pos Pos, format string, args ...any) error {
	return &Error{Pos: pos, Err: fmt.Errorf(format, args...)}
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

// Tree is a dialplan as loaded: contexts with their extensions in FreeSWITCH's order. It does not change.
type Tree struct {
	contexts []*element
	globals  map[string]string
	notices  []Notice
	dropped  int
	patterns *patternCache
}

// Load reads one XML file (root document, section, context, or the inside of an include file), or a whole
// configuration tree: its folder or its freeswitch.xml. It reads regular files only.
func Load(path string, opt LoadOptions) (*Tree, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("loading dialplan: %w", err)
	}
	if info.IsDir() {
		path = filepath.Join(path, "freeswitch.xml")
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
	limits := opt.Limits.withDefaults()
	pre := newPreprocessor(path, opt, limits)
	if err := pre.file(path, filepath.Dir(path), 0, Pos{File: path}); err != nil {
		return nil, fmt.Errorf("loading dialplan: %w", err)
	}
	roots, err := parse(pre.out.Bytes(), pre.origin, limits)
	if err != nil {
		return nil, fmt.Errorf("loading dialplan: %w", err)
	}
	t := &Tree{globals: pre.globals, patterns: newPatternCache()}
	t.contexts = findContexts(roots, opt.Context)
	if len(t.contexts) == 0 {
		return nil, fmt.Errorf("loading dialplan: %s: %w", path, ErrNoDialplan)
	}
	t.notices, t.dropped = pre.notices, pre.dropped
	return t, nil
}

// findContexts picks what FreeSWITCH would take for the dialplan: the first section called dialplan. A file that is
// only meant to be included may also begin with contexts or with bare extensions.
func findContexts(roots []*element, bare string) []*element {
	top := roots
	if len(roots) == 1 && (roots[0].name == "document" || roots[0].name == "include") {
		top = roots[0].children
	}
	for _, e := range top {
		if name, ok := e.attr("name"); ok && e.name == "section" && strings.EqualFold(name, "dialplan") {
			return childrenNamed(e.children, "context")
		}
	}
	contexts := childrenNamed(top, "context")
	if extensions := childrenNamed(top, "extension"); len(extensions) > 0 {
		contexts = append(contexts, &element{name: "context", pos: extensions[0].pos,
			attrs: []attribute{{"name", bare}}, children: extensions})
	}
	return contexts
}

func childrenNamed(list []*element, name string) []*element {
	var out []*element
	for _, e := range list {
		if e.name == name {
			out = append(out, e)
		}
	}
	return out
}

// Contexts returns the names of the contexts in order. Of two with one name FreeSWITCH uses only the first.
func (t *Tree) Contexts() []string {
	names := make([]string, 0, len(t.contexts))
	for _, c := range t.contexts {
		name, _ := c.attr("name")
		names = append(names, name)
	}
	return names
}

// Global returns a global variable as it stood when the whole tree was read.
func (t *Tree) Global(name string) (string, bool) {
	v, ok := t.globals[name]
	return v, ok
}

// Notices returns what was odd about the files: refused directives, missing variables, lines that FreeSWITCH drops.
func (t *Tree) Notices() []Notice {
	list := append([]Notice(nil), t.notices...)
	if t.dropped > 0 {
		list = append(list, Notice{Text: fmt.Sprintf("%d more notices", t.dropped)})
	}
	return list
}

// context finds the context of that name, or the one called global, as FreeSWITCH does. Case does not matter.
func (t *Tree) context(name string) *element {
	for _, want := range []string{name, "global"} {
		for _, c := range t.contexts {
			if have, ok := c.attr("name"); ok && strings.EqualFold(have, want) {
				return c
			}
		}
	}
	return nil
}
