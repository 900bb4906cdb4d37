package bulk

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/store"
)

// batch is how many lines become one transaction: enough that its cost is small for each, and few enough that the calls' own
// writes wait for it a moment only.
const batch = 500

// Rows is what a load writes to.
type Rows interface {
	Change(ctx context.Context, tenant string, changes []store.Change, now time.Time) ([]store.Row, error)
}

// Options are those of a Load.
type Options struct {
	File    string
	Rows    Rows
	Tenant  string // whose rows the lines are; "" = account.OperatorTenant, or whom a line of JSON Lines names
	Restart bool   // from the first line, whatever the journal says
	// Progress is called behind each batch; nil = nobody asks.
	Progress func(Progress)
	Now      func() time.Time
}

// Progress says how far a load is.
type Progress struct {
	Lines    int // behind us, without the header
	Total    int
	Done     int           // of Lines
	Rejected int           // of Lines
	Rate     float64       // lines a second, of late
	Left     time.Duration // at that rate; 0 = not known yet
}

// Summary is how a load ended.
type Summary struct {
	Lines    int           `json:"lines"`             // that say something, without the header
	Done     int           `json:"done"`              // of Lines: their rows are as they say
	Rejected int           `json:"rejected"`          // of Lines: they are in Rejects, with the reason
	Rejects  string        `json:"rejects,omitempty"` // file; "" = none was rejected
	Resumed  int           `json:"resumed,omitempty"` // line behind which an interrupted load went on; 0 = it began anew
	Took     time.Duration `json:"-"`                 // of this run
	Rate     float64       `json:"lines_a_second"`    // of this run
}

// loader is one load.
type loader struct {
	Options
	journal journal
	rejects *os.File
	header  string // what a file of rejected lines begins with
	comma   rune
	format  Format
	meter   meter
	total   int
}

// Load loads a file. With an error, for example ErrUnavailable of the store or a context that ended, everything up to the
// journal is loaded, and the same Load goes on from there.
func Load(ctx context.Context, o Options) (Summary, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	l := &loader{Options: o}
	var err error
	if l.format, err = FormatOf(o.File); err != nil {
		return Summary{}, err
	}
	in, err := os.Open(o.File)
	if err != nil {
		return Summary{}, err
	}
	defer func() { _ = in.Close() }()
	if err := l.begin(in); err != nil {
		return Summary{}, err
	}
	defer func() { _ = l.rejects.Close() }()
	began, resumed, before := time.Now(), l.journal.Line, l.journal.Done+l.journal.Rejected
	err = l.lines(ctx, in)
	s := Summary{Lines: l.journal.Done + l.journal.Rejected, Done: l.journal.Done, Rejected: l.journal.Rejected, Resumed: resumed, Took: time.Since(began)}
	s.Rate = float64(s.Lines-before) / max(s.Took.Seconds(), 1e-9)
	if s.Rejected > 0 {
		s.Rejects = RejectsOf(o.File)
	}
	if err != nil {
		return s, err
	}
	return s, l.finish()
}

// begin finds out where to begin, and opens the file of rejected lines there.
func (l *loader) begin(in *os.File) error {
	if info, err := in.Stat(); err != nil || !info.Mode().IsRegular() {
		return errors.Join(err, fmt.Errorf("%s is no file on a disk: a load from elsewhere could not go on after it was interrupted", l.File))
	}
	sum, lines, err := fingerprint(in)
	if err != nil {
		return err
	}
	l.total = lines
	if l.format == CSV {
		l.total = max(lines-1, 0)
	}
	if _, err := in.Seek(0, io.SeekStart); err != nil {
		return err
	}
	old, err := readJournal(JournalOf(l.File))
	if l.Restart {
		old, err = nil, nil
	}
	switch {
	case err != nil:
		return err
	case old == nil:
		l.journal = journal{SHA256: sum, Tenant: l.Tenant, Started: l.Now().UTC()}
	case old.SHA256 != sum:
		return fmt.Errorf("%s was changed since its load was interrupted behind line %d: write --restart to load it from its first line; lines that did not change change nothing", l.File, old.Line)
	case old.Tenant != l.Tenant:
		return fmt.Errorf("the load of %s that was interrupted behind line %d was for tenant %q, not %q: end it so, or write --restart", l.File, old.Line, old.Tenant, l.Tenant)
	default:
		l.journal = *old
	}
	l.rejects, err = os.OpenFile(RejectsOf(l.File), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	err = l.rejects.Truncate(l.journal.Bytes) // what was rejected behind the journal will be so again
	if err == nil {
		_, err = l.rejects.Seek(0, io.SeekEnd)
	}
	if err != nil {
		return errors.Join(err, l.rejects.Close())
	}
	return nil
}

// finish removes what is of no use any more.
func (l *loader) finish() error {
	err := os.Remove(JournalOf(l.File))
	if errors.Is(err, os.ErrNotExist) {
		err = nil // of an empty file nothing was written
	}
	if l.journal.Rejected == 0 {
		err = errors.Join(err, os.Remove(RejectsOf(l.File)))
	}
	return err
}

// lines loads all lines behind the journal's.
func (l *loader) lines(ctx context.Context, in io.Reader) error {
	r, err := newReader(in, l.format, l.Tenant)
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", l.File, err)
	}
	if r.table != nil {
		l.header, l.comma = r.table.header, r.table.comma
	}
	var waiting []*line
	for {
		next, err := r.next()
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("%s: %w", l.File, err)
		}
		end := err != nil
		if !end && next.number <= l.journal.Line {
			continue
		}
		if len(waiting) > 0 && (end || len(waiting) == batch || next.tenant != waiting[0].tenant) {
			if err := l.batch(ctx, waiting); err != nil {
				return err
			}
			waiting = waiting[:0]
		}
		if end {
			return nil
		}
		waiting = append(waiting, next)
	}
}

