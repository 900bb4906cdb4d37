package dialplan

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

// maxWildcards is in how many elements of its path an include may have wildcards: each multiplies the search.
const maxWildcards = 3

// preprocessor does what FreeSWITCH does before it parses: it joins the included files into one text, line by line.
type preprocessor struct {
	out     bytes.Buffer
	globals map[string]string // by their names in lower case
	getenv  func(string) string
	limits  Limits
	files   int
	names   []string        // of the files read, each once
	seen    map[string]bool // the same
	stack   []string
	pieces  []piece
	size    int64 // bytes of all files read and of all global variables set
	notices []Notice
	missing map[string]bool // globals that FreeSWITCH sets itself and the files use
	offsets []int           // in out, of each notice; -1 = wherever
	refused map[string]bool // variables that a refused directive would have set
	dropped int
}

// piece says where the bytes of out from start on come from. What a global variable put there (fixed) stands as a whole
// where its name stands.
type piece struct {
	start int
	pos   Pos
	fixed bool
}

func newPreprocessor(path string, opt LoadOptions, limits Limits) *preprocessor {
	p := &preprocessor{globals: map[string]string{}, getenv: opt.Getenv, limits: limits, seen: map[string]bool{}, refused: map[string]bool{}, missing: map[string]bool{}}
	p.globals["conf_dir"] = filepath.Dir(path)
	for k, v := range opt.Globals {
		p.globals[strings.ToLower(k)] = v
	}
	return p
}

// origin returns the place of the byte at offset.
func (p *preprocessor) origin(offset int) Pos {
	i := sort.Search(len(p.pieces), func(i int) bool { return p.pieces[i].start > offset })
	if i == 0 {
		return Pos{}
	}
	from := p.pieces[i-1]
	if !from.fixed {
		from.pos.Col += offset - from.start
	}
	return from.pos
}

func (p *preprocessor) notice(pos Pos, kind NoticeKind, format string, args ...any) {
	if len(p.notices) >= p.limits.Notices {
		p.dropped++
		return
	}
	p.notices = append(p.notices, Notice{Pos: pos, Kind: kind, Text: fmt.Sprintf(format, args...)})
	p.offsets = append(p.offsets, p.out.Len())
}

// outside returns the notices except for those about lines inside comments: nobody misses what is lost there.
func (p *preprocessor) outside(comments [][2]int) []Notice {
	var kept []Notice
	for i, n := range p.notices {
		at := p.offsets[i]
		c := sort.Search(len(comments), func(c int) bool { return comments[c][1] > at })
		if at < 0 || c == len(comments) || at <= comments[c][0] {
			kept = append(kept, n)
		}
	}
	return kept
}

// write writes a part of a line that stands at pos.
func (p *preprocessor) write(text string, pos Pos, fixed bool) error {
	if len(text) == 0 {
		return nil
	}
	if int64(p.out.Len()+len(text)) > p.limits.TotalBytes {
		return errAt(pos, "the tree grows over %d bytes: %w", p.limits.TotalBytes, ErrLimit)
	}
	p.pieces = append(p.pieces, piece{p.out.Len(), pos, fixed})
	p.out.WriteString(text)
	return nil
}

// writeLine writes l from the offset from up to to.
func (p *preprocessor) writeLine(l line, from, to int, pos Pos) error {
	for i, part := range l.parts {
		end := len(l.text)
		if i+1 < len(l.parts) {
			end = l.parts[i+1].at
		}
		begin := max(part.at, from)
		if end = min(end, to); begin >= end {
			continue
		}
		pos.Col = part.col
		if !part.fixed {
			pos.Col += begin - part.at
		}
		if err := p.write(l.text[begin:end], pos, part.fixed); err != nil {
			return err
		}
	}
	return nil
}

// line is a line after its $${...} were replaced. seen is what FreeSWITCH still sees of it afterwards when it looks for
// <include>: it cuts its own copy at the first name it replaced.
type line struct {
	text, seen string
	parts      []part
}

