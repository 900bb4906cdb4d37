package book

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/tel"
)

// The bounds of a file.
const (
	MaxContacts = 20_000 // of one file, and of one account
	maxProblems = 1000   // that a Result names; the rest is counted
	maxPhones   = 100    // of one entry that are looked at
)

// ErrTooMany means that a file has more than MaxContacts entries.
var ErrTooMany = fmt.Errorf("the file has more than %d entries, as many as an address book holds: nothing was taken", MaxContacts)

// Format is how a file is written.
type Format string

// The formats.
const (
	VCard Format = "vcard"
	JCard Format = "jcard"
	CSV   Format = "csv"
)

// Formats are all formats.
var Formats = []Format{VCard, JCard, CSV}

// Options say how a file is read.
type Options struct {
	Account string // whose contacts they become
	Country string // ISO 3166, in which national numbers are read; "" = only international ones are
	Charset string // of a file without byte order mark, such as windows-1252; "" = UTF-8
	Source  string // of the contacts; "" = import
}

// Problem is something in a file that could not be taken.
type Problem struct {
	Line int    `json:"line"`
	Text string `json:"problem"`
}

// Contact is a contact, and the line where the first entry it was made of begins.
type Contact struct {
	Line  int
	Entry account.ContactEntry
	// Firm says that the entry looks like that of a firm or a group, of which it is not said whether it is shared: then it is, unless
	// somebody says otherwise.
	Firm bool
}

// Result is what a file says.
type Result struct {
	Contacts []Contact // in the order of the file, one for each ID
	Entries  int       // in the file
	Merged   int       // entries that became one with an earlier one
	Silent   int       // entries without any telephone number
	Rejected int       // entries of whose numbers none can be read
	Problems []Problem // by line; at most maxProblems
	More     int       // problems beyond those
}

// Read reads a file. Problems of entries are in the Result; the error is ErrTooMany, of the reader, or one of the whole file.
func Read(r io.Reader, format Format, opt Options) (Result, error) {
	text, err := decoded(r, opt.Charset)
	if err != nil {
		return Result{}, err
	}
	b := &builder{opt: opt}
	switch format {
	case VCard:
		err = b.readVCards(text)
	case JCard:
		err = b.readJCards(text)
	case CSV:
		err = b.readCSV(text)
	default:
		err = fmt.Errorf("%.40q is no format of address books", format)
	}
	if b.full {
		return Result{}, ErrTooMany
	}
	if err != nil {
		return Result{}, err
	}
	b.merge()
	slices.SortStableFunc(b.Problems, func(x, y Problem) int { return cmp.Compare(x.Line, y.Line) })
	return b.Result, nil
}

// phone is one number of a card as it is written.
type phone struct {
	text, label string
	line        int
}

// card is one entry of a file as it is written.
type card struct {
	line                          int
	id, uid                       string // id is one of ours
	full, parts, nick, org, email string
	phones                        []phone
	rev                           string // digits of when it was changed
	label, mayJoin, clip, shared  string
	firm                          bool // it is said to be no person's
	person                        bool // it is said to be one's
}

// isFirm reports whether a card is that of a firm or a group and of no person: it says so, or it names an organisation alone.
func (c card) isFirm() bool {
	if c.firm || c.person {
		return c.firm
	}
	org := folded(cleanName(c.org))
	full := folded(cleanName(c.full))
	return org != "" && (full == "" || full == org) && cleanName(c.parts) == "" && cleanName(c.nick) == ""
}

// entry is a card that was understood.
type entry struct {
	Contact
	rank int    // how good its ID is; lower is better
	rev  string // digits
}

// builder makes a Result of cards.
type builder struct {
	Result
	opt     Options
	entries []entry
	told    bool // problemOnce has told
	full    bool // there are too many entries
}

func (b *builder) problem(line int, format string, args ...any) {
	if len(args) > 0 {
		format = fmt.Sprintf(format, args...)
	}
	if len(b.Problems) >= maxProblems {
		b.More++
		return
	}
	b.Problems = append(b.Problems, Problem{line, format})
}

