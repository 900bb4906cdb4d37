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
		for _, n := range named {
			function, sub, _ := strings.Cut(n[1], "/")
			if !functions[function] {
				t.Errorf("docs/faults.md names the test %s, which no _test.go file has", function)
			}
			if sub != "" && !texts[sub] && !texts[strings.ReplaceAll(sub, "_", " ")] {
				t.Errorf("docs/faults.md names %s, and no _test.go file holds the text %q", n[1], sub)
			}
		}
	}
	if rows < 5 {
		t.Errorf("found only %d rows in docs/faults.md: the search for them is broken", rows)
	}
}

// tests are the names of all test functions, and every string in test files: sub-tests and stories are named by those.
func tests(files []file) (functions, texts map[string]bool) {
	functions, texts = map[string]bool{}, map[string]bool{}
	for _, f := range files {
		if !f.test {
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