// part says that the text from at on stands in the column col of the file; see piece.
type part struct {
	at, col int
	fixed   bool
}

// file reads one file into the text. from is the place of the directive that named it.
func (p *preprocessor) file(path, dir string, depth int, from Pos) error {
	for _, open := range p.stack {
		if open == path {
			return errAt(from, "%s includes itself: %w", path, ErrLimit)
		}
	}
	if depth > p.limits.Depth {
		return errAt(from, "includes nested deeper than %d: %w", p.limits.Depth, ErrLimit)
	}
	if p.files++; p.files > p.limits.Files {
		return errAt(from, "more than %d files: %w", p.limits.Files, ErrLimit)
	}
	data, err := p.read(path, from)
	if err != nil {
		if depth == 0 || errors.Is(err, ErrLimit) {
			return err
		}
		p.notice(from, NoticeInclude, "%s cannot be read: FreeSWITCH goes on without it", path)
		return nil
	}
	if p.size += int64(len(data)); p.size > p.limits.TotalBytes {
		return errAt(from, "the tree grows over %d bytes: %w", p.limits.TotalBytes, ErrLimit)
	}
	if !p.seen[path] {
		p.seen[path] = true
		p.names = append(p.names, path)
	}
	p.stack = append(p.stack, path)
	defer func() { p.stack = p.stack[:len(p.stack)-1] }()

	skipping := false // inside a <!--# comment that spans lines
	pos := Pos{File: path, Line: 1, Col: 1}
	room := lineRoom
	for len(data) > 0 {
		end := bytes.IndexAny(data, "\r\n") + 1
		if end == 0 {
			end = len(data)
		}
		for end+1 >= room/2 {
			room += lineRoom
		}
		if err := p.line(string(data[:end]), room, dir, depth, pos, &skipping); err != nil {
			return err
		}
		if data[end-1] == '\n' || data[end-1] == '\r' && (end == len(data) || data[end] != '\n') {
			pos.Line++
		}
		data = data[end:]
	}
	return nil
}

