package lint

import (
	"encoding/binary"
	"regexp/syntax"
	"slices"
	"strings"
)

// language is the set of texts that a pattern finds a match in. Only patterns without look-around, back references,
// possessive quantifiers and variables have one here: those are regular, and whether one such set holds another is decided,
// not guessed. A line feed is left out of the texts: a telephone number has none.
type language struct {
	prog *syntax.Prog
	tree *syntax.Regexp
}

const (
	maxProg   = 4000    // instructions of one pattern
	maxStates = 20000   // of one question
	maxWork   = 1 << 19 // states of one question times the instructions of its patterns
)

// languageOf returns the language of an expression as it stands in a dialplan, nil when it has none here.
func languageOf(expression string) *language {
	if len(expression) > 1000 || strings.Contains(expression, "${") || strings.HasPrefix(expression, "_") {
		return nil
	}
	if rest, ok := strings.CutPrefix(expression, "/"); ok {
		end := strings.LastIndexByte(rest, '/')
		if end < 0 {
			return nil
		}
		flags := rest[end+1:]
		expression = rest[:end]
		if strings.Contains(flags, "i") {
			expression = "(?i:" + expression + ")"
		}
	}
	tree, err := syntax.Parse(expression, syntax.Perl)
	if err != nil {
		return nil
	}
	return compile(tree)
}

func compile(tree *syntax.Regexp) *language {
	prog, err := syntax.Compile(tree.Simplify())
	if err != nil || len(prog.Inst) > maxProg {
		return nil
	}
	return &language{prog: prog, tree: tree}
}

// group is the language of the text that group n captures, taken for itself; nil when there is no such group.
func (l *language) group(n int) *language {
	var found *syntax.Regexp
	var search func(*syntax.Regexp)
	search = func(r *syntax.Regexp) {
		if r.Op == syntax.OpCapture && r.Cap == n {
			found = r.Sub[0]
		}
		for _, s := range r.Sub {
			search(s)
		}
	}
	search(l.tree)
	if found == nil {
		return nil
	}
	return compile(&syntax.Regexp{Op: syntax.OpConcat, Sub: []*syntax.Regexp{{Op: syntax.OpBeginText}, found, {Op: syntax.OpEndText}}})
}

// term is one language of a question, or all that it does not hold.
type term struct {
	l   *language
	not bool
}

// machine is where one language stands while a text is read: before which instructions, and whether a match was found.
type machine struct {
	matched bool
	pcs     []uint32
	before  rune // the last character: -1 at the beginning
}

// step reads one character, or the end with -1.
func (l *language) step(m machine, r rune) machine {
	if m.matched {
		return m
	}
	flags := syntax.EmptyOpContext(m.before, r)
	seen := make([]bool, len(l.prog.Inst))
	var ready []uint32
	out := machine{before: r}
	var follow func(pc uint32)
	follow = func(pc uint32) {
		if seen[pc] {
			return
		}
		seen[pc] = true
		switch i := &l.prog.Inst[pc]; i.Op {
		case syntax.InstAlt, syntax.InstAltMatch:
			follow(i.Out)
			follow(i.Arg)
		case syntax.InstCapture, syntax.InstNop:
			follow(i.Out)
		case syntax.InstEmptyWidth:
			if syntax.EmptyOp(i.Arg)&^flags == 0 {
				follow(i.Out)
			}
		case syntax.InstMatch:
			out.matched = true
		case syntax.InstFail:
		default:
			ready = append(ready, pc)
		}
	}
	for _, pc := range m.pcs {
		follow(pc)
	}
	follow(uint32(l.prog.Start)) // a match may begin anywhere
	if out.matched || r < 0 {
		return out
	}
	for _, pc := range ready {
		if l.prog.Inst[pc].MatchRune(r) {
			out.pcs = append(out.pcs, l.prog.Inst[pc].Out)
		}
	}
	slices.Sort(out.pcs)
	out.pcs = slices.Compact(out.pcs)
	return out
}

func (m machine) key(b []byte) []byte {
	kind := byte(0)
	switch {
	case m.matched:
		return append(b, 'M', ';')
	case m.before < 0:
		kind = 1
	case syntax.IsWordChar(m.before):
		kind = 2
	}
	b = append(b, kind)
	for _, pc := range m.pcs {
		b = binary.AppendUvarint(b, uint64(pc))
	}
	return append(b, 0xff, 0xff, ';')
}