// problemOnce tells of the first of many lines that are wrong in the same way.
func (b *builder) problemOnce(line int, text string) {
	if !b.told {
		b.problem(line, "%s", text)
	}
	b.told = true
}

// add makes an entry of a card.
func (b *builder) add(c card) {
	if b.Entries++; b.Entries > MaxContacts {
		b.full = true
		return
	}
	e := entry{rev: c.rev, Contact: Contact{Line: c.line, Entry: account.ContactEntry{
		Account: b.opt.Account, Source: cmp.Or(b.opt.Source, "import"), Label: cleanName(c.label), Clip: c.clip,
	}}}
	for _, name := range []string{c.full, c.parts, c.nick, c.org, c.email} {
		if e.Entry.Name = cleanName(name); e.Entry.Name != "" {
			break
		}
	}
	if len(c.phones) == 0 {
		b.Silent++
		return
	}
	labels := map[string]bool{}
	for i, p := range c.phones {
		if i == maxPhones {
			b.problem(p.line, "more than %d numbers in one entry: the rest is left out", maxPhones)
			break
		}
		n, err := tel.ParsePresented(p.text, b.opt.Country)
		if err != nil {
			b.problem(p.line, "%s", b.whyNot(p.text, err))
			continue
		}
		if !slices.Contains(e.Entry.Numbers, string(n)) {
			e.Entry.Numbers = append(e.Entry.Numbers, string(n))
			labels[p.label] = true
		}
	}
	if len(e.Entry.Numbers) == 0 {
		b.Rejected++
		return
	}
	if len(labels) == 1 && e.Entry.Label == "" {
		for label := range labels {
			e.Entry.Label = cleanName(label)
		}
	}
	if e.Entry.Name == "" {
		e.Entry.Name = e.Entry.Numbers[0]
	}
	switch m := account.MayJoin(strings.ToLower(strings.TrimSpace(c.mayJoin))); m {
	case account.MayJoinInherit, account.MayJoinYes, account.MayJoinNo:
		e.Entry.MayJoin = m
	default:
		b.problem(c.line, "may_join: %.40q is neither yes nor no: the contact is taken as no", c.mayJoin)
		e.Entry.MayJoin = account.MayJoinNo
	}
	if e.Entry.Clip != "" && !account.ValidClip(e.Entry.Clip) {
		b.problem(c.line, "clip: %.40q is no file name such as anna.wav, without a folder: the contact is taken without it", c.clip)
		e.Entry.Clip = ""
	}
	yes, said := shares[strings.ToLower(strings.TrimSpace(c.shared))]
	switch {
	case said:
		e.Entry.Shared = &yes
	case strings.TrimSpace(c.shared) != "":
		b.problem(c.line, "shared: %.40q is neither yes nor no: the contact is taken as yes", c.shared)
		yes = true
		e.Entry.Shared = &yes
	default:
		e.Firm = c.isFirm()
	}
	e.Entry.ID, e.rank = c.identity(e.Entry.Name)
	b.entries = append(b.entries, e)
}

// shares are the words for whether a contact is shared.
var shares = map[string]bool{"yes": true, "true": true, "1": true, "no": false, "false": false, "0": false}

func (b *builder) whyNot(text string, err error) string {
	text = cleanName(text)
	switch {
	case errors.Is(err, tel.ErrImpossible):
		return fmt.Sprintf("%.60q cannot be a telephone number: it has too many digits or too few", text)
	case b.opt.Country == "":
		return fmt.Sprintf("%.60q is no international number, and the country of national ones is not known: say it (country)", text)
	}
	return fmt.Sprintf("%.60q is no telephone number of country %s, nor an international one", text, b.opt.Country)
}

const ownUID = "urn:signalbox:contact:" // begins the UID of a card that we wrote

// identity is the ID of a card's contact, and how good it is: our own, of its UID, or of its name.
func (c card) identity(name string) (string, int) {
	if id, ok := strings.CutPrefix(c.uid, ownUID); ok && account.ValidKey(id) {
		return id, 0
	}
	if account.ValidKey(c.id) {
		return c.id, 0
	}
	if c.uid != "" {
		return "u-" + hash(c.uid), 1
	}
	return "n-" + hash(folded(name)), 2
}

