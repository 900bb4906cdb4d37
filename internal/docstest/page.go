package docstest

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// Page is one Markdown file.
type Page struct {
	Path    string // from the project's top, with slashes
	Text    string // all of it
	Blocks  []Block
	Spans   []Span // code spans outside the blocks
	Links   []Span // targets of links, without a title
	Anchors []string
}

// Block is a fenced block, without its fences and their indentation.
type Block struct {
	Lang string // what stands behind the fence: "yaml", "xml", "" and so on
	Line int    // of its first line of text, counted from 1
	Text string
}

// Span is a piece of text and its line.
type Span struct {
	Line int
	Text string
}

// Where is the place in the page, for a message.
func (p Page) Where(line int) string { return fmt.Sprintf("%s:%d", p.Path, line) }

// Pages reads every Markdown file below top, without hidden folders and build output.
func Pages(top string) ([]Page, error) {
	var pages []Page
	err := filepath.WalkDir(top, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() && path != top && (strings.HasPrefix(name, ".") || name == "bin" || name == "dist" || name == "node_modules") {
			return filepath.SkipDir
		}
		if entry.IsDir() || filepath.Ext(name) != ".md" {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(top, path)
		if err != nil {
			return err
		}
		pages = append(pages, Parse(filepath.ToSlash(rel), string(text)))
		return nil
	})
	return pages, err
}

var (
	codeSpan = regexp.MustCompile("`[^`]+`")
	linkTo   = regexp.MustCompile(`\]\(\s*([^()\s]+)[^()]*\)`)
)

// Parse reads one page.
func Parse(path, text string) Page {
	p := Page{Path: path, Text: text}
	prose := p.takeBlocks()
	p.anchors(prose)
	rest := codeSpan.ReplaceAllStringFunc(prose, func(span string) string { // blanks keep offsets, and hide brackets in code from linkTo
		return strings.Map(func(r rune) rune {
			if r == '\n' {
				return r
			}
			return ' '
		}, span)
	})
	for _, at := range codeSpan.FindAllStringIndex(prose, -1) {
		if span := prose[at[0]+1 : at[1]-1]; !strings.Contains(span, "\n\n") {
			p.Spans = append(p.Spans, Span{lineOf(prose, at[0]), strings.Join(strings.Fields(span), " ")})
		}
	}
	for _, at := range linkTo.FindAllStringSubmatchIndex(rest, -1) {
		p.Links = append(p.Links, Span{lineOf(rest, at[2]), rest[at[2]:at[3]]})
	}
	return p
}

// takeBlocks collects the fenced blocks and returns the text with them blanked, line for line.
func (p *Page) takeBlocks() string {
	var prose strings.Builder
	var block *Block
	var indent string
	for i, line := range strings.Split(p.Text, "\n") {
		content := strings.TrimLeft(line, " ")
		fence := strings.HasPrefix(content, "```")
		switch {
		case fence && block == nil:
			indent = line[:len(line)-len(content)]
			block = &Block{Lang: strings.TrimSpace(strings.TrimPrefix(content, "```")), Line: i + 2}
		case fence:
			p.Blocks = append(p.Blocks, *block)
			block = nil
		case block != nil:
			block.Text += strings.TrimPrefix(line, indent) + "\n"
		default:
			prose.WriteString(line)
		}
		prose.WriteByte('\n')
	}
	if block != nil { // a fence that nobody closed
		p.Blocks = append(p.Blocks, *block)
	}
	return prose.String()
}

// anchors makes the names of headings as code hosts do: small letters, blanks to hyphens, without other punctuation.
func (p *Page) anchors(prose string) {
	for line := range strings.Lines(prose) {
		title := strings.TrimLeft(line, "#")
		if level := len(line) - len(title); level == 0 || level > 6 || !strings.HasPrefix(title, " ") {
			continue
		}
		slug := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-', r == '_', unicode.IsLetter(r), unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, strings.TrimSpace(title))
		name := slug
		for n := 1; slices.Contains(p.Anchors, name); n++ {
			name = fmt.Sprintf("%s-%d", slug, n)
		}
		p.Anchors = append(p.Anchors, name)
	}
}

func lineOf(text string, offset int) int { return 1 + strings.Count(text[:offset], "\n") }
