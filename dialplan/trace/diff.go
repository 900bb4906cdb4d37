package trace

import (
	"io"

	"github.com/signalbox/signalbox/dialplan"
)

// Diff writes how two walks of the same call differ, the trace and then the applications, in the manner of diff -u with
// the place of each line, and reports whether they do. The places themselves are not compared.
func Diff(out io.Writer, a, b *dialplan.Walk, nameA, nameB string, oa, ob Options) (differ bool, err error) {
	pa, pb := newPage(a, oa), newPage(b, ob)
	pa.width = max(pa.width, pb.width)
	pb.width = pa.width
	left, right := newSide(a, pa), newSide(b, pb)
	edits := edit(left.lines, right.lines)
	for _, e := range edits {
		differ = differ || e.kind != same
	}
	if !differ && a.End == b.End {
		_, err = io.WriteString(out, "both treat the call alike: "+count(len(a.Trace), "line")+" of trace, "+count(len(a.Actions), "application")+"\n")
		return false, err
	}
	p := &page{o: oa, width: pa.width}
	p.text(p.paint(bold, "--- "+clean(nameA)) + "\n" + p.paint(bold, "+++ "+clean(nameB)) + "\n")
	show := near(edits, 3)
	gap := false
	for i, e := range edits {
		if !show[i] {
			if !gap {
				p.text(p.paint(dim, "  ...") + "\n")
			}
			gap = true
			continue
		}
		gap = false
		switch e.kind {
		case same:
			p.text("  " + left.shown(e.a) + "\n")
		case removed:
			p.text(p.paint(red, "- "+left.shown(e.a)) + "\n")
		case added:
			p.text(p.paint(green, "+ "+right.shown(e.b)) + "\n")
		}
	}
	if a.End != b.End {
		p.text("\n" + p.paint(red, "- ends: "+ending(a)) + "\n" + p.paint(green, "+ ends: "+ending(b)) + "\n")
	}
	_, err = io.WriteString(out, p.b.String())
	return true, err
}

func ending(w *dialplan.Walk) string {
	if w.End == "" {
		return "the last application has returned"
	}
	return clean(w.End)
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return itoa(n) + " " + what + "s"
}

// side is one walk as lines to compare, and where they stand.
type side struct {
	page   *page
	lines  []string
	places []dialplan.Pos
}

func newSide(w *dialplan.Walk, p *page) *side {
	s := &side{page: p}
	for i, line := range w.Trace {
		s.lines = append(s.lines, "Dialplan: "+line)
		s.places = append(s.places, w.Places[i])
	}
	for _, a := range w.Actions {
		s.lines = append(s.lines, "EXECUTE "+a.Application+"("+a.Data+")")
		s.places = append(s.places, a.Pos)
	}
	return s
}

func (s *side) shown(i int) string {
	place := s.page.place(s.places[i])
	for len(place) < s.page.width {
		place += " "
	}
	return place + "  " + clean(s.lines[i])
}

type kind int

const (
	same kind = iota
	removed
	added
)

type change struct {
	kind kind
	a, b int // indexes
}

// maxTable bounds the table of the comparison; beyond it the middle parts count as wholly different.
const maxTable = 16 << 20

// edit returns the changes that make b of a, by their longest common subsequence.
func edit(a, b []string) []change {
	var out []change
	head := 0
	for head < len(a) && head < len(b) && a[head] == b[head] {
		out = append(out, change{same, head, head})
		head++
	}
	tail := 0
	for tail < len(a)-head && tail < len(b)-head && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	out = append(out, middle(a, b, head, len(a)-tail, len(b)-tail)...)
	for i := range tail {
		out = append(out, change{same, len(a) - tail + i, len(b) - tail + i})
	}
	return out
}

func middle(a, b []string, from, endA, endB int) []change {
	n, m := endA-from, endB-from
	var out []change
	i, j := 0, 0
	if (n+1)*(m+1) <= maxTable {
		// common[i][j] is the length of what a[i:] and b[j:] have in common.
		common := make([]int32, (n+1)*(m+1))
		for i := n - 1; i >= 0; i-- {
			for j := m - 1; j >= 0; j-- {
				c := &common[i*(m+1)+j]
				if a[from+i] == b[from+j] {
					*c = common[(i+1)*(m+1)+j+1] + 1
				} else {
					*c = max(common[(i+1)*(m+1)+j], common[i*(m+1)+j+1])
				}
			}
		}
		for i < n && j < m {
			switch {
			case a[from+i] == b[from+j]:
				out = append(out, change{same, from + i, from + j})
				i, j = i+1, j+1
			case common[(i+1)*(m+1)+j] >= common[i*(m+1)+j+1]:
				out = append(out, change{removed, from + i, 0})
				i++
			default:
				out = append(out, change{added, 0, from + j})
				j++
			}
		}
	}
	for ; i < n; i++ {
		out = append(out, change{removed, from + i, 0})
	}
	for ; j < m; j++ {
		out = append(out, change{added, 0, from + j})
	}
	return out
}

// near marks the changes and what stands at most n lines from one.
func near(edits []change, n int) []bool {
	show := make([]bool, len(edits))
	for i, e := range edits {
		if e.kind == same {
			continue
		}
		for k := max(0, i-n); k <= min(len(edits)-1, i+n); k++ {
			show[k] = true
		}
	}
	return show
}