func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:12])
}

// merge makes one contact of the entries that are one person: those of one ID, and those that have a name and a number in common.
// A number alone is not enough: many people of a firm have its number.
func (b *builder) merge() {
	group := newGroups(len(b.entries))
	first := map[string]int{}
	same := func(key string, i int) {
		if j, ok := first[key]; ok {
			group.join(i, j)
		} else {
			first[key] = i
		}
	}
	for i, e := range b.entries {
		same("id "+e.Entry.ID, i)
		name := folded(e.Entry.Name)
		for _, n := range e.Entry.Numbers {
			same(n+" "+name, i)
		}
	}
	members := map[int][]entry{}
	var order []int
	for i, e := range b.entries {
		root := group.root(i)
		if members[root] == nil {
			order = append(order, root)
		}
		members[root] = append(members[root], e)
	}
	for _, root := range order {
		list := members[root]
		b.Merged += len(list) - 1
		b.Contacts = append(b.Contacts, b.one(list))
	}
	b.entries = nil
}

// one makes one contact of entries. The one that was changed last says the name, and whether it is shared where one says so; who may not
// join by one may not.
func (b *builder) one(list []entry) Contact {
	out := list[0].Contact
	if len(list) > 1 {
		slices.SortFunc(list, func(x, y entry) int {
			return cmp.Or(cmp.Compare(y.rev, x.rev), cmp.Compare(x.rank, y.rank), cmp.Compare(x.Entry.Name, y.Entry.Name), slices.Compare(x.Entry.Numbers, y.Entry.Numbers),
				cmp.Compare(x.sharing(), y.sharing()))
		})
		e := list[0].Entry
		out.Firm = list[0].Firm
		e.Numbers = slices.Clone(e.Numbers)
		best := list[0]
		for _, other := range list[1:] {
			e.Numbers = append(e.Numbers, other.Entry.Numbers...)
			e.Label, e.Clip = cmp.Or(e.Label, other.Entry.Label), cmp.Or(e.Clip, other.Entry.Clip)
			if other.Entry.MayJoin == account.MayJoinNo || e.MayJoin == account.MayJoinInherit {
				e.MayJoin = other.Entry.MayJoin
			}
			if cmp.Or(cmp.Compare(other.rank, best.rank), cmp.Compare(other.Entry.ID, best.Entry.ID)) < 0 {
				best = other
			}
			e.Shared = cmp.Or(e.Shared, other.Entry.Shared)
			out.Line = min(out.Line, other.Line)
		}
		e.ID = best.Entry.ID
		slices.Sort(e.Numbers)
		e.Numbers = slices.Compact(e.Numbers)
		out.Entry = e
		out.Firm = out.Firm && e.Shared == nil
	}
	if n := len(out.Entry.Numbers); n > account.MaxContactNumbers {
		b.problem(out.Line, "%d numbers of one contact, at most %d: the rest is left out", n, account.MaxContactNumbers)
		out.Entry.Numbers = out.Entry.Numbers[:account.MaxContactNumbers]
	}
	return out
}

// sharing orders what entries say of being shared: yes, no, nothing though it is a firm's, nothing.
func (e entry) sharing() int {
	switch {
	case e.Entry.Shared != nil && *e.Entry.Shared:
		return 0
	case e.Entry.Shared != nil:
		return 1
	case e.Firm:
		return 2
	}
	return 3
}

// groups are disjoint sets.
type groups []int

func newGroups(n int) groups {
	g := make(groups, n)
	for i := range g {
		g[i] = i
	}
	return g
}

func (g groups) root(i int) int {
	for g[i] != i {
		g[i] = g[g[i]]
		i = g[i]
	}
	return i
}

func (g groups) join(a, b int) {
	a, b = g.root(a), g.root(b)
	g[max(a, b)] = min(a, b)
}
