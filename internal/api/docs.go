package api

import (
	"bytes"
	"cmp"
	"html/template"
	"reflect"
	"slices"
	"strings"
)

// pageTemplate shows the routes to people. It loads nothing from anywhere.
var pageTemplate = template.Must(template.New("docs").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Signalbox API</title><style>
body{font:15px/1.5 system-ui,sans-serif;max-width:60em;margin:2em auto;padding:0 1em;color:#1b1f24;background:#fff}
code{font:13px ui-monospace,monospace;background:#f1f3f5;padding:.1em .3em;border-radius:3px}
h3 code{font-size:15px;background:none}.m{display:inline-block;min-width:4.5em;font-weight:700}
table{border-collapse:collapse;width:100%}td,th{text-align:left;vertical-align:top;padding:.25em .6em;border-bottom:1px solid #e5e8eb}
.s{color:#57606a}nav a{margin-right:1em}section{border-top:1px solid #d0d7de;margin-top:1.5em}
@media(prefers-color-scheme:dark){body{color:#e6edf3;background:#0d1117}code{background:#21262d}td,th{border-color:#30363d}section{border-color:#30363d}a{color:#58a6ff}.s{color:#8b949e}}
</style></head><body><h1>Signalbox API</h1><p>{{.About}}</p><p><a href="openapi.json">openapi.json</a> is the same for programs.</p>
<nav>{{range .Tags}}<a href="#{{.ID}}">{{.Name}}</a>{{end}}<a href="#types">Types</a></nav>
{{range .Tags}}<h2 id="{{.ID}}">{{.Name}}</h2>{{range .Routes}}<section><h3><span class="m">{{.Method}}</span> <code>{{.Path}}</code></h3>
<p>{{.Summary}}.{{if .Detail}} {{.Detail}}{{end}}</p>
<p class="s">{{if .Scope}}Scope <code>{{.Scope}}</code>. {{else}}No token. {{end}}{{if .Query}}Query: {{range .Query}}<code>{{.}}</code> {{end}}. {{end}}{{if .Body}}Body: <a href="#t-{{.Body}}">{{.Body}}</a>. {{end}}{{if .Result}}Answer: {{if .List}}a page of {{end}}<a href="#t-{{.Result}}">{{.Result}}</a>. {{end}}</p></section>{{end}}{{end}}
<h2 id="types">Types</h2>{{range .Types}}<section><h3 id="t-{{.Name}}">{{.Name}}</h3><table>{{range .Fields}}<tr><td><code>{{.Name}}</code></td><td>{{if .Ref}}<a href="#t-{{.Ref}}">{{.Type}}</a>{{else}}{{.Type}}{{end}}</td><td>{{.Text}}</td></tr>{{end}}</table></section>{{end}}
</body></html>
`))

type docsTag struct {
	ID, Name string
	Routes   []docsRoute
}

type docsRoute struct {
	Method, Path, Scope, Summary, Detail, Body, Result string
	Query                                              []string
	List                                               bool
}

type docsType struct {
	Name   string
	Fields []docsField
}

type docsField struct{ Name, Type, Ref, Text string }

func (s *Server) docs(*request) (result, error) {
	made := newSchemas()
	made.of(Problem{}, false)
	var tags []docsTag
	for _, r := range s.routes {
		_ = r.operation(made)
		i := slices.IndexFunc(tags, func(t docsTag) bool { return t.Name == r.tag })
		if i < 0 {
			i = len(tags)
			tags = append(tags, docsTag{ID: strings.ReplaceAll(strings.ToLower(r.tag), " ", "-"), Name: r.tag})
		}
		d := docsRoute{Method: r.method, Path: r.path, Scope: string(r.scope), Summary: r.summary, Detail: r.detail, List: r.list}
		for _, p := range r.query {
			d.Query = append(d.Query, p.name)
		}
		if r.body != nil {
			d.Body = made.names[reflect.TypeOf(r.body)]
		}
		if r.result != nil {
			d.Result = made.names[reflect.TypeOf(r.result)]
		}
		tags[i].Routes = append(tags[i].Routes, d)
	}
	var types []docsType
	for name, schema := range made.made {
		t := docsType{Name: name}
		for field, p := range schema["properties"].(object) {
			t.Fields = append(t.Fields, docsFieldOf(field, p.(object)))
		}
		slices.SortFunc(t.Fields, func(a, b docsField) int { return cmp.Compare(a.Name, b.Name) })
		types = append(types, t)
	}
	slices.SortFunc(types, func(a, b docsType) int { return cmp.Compare(a.Name, b.Name) })
	var b bytes.Buffer
	err := pageTemplate.Execute(&b, map[string]any{"About": about, "Tags": tags, "Types": types})
	return result{body: page{"text/html; charset=utf-8", b.Bytes()}}, err
}

func docsFieldOf(name string, schema object) docsField {
	f := docsField{Name: name}
	f.Text, _ = schema["description"].(string)
	of := schema
	if items, ok := schema["items"].(object); ok {
		f.Type, of = "list of ", items
	}
	if ref, ok := of["$ref"].(string); ok {
		f.Ref = ref[strings.LastIndexByte(ref, '/')+1:]
		f.Type += f.Ref
		return f
	}
	switch t := of["type"].(type) {
	case string:
		f.Type += t
	case []string:
		f.Type += strings.Join(t, " or ")
	}
	if values, ok := of["enum"].([]string); ok {
		f.Type += ": " + strings.TrimPrefix(strings.Join(values, ", "), ", ")
	}
	return f
}