// batch loads some lines of one tenant, and writes to the journal that it did.
func (l *loader) batch(ctx context.Context, lines []*line) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := l.put(ctx, lines); err != nil {
		return fmt.Errorf("%s, behind line %d: %w", l.File, l.journal.Line, err)
	}
	var out bytes.Buffer
	for _, line := range lines {
		if line.problem == "" {
			l.journal.Done++
			continue
		}
		if l.journal.Rejected == 0 && l.format == CSV {
			fmt.Fprintf(&out, "line%cproblem%c%s\n", l.comma, l.comma, l.header)
		}
		l.journal.Rejected++
		l.rejected(&out, line)
	}
	if out.Len() > 0 {
		_, err := l.rejects.Write(out.Bytes())
		if err := errors.Join(err, l.rejects.Sync()); err != nil {
			return err
		}
	}
	l.journal.Bytes += int64(out.Len())
	l.journal.Line = lines[len(lines)-1].number
	if err := l.journal.write(JournalOf(l.File)); err != nil {
		return err
	}
	if l.Progress != nil {
		l.Progress(l.meter.at(time.Now(), Progress{Lines: l.journal.Done + l.journal.Rejected, Total: l.total, Done: l.journal.Done, Rejected: l.journal.Rejected}))
	}
	return nil
}

// put writes what lines want in one transaction. Lines at which it fails are rejected and the others written without them.
func (l *loader) put(ctx context.Context, lines []*line) error {
	for {
		changes := changesOf(lines)
		if len(changes) == 0 {
			return nil
		}
		_, err := l.Rows.Change(ctx, lines[0].tenant, changes, l.Now())
		switch {
		case err == nil:
			return nil
		case !atFault(err):
			return err
		case rejectNamed(lines, err):
			continue
		}
		return l.divide(ctx, lines, err)
	}
}

// divide finds the lines at fault where the error does not name them.
func (l *loader) divide(ctx context.Context, lines []*line, err error) error {
	if len(lines) == 1 {
		gone := errors.Is(err, store.ErrNotFound) && lines[0].changes[0].Op == store.Delete
		if !gone { // what shall be deleted and is not there is deleted
			lines[0].reject("%s", strings.ReplaceAll(err.Error(), "\n", "; "))
		}
		return nil
	}
	half := len(lines) / 2
	if err := l.put(ctx, lines[:half]); err != nil {
		return err
	}
	return l.put(ctx, lines[half:])
}

// atFault reports whether an error is about what was to be written, not about the store.
func atFault(err error) bool {
	var invalid *account.Invalid
	return errors.As(err, &invalid) || errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrInUse) || errors.Is(err, store.ErrNotFound)
}

// changesOf are the changes of all lines that are not rejected. A row that several lines have, as they have it in common, is
// written once.
func changesOf(lines []*line) []store.Change {
	var out []store.Change
	have := map[string]bool{}
	for _, l := range lines {
		if l.problem != "" {
			continue
		}
		for _, c := range l.changes {
			id := string(c.Kind) + " " + c.Key
			if have[id] {
				continue
			}
			have[id] = true
			c.At = "line " + strconv.Itoa(l.number)
			out = append(out, c)
		}
	}
	return out
}

// rejectNamed rejects the lines that the problems name, and reports whether there were any.
func rejectNamed(lines []*line, err error) bool {
	var invalid *account.Invalid
	if !errors.As(err, &invalid) {
		return false
	}
	byNumber := make(map[int]*line, len(lines))
	for _, l := range lines {
		byNumber[l.number] = l
	}
	found := false
	for _, problem := range invalid.Problems {
		rest, _ := strings.CutPrefix(problem, "line ")
		end := strings.IndexAny(rest, ".:")
		if end < 0 {
			continue
		}
		n, err := strconv.Atoi(rest[:end])
		if l := byNumber[n]; err == nil && l != nil {
			l.reject("%s", strings.TrimSpace(rest[end+1:]))
			found = true
		}
	}
	return found
}

// rejected writes a line into the file of rejected lines, so that it can be corrected there and loaded from it: line and problem
// are not read.
func (l *loader) rejected(w *bytes.Buffer, line *line) {
	if l.format == CSV {
		fmt.Fprintf(w, "%d%c%s%c%s\n", line.number, l.comma, quoted(line.problem), l.comma, line.text)
		return
	}
	problem, _ := json.Marshal(line.problem) // a string can be written
	text := bytes.TrimSpace(line.text)
	if json.Valid(text) && bytes.HasPrefix(text, []byte("{")) && !bytes.Equal(bytes.TrimSpace(text[1:]), []byte("}")) {
		fmt.Fprintf(w, "{\"line\":%d,\"problem\":%s,%s\n", line.number, problem, text[1:])
		return
	}
	raw, _ := json.Marshal(string(bytes.ToValidUTF8(line.text, []byte("?"))))
	fmt.Fprintf(w, "{\"line\":%d,\"problem\":%s,\"text\":%s}\n", line.number, problem, raw)
}

// quoted writes one CSV value.
func quoted(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }
