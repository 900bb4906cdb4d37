package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/signalbox/signalbox"

// file is one Go file of the project, with its path from the top, its package's folder and its imports.
type file struct {
	path, dir string
	test      bool
	imports   []string
	ast       *ast.File
}

func project(t *testing.T) []file {
	t.Helper()
	top := filepath.Join("..", "..")
	var files []file
	set := token.NewFileSet()
	err := filepath.WalkDir(top, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() && (name == "testdata" || strings.HasPrefix(name, ".") && len(name) > 2) {
			return filepath.SkipDir
		}
		if entry.IsDir() || !strings.HasSuffix(name, ".go") {
			return nil
		}
		parsed, err := parser.ParseFile(set, path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(top, path)
		if err != nil {
			return err
		}
		f := file{path: filepath.ToSlash(rel), dir: filepath.ToSlash(filepath.Dir(rel)), test: strings.HasSuffix(name, "_test.go"), ast: parsed}
		for _, spec := range parsed.Imports {
			imported, _ := strconv.Unquote(spec.Path.Value)
			f.imports = append(f.imports, imported)
		}
		files = append(files, f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 20 {
		t.Fatalf("found only %d Go files: the walk is broken", len(files))
	}
	return files
}

func within(dir string, roots ...string) bool {
	return slices.ContainsFunc(roots, func(root string) bool { return dir == root || strings.HasPrefix(dir, root+"/") })
}

func imports(f file, path string) bool {
	return slices.ContainsFunc(f.imports, func(i string) bool { return i == path || strings.HasPrefix(i, path+"/") })
}

func TestLibrariesKnowNothingOfTheProduct(t *testing.T) {
	for _, f := range project(t) {
		if within(f.dir, "esl", "sipproxy", "dialplan") && imports(f, module+"/internal") {
			t.Errorf("%s imports from internal: esl, sipproxy and dialplan are libraries", f.path)
		}
	}
}

func TestTheHeartIsPure(t *testing.T) {
	allowedNet := []string{"net/netip", "net/url"}
	for _, f := range project(t) {
		base := filepath.Base(f.path)
		pure := within(f.dir, "internal/tel", "internal/account", "internal/call") && !within(f.dir, "internal/call/calltest") || strings.HasPrefix(base, "offer")
		if !pure || f.test {
			continue
		}
		for _, i := range f.imports {
			forbidden := i == "os" || strings.HasPrefix(i, "os/") || strings.HasPrefix(i, "database/sql") || strings.HasPrefix(i, "go.uber.org/zap") ||
				(i == "net" || strings.HasPrefix(i, "net/")) && !slices.Contains(allowedNet, i)
			if forbidden {
				t.Errorf("%s imports %s: decisions and values do no I/O", f.path, i)
			}
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if call, ok := n.(*ast.SelectorExpr); ok {
				if x, ok := call.X.(*ast.Ident); ok && x.Name == "time" && call.Sel.Name == "Now" {
					t.Errorf("%s reads the clock: take now as an argument", f.path)
				}
			}
			return true
		})
	}
}

func TestAccountDoesNotKnowCalls(t *testing.T) {
	for _, f := range project(t) {
		if within(f.dir, "internal/account") && imports(f, module+"/internal/call") {
			t.Errorf("%s imports call", f.path)
		}
	}
}

func TestTreatmentsDoNotKnowEachOther(t *testing.T) {
	const root = "internal/treat/"
	for _, f := range project(t) {
		if !strings.HasPrefix(f.dir, root) {
			continue
		}
		for _, i := range f.imports {
			other, ok := strings.CutPrefix(i, module+"/"+root)
			if ok && root+other != f.dir {
				t.Errorf("%s imports the treatment %s", f.path, other)
			}
		}
	}
}

func TestForeignLibrariesStayBehindTheirAdapters(t *testing.T) {
	only := map[string][]string{
		"github.com/emiago/sipgo":                    {"sipproxy", "internal/fssim", "internal/lab"},
		"github.com/jackc/pgx/v5":                    {"internal/store/postgres"},
		"modernc.org/sqlite":                         {"internal/store/sqlite"},
		"github.com/percipia/eslgo":                  {"internal/fsw", "esl", "internal/fssim", "internal/bench"},
		module + "/internal/store/sqlite":            {"internal/store/sqlite", "internal/app", "internal/bench"},
		module + "/internal/store/postgres":          {"internal/store/postgres", "internal/app", "internal/bench"},
		"github.com/nyaruka/phonenumbers":            {"internal/tel", "internal/screen"},
		"golang.org/x/text":                          {"internal/book", "internal/spoken"},
		module + "/internal/app":                     {"cmd/signalbox", "internal/app", "internal/lab", "internal/e2e"},
		"github.com/alecthomas/kong":                 {"cmd/signalbox"},
		"github.com/dlclark/regexp2":                 {"dialplan"},
		"github.com/prometheus/client_golang":        {"internal/telemetry"},
		"github.com/pion":                            {},
		"github.com/miekg/dns":                       {"internal/resolve", "internal/lab"},
		module + "/internal/fssim":                   {"internal/fssim", "internal/lab", "internal/e2e", "internal/fsw", "internal/sidecar", "cmd/signalbox", "internal/app"},
		module + "/internal/resolve/resolvetest":     {"internal/resolve", "internal/lab", "internal/e2e", "internal/sidecar", "internal/app", "internal/bench"},
		module + "/internal/otlp/otlptest":           {"internal/otlp", "internal/app", "internal/telemetry"},
		"github.com/signalbox/signalbox/sipproxy":    {"sipproxy", "internal/edge", "internal/hep", "internal/app", "internal/telemetry", "internal/lab", "cmd/signalbox"},
		"github.com/signalbox/signalbox/esl/esltest": {"esl", "internal/fssim", "internal/fsw", "internal/bench"},
	}
	inTests := map[string][]string{
		"github.com/pion":                   {"internal/e2e"}, // a browser's voice, which the product never touches
		module + "/internal/store/sqlite":   {"internal/sidecar", "internal/provision", "internal/api", "internal/book", "internal/message", "internal/rooms"},
		module + "/internal/store/postgres": {"internal/sidecar", "internal/e2e", "internal/provision", "internal/api"},
		module + "/internal/fssim":          {"internal/doctor"},
	}
	for _, f := range project(t) {
		for library, homes := range only {
			if !imports(f, library) || within(f.dir, homes...) || f.test && within(f.dir, inTests[library]...) {
				continue
			}
			t.Errorf("%s imports %s, which only %s may", f.path, library, strings.Join(homes, ", "))
		}
		if imports(f, "github.com/percipia/eslgo") && within(f.dir, "esl", "internal/fssim") && !f.test {
			t.Errorf("%s imports eslgo outside a test: it is our vocabulary, not our connection", f.path)
		}
	}
}

// TestGoroutinesHaveOwners asks that a package which starts goroutines also has a Run that waits for them.
func TestGoroutinesHaveOwners(t *testing.T) {
	starts, owns := map[string]string{}, map[string]bool{}
	for _, f := range project(t) {
		if f.test {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				starts[f.dir] = f.path
			case *ast.FuncDecl:
				if n.Name.Name == "Run" || n.Name.Name == "Serve" {
					owns[f.dir] = true
				}
			}
			return true
		})
	}
	for dir, path := range starts {
		if !owns[dir] && !strings.HasSuffix(dir, "test") {
			t.Errorf("%s starts a goroutine, but package %s has no Run that owns it", path, dir)
		}
	}
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	comment, seen := map[string]string{}, map[string]bool{}
	for _, f := range project(t) {
		if f.test {
			continue
		}
		seen[f.dir] = true
		if f.ast.Doc != nil && len(f.ast.Doc.Text()) > len(comment[f.dir]) {
			comment[f.dir] = f.ast.Doc.Text()
		}
	}
	for dir := range seen {
		if len(strings.Fields(comment[dir])) < 12 {
			t.Errorf("package %s has no package comment that says what it is, its invariants and its concurrency rule", dir)
		}
	}
}