func (p *preprocessor) read(path string, from Pos) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	switch {
	case !info.Mode().IsRegular():
		return nil, errAt(from, "%s is no regular file", path)
	case info.Size() > p.limits.FileBytes:
		return nil, errAt(from, "%s is larger than %d bytes: %w", path, p.limits.FileBytes, ErrLimit)
	case info.Size() == 0:
		return nil, nil // nor is anything read that only the kernel knows the end of
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(bufio.NewReader(f), p.limits.FileBytes+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > p.limits.FileBytes {
		return nil, errAt(from, "%s is larger than %d bytes: %w", path, p.limits.FileBytes, ErrLimit)
	}
	return data, nil
}

// line takes one line, with its end, through the steps in FreeSWITCH's order.
func (p *preprocessor) line(raw string, room int, dir string, depth int, pos Pos, skipping *bool) error {
	before := len(p.notices)
	l := p.globalsIn(raw, room, pos)
	for _, mark := range []string{"<include>", "</include>", "<?"} {
		if !strings.Contains(l.seen, mark) {
			continue
		}
		rest := strings.NewReplacer("<include>", "", "</include>", "", "<!--", "").Replace(l.seen)
		if strings.Contains(rest, "<") && mark != "<?" {
			p.notice(pos, NoticeDropped, "FreeSWITCH drops this whole line because it holds %s", mark)
		}
		return nil
	}
	if *skipping {
		at := strings.Index(l.seen, "-->")
		if at < 0 {
			return nil
		}
		*skipping = false
		text := l.seen[at+3:] // of its own copy, in which nothing is replaced
		l = line{text, text, []part{{0, at + 4, false}}}
	}
	if at := indexFold(l.text, "X-pre-process"); at >= 0 {
		if at == 0 || l.text[at-1] != '<' {
			disabled := at > 0 && l.text[at-1]|0x20 == 'x' // <XX-PRE-PROCESS is how it is switched off
			if strings.ContainsAny(l.text, "<>") && !disabled {
				p.notice(pos, NoticeDropped, "FreeSWITCH drops this whole line because it mentions X-PRE-PROCESS")
			}
			return nil
		}
		for i := before; i < len(p.notices); i++ {
			p.offsets[i] = -1 // a directive works inside a comment as well
		}
		if lost := strings.TrimSpace(l.text[:at-1]); lost != "" && !strings.HasSuffix(lost, "<!--") {
			p.notice(pos, NoticeDropped, "FreeSWITCH drops what stands before X-PRE-PROCESS on its line")
		}
		pos.Col += strings.Index(raw, l.text[at-1:min(at+10, len(l.text))])
		return p.directive(l.text[at:], dir, depth, pos)
	}
	if at := strings.Index(l.text, "<!--#"); at >= 0 {
		return p.comment(l, at, dir, depth, pos, skipping)
	}
	return p.writeLine(l, 0, len(l.text), pos)
}

// lineRoom is FreeSWITCH's buffer for a line whose global variables are in place: twice the one for lines as they are
// read, which begins with 1,024 bytes for each file and grows with the longest line so far.
const lineRoom = 2048

// globalsIn replaces $${name} in a line. Where a value runs over the end of FreeSWITCH's buffer the rest of the line is
// lost, its end too. Where anything else does, FreeSWITCH begins anew with what is left of its copy: all before the first
// name that it replaced, and that name.
func (p *preprocessor) globalsIn(raw string, room int, pos Pos) line {
	l := line{text: raw, seen: raw, parts: []part{{0, 1, false}}}
	if !strings.Contains(raw, "$${") {
		return l
	}
	var b strings.Builder
	i := 0
	for i < len(raw) && b.Len() < room-1 {
		if !strings.HasPrefix(raw[i:], "$${") {
			b.WriteByte(raw[i])
			i++
			continue
		}
		pos.Col = i + 1
		end := closing(raw[i+2:], '{', '}')
		if end < 0 {
			p.notice(pos, NoticeGlobal, "unterminated $${ variable")
			b.WriteByte(raw[i])
			i++
			continue
		}
		name := raw[i+3 : i+2+end]
		value, ok := p.globals[strings.ToLower(name)]
		if !ok && setsItself(strings.ToLower(name)) {
			p.missing[strings.ToLower(name)] = true
		} else if !ok && !p.refused[strings.ToLower(name)] {
			p.notice(pos, NoticeGlobal, "global variable $${%s} is not set: FreeSWITCH puts nothing in its place", clip(name))
			if n := len(p.offsets); n > 0 {
				p.offsets[n-1] = p.out.Len() + b.Len()
			}
		}
		l.parts = append(l.parts, part{b.Len(), i + 1, true})
		value = value[:min(len(value), room-b.Len())]
		b.WriteString(value)
		if len(l.seen) == len(raw) {
			l.seen = raw[:i+2+end]
		}
		i += 3 + end
		l.parts = append(l.parts, part{b.Len(), i + 1, false})
		if b.Len() > 1<<20 {
			break
		}
	}
	if l.text = b.String(); len(l.text) < room-1 {
		return l
	}
	pos.Col = l.parts[1].col
	p.notice(pos, NoticeCut, "FreeSWITCH drops a part of this line, which global variables make longer than its buffer of %d bytes", room)
	if len(l.text) == room-1 {
		l.text, l.parts = l.seen, l.parts[:1]
	}
	return l
}

// setsItself reports whether a running FreeSWITCH knows this global variable without being told. Here it is empty
// unless LoadOptions.Globals holds it.
func setsItself(name string) bool {
	if stem, ok := strings.CutSuffix(name, "_dir"); ok {
		return strings.Contains(" base conf log run db mod htdocs script temp grammar fonts images certs storage cache recordings sounds data localstate ", " "+stem+" ")
	}
	switch name {
	case "hostname", "switchname", "domain", "core_uuid", "switch_serial", "local_ip_v4", "local_ip_v6", "local_mask_v4",
		"zrtp_enabled", "nat_public_addr", "nat_private_addr", "nat_type":
		return true
	}
	return false
}

// directive carries out <X-PRE-PROCESS cmd="..." data="..."/>; text begins behind the "<".
func (p *preprocessor) directive(text, dir string, depth int, pos Pos) error {
	if end := strings.Index(text, "/>"); end >= 0 {
		lost := strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(text[end+2:]), "-->"))
		if lost != "" && !(strings.HasPrefix(lost, "<!--") && !strings.Contains(lost, "-->")) {
			p.notice(pos, NoticeDropped, "FreeSWITCH drops what stands behind X-PRE-PROCESS on its line")
		}
		text = text[:end+2]
	}
	cmd, rest, ok := quotedAfter(text, "cmd")
	if !ok {
		p.notice(pos, NoticeDirective, "X-PRE-PROCESS without cmd")
		return nil
	}
	arg, _, ok := quotedAfter(rest, "data")
	if !ok {
		p.notice(pos, NoticeDirective, "X-PRE-PROCESS %s without data", cmd)
		return nil
	}
	return p.command(cmd, arg, dir, depth, pos, true)
}

