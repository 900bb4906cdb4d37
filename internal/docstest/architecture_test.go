package docstest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// code is what the project has: files and folders from its top, and the names that its packages declare.
type code struct {
	paths    []string
	packages map[string]map[string]bool // name of a package -> "Plan", "Plan.Next", "Next"
}

func readCode(t *testing.T) code {
	t.Helper()
	c := code{packages: map[string]map[string]bool{}}
	set := token.NewFileSet()
	err := filepath.WalkDir(top, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() && file != top && (strings.HasPrefix(name, ".") && name != ".ci" || name == "bin" || name == "dist" || name == "node_modules") {
			return filepath.SkipDir
		}
		rel, err := filepath.Rel(top, file)
		if err != nil {
			return err
		}
		c.paths = append(c.paths, filepath.ToSlash(rel))
		if filepath.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go") || strings.Contains(file, "testdata") {
			return nil
		}
		parsed, err := parser.ParseFile(set, file, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		c.declare(parsed)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (c code) declare(f *ast.File) {
	names := c.packages[f.Name.Name]
	if names == nil {
		names = map[string]bool{}
		c.packages[f.Name.Name] = names
	}
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			names[d.Name.Name] = true
			if d.Recv != nil {
				names[receiver(d.Recv.List[0].Type)+"."+d.Name.Name] = true
			}
		case *ast.GenDecl:
			for _, s := range d.Specs {
				switch s := s.(type) {
				case *ast.TypeSpec:
					names[s.Name.Name] = true
					members(names, s)
				case *ast.ValueSpec:
					for _, n := range s.Names {
						names[n.Name] = true
					}
				}
			}
		}
	}
}

func receiver(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.IndexExpr:
		return receiver(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}

func members(names map[string]bool, s *ast.TypeSpec) {
	var list *ast.FieldList
	switch t := s.Type.(type) {
	case *ast.StructType:
		list = t.Fields
	case *ast.InterfaceType:
		list = t.Methods
	default:
		return
	}
	for _, f := range list.List {
		for _, n := range f.Names {
			names[s.Name.Name+"."+n.Name] = true
			names[n.Name] = true
		}
	}
}

// has says whether a path or the end of one is there: "gate.go", "fsw/arrival.go", "internal/edge".
func (c code) has(name string) bool {
	name = strings.TrimSuffix(strings.TrimPrefix(name, "./"), "/")
	return slices.ContainsFunc(c.paths, func(p string) bool {
		if ok, _ := path.Match(name, p); ok {
			return true
		}
		return p == name || strings.HasSuffix(p, "/"+name)
	})
}

var (
	qualified = regexp.MustCompile(`\b([a-z][a-z0-9]*)\.([A-Z]\w*(?:\.[A-Z]\w*)?)\b`)
	method    = regexp.MustCompile(`^([A-Z]\w*)\.([A-Z]\w*)(\(.*\))?$`)
	fileName  = regexp.MustCompile(`^[\w./*-]+\.(go|sh|sql|md)$`)
)

func TestArchitectureNamesWhatThereIs(t *testing.T) {
	c := readCode(t)
	p := page(t, "docs/architecture.md")
	for i, line := range strings.Split(p.Text, "\n") {
		for _, m := range qualified.FindAllStringSubmatch(line, -1) {
			if names, ok := c.packages[m[1]]; ok && !names[m[2]] {
				t.Errorf("%s: package %s has no %s", p.Where(i+1), m[1], m[2])
			}
		}
	}
	for _, s := range p.Spans {
		if m := method.FindStringSubmatch(s.Text); m != nil {
			if !c.anyHas(m[1] + "." + m[2]) {
				t.Errorf("%s: no type has `%s`", p.Where(s.Line), s.Text)
			}
		}
		if fileName.MatchString(s.Text) && !c.has(s.Text) {
			t.Errorf("%s: there is no file %s", p.Where(s.Line), s.Text)
		}
	}
}

func (c code) anyHas(name string) bool {
	for _, names := range c.packages {
		if names[name] {
			return true
		}
	}
	return false
}

// TestPathsInThePagesExist looks at code spans that begin with a folder of the project.
func TestPathsInThePagesExist(t *testing.T) {
	c := readCode(t)
	entries, err := os.ReadDir(top)
	if err != nil {
		t.Fatal(err)
	}
	var folders []string
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") && e.Name() != "bin" && e.Name() != "dist" {
			folders = append(folders, e.Name())
		}
	}
	inside := regexp.MustCompile(`^(` + strings.Join(folders, "|") + `)/[\w./*-]*$`)
	for _, p := range pages(t) {
		for _, s := range p.Spans {
			if inside.MatchString(s.Text) && !c.has(s.Text) {
				t.Errorf("%s: there is no %s", p.Where(s.Line), s.Text)
			}
		}
	}
}

func TestArchitectureKnowsEveryPackage(t *testing.T) {
	text := page(t, "docs/architecture.md").Text
	entries, err := os.ReadDir(filepath.Join(top, "internal"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() && !regexp.MustCompile(`\b`+e.Name()+`\b`).MatchString(text) {
			t.Errorf("docs/architecture.md does not say what internal/%s is", e.Name())
		}
	}
}