func TestNoInitAndNoSleepInTests(t *testing.T) {
	for _, f := range project(t) {
		bubble := imports(f, "testing/synctest")
		ast.Inspect(f.ast, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if n.Name.Name == "init" && n.Recv == nil {
					t.Errorf("%s has an init function: wire things where they are used", f.path)
				}
			case *ast.SelectorExpr:
				x, ok := n.X.(*ast.Ident)
				if ok && x.Name == "time" && n.Sel.Name == "Sleep" && f.test && !bubble {
					t.Errorf("%s sleeps: wait for a fact, not for time", f.path)
				}
			}
			return true
		})
	}
}

// TestFilesStayReadable asks for a reason, in a comment with the words "long because", in files over 600 lines.
func TestFilesStayReadable(t *testing.T) {
	set := token.NewFileSet()
	for _, f := range project(t) {
		if f.test {
			continue
		}
		parsed, err := parser.ParseFile(set, filepath.Join("..", "..", f.path), nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		lines := set.File(parsed.Pos()).LineCount()
		reason := slices.ContainsFunc(parsed.Comments, func(c *ast.CommentGroup) bool { return strings.Contains(c.Text(), "long because") })
		if lines > 600 && !reason {
			t.Errorf("%s has %d lines: look for a second subject inside, or say why", f.path, lines)
		}
	}
}