// quotedAfter returns the text between the first double quotes behind name= and what follows it.
func quotedAfter(s, name string) (value, rest string, ok bool) {
	at := indexFold(s, name)
	if at < 0 {
		return "", "", false
	}
	s = s[at:]
	for _, mark := range []string{"=", `"`} {
		if at = strings.Index(s, mark); at < 0 {
			return "", "", false
		}
		s = s[at:]
	}
	value, rest, _ = strings.Cut(s[1:], `"`)
	return value, rest, true
}

// comment carries out the older form <!--#cmd "arg"-->, which begins at the offset at.
func (p *preprocessor) comment(l line, at int, dir string, depth int, pos Pos, skipping *bool) error {
	if err := p.writeLine(l, 0, at, pos); err != nil {
		return err
	}
	cmd, rest, found := strings.Cut(l.text[at+len("<!--#"):], "-->")
	if found {
		if err := p.writeLine(l, len(l.text)-len(rest), len(l.text), pos); err != nil {
			return err
		}
	} else {
		*skipping = true
	}
	cmd, _, _ = strings.Cut(strings.ReplaceAll(cmd, "\r", "\n"), "\n")
	cmd, arg, found := strings.Cut(cmd, " ")
	if !found {
		return nil
	}
	if _, quoted, ok := strings.Cut(arg, `"`); ok {
		if inner, _, ok := strings.Cut(quoted, `"`); ok {
			arg = inner
		}
	}
	return p.command(cmd, arg, dir, depth, pos, false)
}

func (p *preprocessor) command(cmd, arg, dir string, depth int, pos Pos, env bool) error {
	switch strings.ToLower(cmd) {
	case "set":
		name, value, ok := strings.Cut(arg, "=")
		if !ok {
			p.notice(pos, NoticeDirective, "X-PRE-PROCESS set without a value: %q", arg)
			return nil
		}
		return p.setGlobal(strings.TrimRight(name, " "), strings.TrimLeft(value, " "), pos)
	case "env-set":
		name, value, ok := strings.Cut(arg, "=")
		if source, dollar := strings.CutPrefix(value, "$"); env && ok && dollar {
			if v := p.getenv(source); v != "" {
				return p.setGlobal(name, v, pos)
			}
		}
		p.notice(pos, NoticeDirective, "env-set %q sets nothing", arg)
	case "include":
		return p.include(arg, dir, depth+1, pos)
	case "exec", "exec-set", "stun-set":
		if name, _, ok := strings.Cut(arg, "="); ok {
			p.refused[strings.ToLower(strings.TrimRight(name, " "))] = true
		}
		p.notice(pos, NoticeExec, "X-PRE-PROCESS %s is not carried out here: nothing in a tree is executed, nobody is asked", strings.ToLower(cmd))
	default:
		p.notice(pos, NoticeDirective, "FreeSWITCH does not know X-PRE-PROCESS %q", cmd)
	}
	return nil
}

// setGlobal sets a global variable. All that were ever set count, so that values that double each other have an end.
func (p *preprocessor) setGlobal(name, value string, pos Pos) error {
	if p.size += int64(len(name) + len(value)); p.size > p.limits.TotalBytes {
		return errAt(pos, "global variables grow over %d bytes: %w", p.limits.TotalBytes, ErrLimit)
	}
	p.globals[strings.ToLower(name)] = harmless(value)
	return nil
}

// harmless makes %{name} of ${name}, as FreeSWITCH does with the value of a global variable.
func harmless(value string) string {
	b, dollar := []byte(value), -1
	for i, c := range b {
		switch {
		case c == '$':
			dollar = i
		case c == '{' && dollar >= 0:
			b[dollar], dollar = '%', -1
		case c != '\\':
			dollar = -1
		}
	}
	return string(b)
}

// include reads the files that match a pattern, in FreeSWITCH's order: byte order of the paths. A relative pattern
// begins at the folder of the file that it stands in.
func (p *preprocessor) include(pattern, dir string, depth int, pos Pos) error {
	if !filepath.IsAbs(pattern) {
		pattern = dir + string(filepath.Separator) + pattern // as it is: behind a link ".." leads elsewhere
	}
	wild := 0
	for part := range strings.SplitSeq(filepath.ToSlash(pattern), "/") {
		if hasWildcard(part) {
			wild++
		}
	}
	if wild > maxWildcards {
		return errAt(pos, "include %q has wildcards in %d places of its path, at most %d: %w", clip(pattern), wild, maxWildcards, ErrLimit)
	}
	files, err := filepath.Glob(strings.ReplaceAll(pattern, "[!", "[^"))
	if err != nil {
		return errAt(pos, "include %q: %w", pattern, err)
	}
	sort.Strings(files)
	found := false
	for _, f := range files {
		if hides(pattern, f) {
			continue
		}
		found = true
		f = cleaned(f)
		if err := p.file(f, filepath.Dir(f), depth, pos); err != nil {
			return err
		}
	}
	if !found {
		p.notice(pos, NoticeInclude, "no files to include at %s", filepath.Clean(pattern))
	}
	return nil
}

func hasWildcard(part string) bool { return strings.ContainsAny(part, "*?[") }

// hides reports whether a wildcard of the pattern stands for a name that begins with a dot, which none does in FreeSWITCH.
func hides(pattern, file string) bool {
	parts, names := strings.Split(filepath.ToSlash(pattern), "/"), strings.Split(filepath.ToSlash(file), "/")
	for len(parts) > 0 && len(names) > 0 {
		part, name := parts[len(parts)-1], names[len(names)-1]
		if hasWildcard(part) && strings.HasPrefix(name, ".") && !strings.HasPrefix(part, ".") {
			return true
		}
		parts, names = parts[:len(parts)-1], names[:len(names)-1]
	}
	return false
}

// cleaned takes "." and ".." out of a path where that leads to the same file.
func cleaned(path string) string {
	short := filepath.Clean(path)
	if short == path {
		return path
	}
	a, err := os.Stat(path)
	b, err2 := os.Stat(short)
	if err != nil || err2 != nil || !os.SameFile(a, b) {
		return path
	}
	return short
}

// indexFold is strings.Index without regard to the case of ASCII letters.
func indexFold(s, sub string) int {
	for i := 0; i+len(sub) <= len(s); i++ {
		if strings.EqualFold(s[i:i+len(sub)], sub) {
			return i
		}
	}
	return -1
}

// closing returns where the bracket closes that s begins with, or -1. Quotes and backslashes mean nothing here.
func closing(s string, open, end byte) int {
	depth := 0
	for i := range len(s) {
		switch s[i] {
		case open:
			depth++
		case end:
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}
