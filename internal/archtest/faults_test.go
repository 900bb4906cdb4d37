package archtest

import (
	"go/ast"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// Each row of docs/faults.md names the tests that prove it, and each of these is in the tree.
func TestEveryFaultNamesTestsThatExist(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join("..", "..", "docs", "faults.md"))
	if err != nil {
		t.Fatal(err)
	}
	functions, texts := tests(project(t))
	quoted := regexp.MustCompile("`([^`]+)`")
	rows := 0
	for line := range strings.Lines(string(raw)) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "|---") || strings.HasPrefix(line, "| fault ") {
			continue
		}
		rows++
		cells := strings.Split(strings.Trim(line, "|"), "|")
		if len(cells) != 6 {
			t.Errorf("a row of docs/faults.md has %d cells, want 6: %s", len(cells), line)
			continue
		}
		named := quoted.FindAllStringSubmatch(cells[5], -1)
		if len(named) == 0 {
			t.Errorf("a row of docs/faults.md names no test: %s", line)
		}
		exist(t, "docs/faults.md", named, functions, texts)
	}
	if rows < 5 {
		t.Errorf("found only %d rows in docs/faults.md: the search for them is broken", rows)
	}
}

// exist checks that tests which a page names in quotes are there.
func exist(t *testing.T, page string, named [][]string, functions, texts map[string]bool) {
	t.Helper()
	for _, n := range named {
		function, sub, _ := strings.Cut(n[1], "/")
		if !functions[function] {
			t.Errorf("%s names the test %s, which no _test.go file has", page, function)
		}
		if sub != "" && !texts[sub] && !texts[strings.ReplaceAll(sub, "_", " ")] {
			t.Errorf("%s names %s, and no _test.go file or story of the lab holds the text %q", page, n[1], sub)
		}
	}
}

// Each requirement of docs/voicemail.md names the tests that show it, and each of these is in the tree.
func TestEveryRequirementNamesTestsThatExist(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join("..", "..", "docs", "voicemail.md"))
	if err != nil {
		t.Fatal(err)
	}
	functions, texts := tests(project(t))
	row := regexp.MustCompile(`^\| (VM-A\d+|R-VM-\d\d): [^|]+\|([^|]+)\|$`)
	quoted := regexp.MustCompile("`(Test[^`]+)`")
	seen := map[string]bool{}
	for line := range strings.Lines(string(raw)) {
		if m := row.FindStringSubmatch(strings.TrimSpace(line)); m != nil {
			named := quoted.FindAllStringSubmatch(m[2], -1)
			if seen[m[1]] = true; len(named) == 0 {
				t.Errorf("nothing shows %s", m[1])
			}
			exist(t, "docs/voicemail.md", named, functions, texts)
		}
	}
	if len(seen) != 23+13 {
		t.Errorf("docs/voicemail.md has %d requirements, want VM-A1 to VM-A23 and R-VM-01 to R-VM-13", len(seen))
	}
}

// tests are the names of all test functions, and every string in test files and in the lab's stories: sub-tests and stories are named
// by those.
func tests(files []file) (functions, texts map[string]bool) {
	functions, texts = map[string]bool{}, map[string]bool{}
	for _, f := range files {
		if !f.test && f.dir != "internal/lab" {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				functions[n.Name.Name] = n.Recv == nil || functions[n.Name.Name]
			case *ast.BasicLit:
				if text, err := strconv.Unquote(n.Value); err == nil && n.Kind == token.STRING {
					texts[text] = true
				}
			}
			return true
		})
	}
	return functions, texts
}
