package docstest

import (
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const top = "../.."

func pages(t *testing.T) []Page {
	t.Helper()
	all, err := Pages(top)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 5 {
		t.Fatalf("found only %d pages: the walk is broken", len(all))
	}
	return all
}

func page(t *testing.T, name string) Page {
	t.Helper()
	all := pages(t)
	i := slices.IndexFunc(all, func(p Page) bool { return p.Path == name })
	if i < 0 {
		t.Fatalf("no page %s", name)
	}
	return all[i]
}

func exists(name string) bool {
	_, err := os.Stat(filepath.Join(top, filepath.FromSlash(name)))
	return err == nil
}

func TestLinksLeadSomewhere(t *testing.T) {
	all := pages(t)
	for _, p := range all {
		for _, l := range p.Links {
			if strings.Contains(l.Text, "://") || strings.HasPrefix(l.Text, "mailto:") {
				continue
			}
			file, anchor, _ := strings.Cut(l.Text, "#")
			target := p.Path
			if file != "" {
				target = path.Join(path.Dir(p.Path), file)
			}
			if !exists(target) {
				t.Errorf("%s: the link %s leads to no file", p.Where(l.Line), l.Text)
				continue
			}
			if anchor == "" {
				continue
			}
			i := slices.IndexFunc(all, func(p Page) bool { return p.Path == target })
			if i < 0 || !slices.Contains(all[i].Anchors, anchor) {
				t.Errorf("%s: the link %s leads to no heading of %s", p.Where(l.Line), l.Text, target)
			}
		}
	}
}

// TestPagesAreFound asks that a reader who begins at the README gets to every page of docs.
func TestPagesAreFound(t *testing.T) {
	readme := page(t, "README.md")
	for _, p := range pages(t) {
		if path.Dir(p.Path) == "docs" && !slices.ContainsFunc(readme.Links, func(l Span) bool { return strings.HasPrefix(l.Text, p.Path) }) {
			t.Errorf("README.md does not link to %s", p.Path)
		}
	}
}

func TestBlocksAreClosed(t *testing.T) {
	for _, p := range pages(t) {
		fences := 0
		for line := range strings.Lines(p.Text) {
			if strings.HasPrefix(strings.TrimSpace(line), "```") {
				fences++
			}
		}
		if fences%2 != 0 {
			t.Errorf("%s has a fence that nobody closes", p.Path)
		}
	}
}

func TestParse(t *testing.T) {
	p := Parse("a/b.md", "# Two `words` here\n\nSee [the\nfile](c.md#x \"title\") and `not [a](link)`.\n\n1. List:\n\n   ```yaml\n   a:\n     b: 1\n   ```\n\n## Two words here\n"+
		"```\n$ bin/signalbox explain --from '+1 2' \\\n  --to 3 | jq . # see\nmake check && make x\nsudo cp a b\n```\n| `signalbox provision apply\\|export` |\n")
	if got := p.Anchors; !slices.Equal(got, []string{"two-words-here", "two-words-here-1"}) {
		t.Errorf("anchors %q", got)
	}
	if len(p.Links) != 1 || p.Links[0] != (Span{4, "c.md#x"}) {
		t.Errorf("links %v", p.Links)
	}
	if len(p.Blocks) != 2 || p.Blocks[0] != (Block{"yaml", 9, "a:\n  b: 1\n"}) {
		t.Errorf("blocks %+v", p.Blocks)
	}
	var got []string
	for _, c := range p.Commands() {
		got = append(got, c.String())
	}
	want := []string{
		"a/b.md:15: signalbox explain --from +1 2 --to 3", "a/b.md:16: make check", "a/b.md:16: make x", "a/b.md:17: cp a b",
		"a/b.md:20: signalbox provision apply", "a/b.md:20: signalbox provision export",
	}
	if !slices.Equal(got, want) {
		t.Errorf("commands\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