// alphabet is one character for each set of characters that no language tells apart, digits first, and how many the
// character stands for.
func alphabet(terms []term) (chars []rune, sizes []int) {
	cut := map[rune]bool{1: true, '\n': true, '\n' + 1: true, '0': true, '9' + 1: true, 'A': true, 'Z' + 1: true, '_': true, '_' + 1: true, 'a': true, 'z' + 1: true}
	for _, t := range terms {
		for _, i := range t.l.prog.Inst {
			for k := 0; k < len(i.Rune); k++ {
				switch {
				case len(i.Rune) == 1: // one character, perhaps in both cases
					for _, r := range []rune{i.Rune[0], i.Rune[0] ^ 0x20} {
						cut[r], cut[r+1] = true, true
					}
				case k%2 == 0:
					cut[i.Rune[k]] = true
				default:
					cut[i.Rune[k]+1] = true
				}
			}
		}
	}
	var starts []rune
	for r := range cut {
		if r >= 1 && r <= 255 {
			starts = append(starts, r)
		}
	}
	slices.Sort(starts)
	for i, r := range starts {
		end := rune(256)
		if i+1 < len(starts) {
			end = starts[i+1]
		}
		if r != '\n' {
			chars, sizes = append(chars, r), append(sizes, int(end-r))
		}
	}
	order := make([]int, len(chars))
	for i := range order {
		order[i] = i
	}
	digit := func(i int) int {
		if chars[i] >= '0' && chars[i] <= '9' {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(order, func(a, b int) int { return digit(a) - digit(b) })
	outChars, outSizes := make([]rune, 0, len(order)), make([]int, 0, len(order))
	for _, i := range order {
		outChars, outSizes = append(outChars, chars[i]), append(outSizes, sizes[i])
	}
	return outChars, outSizes
}

// spot is a state of a question and the way to it.
type spot struct {
	machines []machine
	from     int
	char     rune
	length   int
}

func start(terms []term) spot {
	s := spot{from: -1}
	for range terms {
		s.machines = append(s.machines, machine{before: -1})
	}
	return s
}

func (s spot) accepted(terms []term) bool {
	for i, t := range terms {
		if t.l.step(s.machines[i], -1).matched == t.not {
			return false
		}
	}
	return true
}

func (s spot) next(terms []term, index int, r rune) spot {
	n := spot{from: index, char: r, length: s.length + 1}
	for i, t := range terms {
		n.machines = append(n.machines, t.l.step(s.machines[i], r))
	}
	return n
}

func (s spot) key() string {
	var b []byte
	for _, m := range s.machines {
		b = m.key(b)
	}
	return string(b)
}

// room is how many states a question may have: fewer where each takes more work and memory.
func room(terms []term) int {
	instructions := 1
	for _, t := range terms {
		instructions += len(t.l.prog.Inst)
	}
	return min(maxStates, maxWork/instructions)
}

// witness finds the shortest text that lies in all terms. known is false when the question is too big.
func witness(terms ...term) (text string, found, known bool) {
	chars, _ := alphabet(terms)
	most := room(terms)
	spots := []spot{start(terms)}
	seen := map[string]bool{spots[0].key(): true}
	for i := 0; i < len(spots); i++ {
		if spots[i].accepted(terms) {
			var b []rune
			for at := i; spots[at].from >= 0; at = spots[at].from {
				b = append(b, spots[at].char)
			}
			slices.Reverse(b)
			return string(b), true, true
		}
		for _, r := range chars {
			n := spots[i].next(terms, i, r)
			if key := n.key(); !seen[key] {
				if seen[key] = true; len(spots) >= most {
					return "", false, false
				}
				spots = append(spots, n)
			}
		}
	}
	return "", false, true
}

// holds reports whether every text of inner lies in outer. false also means: not known.
func holds(outer, inner *language) bool {
	_, found, known := witness(term{inner, false}, term{outer, true})
	return known && !found
}

// apart reports whether no text lies in both. false also means: not known.
func apart(a, b *language) bool {
	_, found, known := witness(term{a, false}, term{b, false})
	return known && !found
}

// everything is the language of all texts.
func everything() *language { return languageOf("^") }

// many reports whether more than limit texts of at most longest characters lie in all terms. It counts texts of each
// length along the states, so that a big language costs no more than a small one.
func many(limit, longest int, terms ...term) bool {
	chars, sizes := alphabet(terms)
	most := room(terms) / 10
	spots := []spot{start(terms)}
	index := map[string]int{spots[0].key(): 0}
	counts := map[int]int{0: 1}
	total := 0
	for range longest + 1 {
		next := map[int]int{}
		for at, n := range counts {
			if spots[at].accepted(terms) {
				if total += n; total > limit {
					return true
				}
			}
			for c, r := range chars {
				s := spots[at].next(terms, at, r)
				key := s.key()
				to, ok := index[key]
				if !ok {
					if len(spots) >= most {
						return false
					}
					to = len(spots)
					index[key] = to
					spots = append(spots, s)
				}
				next[to] = min(next[to]+n*sizes[c], 1<<40/256)
			}
		}
		counts = next
	}
	return false
}
