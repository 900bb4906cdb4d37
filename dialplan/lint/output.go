package lint

import (
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"strings"
	"unicode/utf8"
)

// WriteText writes the findings for people, each with what to write instead. prefix stands in front of each file, so that
// a terminal or an editor can open it; colour says whether severities are coloured.
func (r *Report) WriteText(out io.Writer, prefix string, colour bool) error {
	var b strings.Builder
	paint := func(code, s string) string {
		if !colour {
			return s
		}
		return "\x1b[" + code + "m" + s + "\x1b[0m"
	}
	for _, f := range r.Findings {
		severity := map[Severity]string{Error: "31;1", Warning: "33;1", Note: "36"}[f.Severity]
		where := ""
		if f.Extension != "" {
			where = fmt.Sprintf(" (extension %q)", f.Extension)
		}
		fmt.Fprintf(&b, "%s: %s: %s [%s]%s\n    instead: %s\n", paint("1", display(prefix, f)), paint(severity, f.Severity.String()), f.What, f.Rule, where, f.Instead)
	}
	fmt.Fprintf(&b, "%s in %d extension%s of %d file%s", r.summary(), r.Extensions, plural(r.Extensions), r.Files, plural(r.Files))
	if r.Suppressed > 0 {
		fmt.Fprintf(&b, ", %d silenced by comments", r.Suppressed)
	}
	b.WriteString("\n")
	_, err := io.WriteString(out, b.String())
	return err
}

func display(prefix string, f Finding) string {
	p := f.Pos
	if prefix != "" && p.File != "" && !filepath.IsAbs(p.File) {
		p.File = filepath.Join(prefix, filepath.FromSlash(p.File))
	}
	return p.WithColumn()
}

func (r *Report) summary() string {
	errors, warnings := r.Count(Error), r.Count(Warning)-r.Count(Error)
	notes := len(r.Findings) - errors - warnings
	if len(r.Findings) == 0 {
		return "nothing found"
	}
	return fmt.Sprintf("%d error%s, %d warning%s, %d note%s", errors, plural(errors), warnings, plural(warnings), notes, plural(notes))
}

// WriteJSON writes the report as one JSON object.
func (r *Report) WriteJSON(out io.Writer) error {
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(r)
}

// The parts of SARIF 2.1.0 (OASIS) that are written.
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool       sarifTool                `json:"tool"`
		Bases      map[string]sarifArtifact `json:"originalUriBaseIds"`
		Results    []sarifResult            `json:"results"`
		ColumnKind string                   `json:"columnKind"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name  string      `json:"name"`
		Rules []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID      string       `json:"id"`
		Short   sarifText    `json:"shortDescription"`
		Help    sarifText    `json:"help"`
		Default sarifDefault `json:"defaultConfiguration"`
	}
	sarifText struct {
		Text string `json:"text"`
	}
	sarifDefault struct {
		Level string `json:"level"`
	}
	sarifArtifact struct {
		URI  string `json:"uri"`
		Base string `json:"uriBaseId,omitempty"`
	}
	sarifResult struct {
		Rule      string          `json:"ruleId"`
		Index     int             `json:"ruleIndex"`
		Level     string          `json:"level"`
		Message   sarifText       `json:"message"`
		Locations []sarifLocation `json:"locations,omitempty"`
	}
	sarifLocation struct {
		Physical sarifPhysical `json:"physicalLocation"`
	}
	sarifPhysical struct {
		Artifact sarifArtifact `json:"artifactLocation"`
		Region   sarifRegion   `json:"region"`
	}
	sarifRegion struct {
		Line   int `json:"startLine"`
		Column int `json:"startColumn,omitempty"`
	}
)

// sarifBase names the folder that the files are in.
const sarifBase = "CONF"

// WriteSARIF writes the report as SARIF 2.1.0, the format in which code forges take findings. Columns count code points.
func (r *Report) WriteSARIF(out io.Writer) error {
	driver := sarifDriver{Name: "signalbox dialplan lint"}
	index := map[string]int{}
	for i, rule := range rules {
		index[rule.ID] = i
		help := "See docs/dialplan.md."
		if rule.Known != "" {
			help = "Known from: " + rule.Known + "."
		}
		driver.Rules = append(driver.Rules, sarifRule{ID: rule.ID, Short: sarifText{rule.Title}, Help: sarifText{help}, Default: sarifDefault{rule.Severity.String()}})
	}
	run := sarifRun{Tool: sarifTool{driver}, Results: []sarifResult{}, ColumnKind: "unicodeCodePoints",
		Bases: map[string]sarifArtifact{sarifBase: {URI: (&url.URL{Scheme: "file", Path: filepath.ToSlash(r.Root) + "/"}).String()}}}
	for _, f := range r.Findings {
		result := sarifResult{Rule: f.Rule, Index: index[f.Rule], Level: f.Severity.String(), Message: sarifText{f.What + ". Instead: " + f.Instead}}
		if f.Pos.Line > 0 {
			place := sarifArtifact{URI: (&url.URL{Path: f.Pos.File}).EscapedPath(), Base: sarifBase}
			if filepath.IsAbs(f.Pos.File) {
				place = sarifArtifact{URI: (&url.URL{Scheme: "file", Path: f.Pos.File}).String()}
			}
			result.Locations = []sarifLocation{{sarifPhysical{place, sarifRegion{f.Pos.Line, r.column(f)}}}}
		}
		run.Results = append(run.Results, result)
	}
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(sarifLog{Schema: "https://json.schemastore.org/sarif-2.1.0.json", Version: "2.1.0", Runs: []sarifRun{run}})
}

// column counts code points where Pos counts bytes.
func (r *Report) column(f Finding) int {
	path := f.Pos.File
	if !filepath.IsAbs(path) {
		path = filepath.Join(r.Root, filepath.FromSlash(path))
	}
	lines := r.sources[path]
	if f.Pos.Col == 0 || f.Pos.Line > len(lines) || f.Pos.Col > len(lines[f.Pos.Line-1])+1 {
		return f.Pos.Col
	}
	return utf8.RuneCountInString(lines[f.Pos.Line-1][:f.Pos.Col-1]) + 1
}
