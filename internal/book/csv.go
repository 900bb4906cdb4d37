package book

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxRecordLines = 100 // that a value with line breaks may make of one record
	maxColumns     = 512
)

// columns are the columns that say something, by their names in lower case with nothing but letters and digits. They are those of
// this program, of Google (contacts.google.com), and of Outlook in English and German.
var columns = map[string]string{
	"id": "id", "uid": "uid", "may_join": "mayjoin", "mayjoin": "mayjoin", "clip": "clip", "label": "label", "numbers": "numbers", "shared": "shared",
	"name": "full", "fullname": "full", "displayname": "full", "fileas": "nick", "anzeigename": "full",
	"firstname": "given", "givenname": "given", "vorname": "given",
	"middlename": "middle", "additionalname": "middle", "weiterevornamen": "middle",
	"lastname": "family", "familyname": "family", "surname": "family", "nachname": "family",
	"nickname": "nick", "spitzname": "nick",
	"company": "org", "organization": "org", "organisation": "org", "organizationname": "org", "organization1name": "org", "firma": "org",
	"emailaddress": "email", "email1value": "email", "email": "email", "emailadresse": "email",
}

// notPhones are parts of the names of columns that speak of a number and hold none a person calls from.
var notPhones = []string{"fax", "pager", "telex", "label", "type", "yomi", "phonetic", "isdn"}

// phoneWords are parts of the names of columns that hold numbers.
var phoneWords = []string{"phone", "mobile", "mobil", "telefon", "handy", "cell", "number", "rufnummer", "callback"}

// meaning is what a column of a name holds; "" = nothing of use.
func meaning(header string) string {
	key := strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, header)
	if known, ok := columns[key]; ok {
		return known
	}
	for _, w := range notPhones {
		if strings.Contains(key, w) {
			return ""
		}
	}
	if key == "tel" {
		return "phone"
	}
	for _, w := range phoneWords {
		if strings.Contains(key, w) {
			return "phone"
		}
	}
	return ""
}

// sheet is the header of a CSV file.
type sheet struct {
	comma  rune
	names  []string
	means  []string
	labels map[int]int // column of a number: column of its label
}

// readCSV reads a table whose first line names the columns.
func (b *builder) readCSV(r io.Reader) error {
	in := newLines(r)
	head, line, err := record(in, 0)
	for err == nil && (strings.TrimSpace(head) == "" || isSeparatorHint(head)) {
		head, line, err = record(in, 0)
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err != nil {
		return err
	}
	s, err := newSheet(head)
	if err != nil {
		return fmt.Errorf("line %d: %w", line, err)
	}
	for !b.full {
		text, line, err := record(in, s.comma)
		var bad *badRecord
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.As(err, &bad):
			b.Entries++
			b.Rejected++
			b.problem(line, "%s", bad.problem)
			continue
		case err != nil:
			return err
		case strings.TrimSpace(text) == "":
			continue
		}
		c, problem := s.card(text, line)
		if problem != "" {
			if _, rest, more := strings.Cut(text, "\n"); more { // a quote that is not closed in its line, and one of another record
				in.giveBack(strings.Split(rest, "\n")...)
			}
			b.Entries++
			b.Rejected++
			b.problem(line, "%s", problem)
			continue
		}
		b.add(c)
	}
	return nil
}

// isSeparatorHint knows the line "sep=;" that Excel wants.
func isSeparatorHint(text string) bool {
	return len(text) == 5 && strings.EqualFold(text[:4], "sep=")
}

// badRecord is a record that cannot be read; the next one can.
type badRecord struct{ problem string }

func (e *badRecord) Error() string { return e.problem }

// record reads one record: more than one line where a quoted value has line breaks. A quote that is never closed costs its line
// alone.
func record(in *lines, comma rune) (string, int, error) {
	text, long, err := in.next()
	line := in.number
	if err != nil {
		return "", line, err
	}
	if long {
		return "", line, &badRecord{fmt.Sprintf("longer than %d bytes", maxLine)}
	}
	if comma == 0 || strings.Count(text, `"`)%2 == 0 {
		return text, line, nil
	}
	whole := text
	var taken []string
	for len(taken) < maxRecordLines && len(whole) < maxLine {
		more, long, err := in.next()
		if err != nil || long {
			break
		}
		taken = append(taken, more)
		whole += "\n" + more
		if strings.Count(more, `"`)%2 == 1 {
			return whole, line, nil
		}
	}
	in.giveBack(taken...)
	return "", line, &badRecord{"no CSV: a quote is never closed; quotes inside a quoted value are written twice"}
}

// newSheet reads the header. Columns are parted by what stands in it most: commas, semicolons or tabs.
func newSheet(head string) (*sheet, error) {
	s := &sheet{comma: ',', labels: map[int]int{}}
	for _, c := range []rune{';', '\t'} {
		if strings.Count(head, string(c)) > strings.Count(head, string(s.comma)) {
			s.comma = c
		}
	}
	if !utf8.ValidString(head) {
		return nil, errors.New("it is not UTF-8: name the character set of the file (charset)")
	}
	names, err := s.split(head)
	if err != nil {
		return nil, err
	}
	if len(names) > maxColumns {
		return nil, fmt.Errorf("%d columns, at most %d", len(names), maxColumns)
	}
	byName, numbers := map[string]int{}, false
	for i, name := range names {
		name = strings.TrimSpace(name)
		m := meaning(name)
		s.names, s.means = append(s.names, name), append(s.means, m)
		byName[strings.ToLower(name)] = i
		numbers = numbers || m == "phone" || m == "numbers"
	}
	if !numbers {
		return nil, errors.New("no column has telephone numbers: the first line names the columns, such as Name,Phone or id,name,label,numbers,may_join")
	}
	for i, name := range s.names { // Google's "Phone 1 - Value" has "Phone 1 - Label", before 2024 "Phone 1 - Type"
		if stem, ok := strings.CutSuffix(strings.ToLower(name), " - value"); ok && s.means[i] == "phone" {
			for _, of := range []string{" - label", " - type"} {
				if j, ok := byName[stem+of]; ok {
					s.labels[i] = j
				}
			}
		}
	}
	return s, nil
}

func (s *sheet) split(text string) ([]string, error) {
	r := csv.NewReader(strings.NewReader(text))
	r.Comma, r.FieldsPerRecord = s.comma, -1
	fields, err := r.Read()
	if err != nil {
		var at *csv.ParseError
		if errors.As(err, &at) {
			return nil, fmt.Errorf("no CSV: column %d: %w; quotes inside a quoted value are written twice", at.Column, at.Err)
		}
		return nil, fmt.Errorf("no CSV: %w", err)
	}
	return fields, nil
}

// card makes a card of a record.
func (s *sheet) card(text string, line int) (card, string) {
	fields, err := s.split(text)
	if err != nil {
		return card{}, err.Error()
	}
	if !utf8.ValidString(text) {
		return card{}, "it is not UTF-8: name the character set of the file (charset)"
	}
	if len(fields) > len(s.names) && strings.TrimSpace(strings.Join(fields[len(s.names):], "")) != "" {
		return card{}, fmt.Sprintf("%d columns, and the first line names %d", len(fields), len(s.names))
	}
	c := card{line: line}
	var given, middle, family string
	into := map[string]*string{
		"id": &c.id, "uid": &c.uid, "mayjoin": &c.mayJoin, "clip": &c.clip, "shared": &c.shared, "label": &c.label, "full": &c.full, "given": &given, "middle": &middle,
		"family": &family, "nick": &c.nick, "org": &c.org, "email": &c.email,
	}
	for i, value := range fields[:min(len(fields), len(s.names))] {
		switch m := s.means[i]; m {
		case "":
		case "phone":
			label := ""
			if j, ok := s.labels[i]; ok && j < len(fields) {
				label = strings.ToLower(strings.TrimPrefix(strings.TrimSpace(fields[j]), "* "))
			} else if !ok {
				label = columnLabel(s.names[i])
			}
			for one := range strings.SplitSeq(value, ":::") { // Google puts more than one into a cell so
				c.addPhone(one, label, line)
			}
		case "numbers":
			for _, one := range splitNumbers(value) {
				c.addPhone(one, "", line)
			}
		default:
			setOnce(into[m], strings.TrimSpace(value))
		}
	}
	c.parts = strings.Join([]string{given, middle, family}, " ")
	if c.id != "" { // written by writeCSV
		c.full, c.label = strings.TrimPrefix(c.full, "'"), strings.TrimPrefix(c.label, "'")
	}
	return c, ""
}

func (c *card) addPhone(text, label string, line int) {
	if text = strings.TrimSpace(text); text != "" {
		c.phones = append(c.phones, phone{text, label, line})
	}
}

// columnLabel says what a number is by the name of its column: "Business Phone 2" is work.
func columnLabel(name string) string {
	name = strings.ToLower(name)
	for _, known := range []struct{ word, label string }{{"mobil", "mobile"}, {"cell", "mobile"}, {"handy", "mobile"}, {"business", "work"}, {"work", "work"}, {"gesch", "work"},
		{"home", "home"}, {"privat", "home"}, {"main", "main"}, {"car", "car"}} {
		if strings.Contains(name, known.word) {
			return known.label
		}
	}
	return ""
}

// splitNumbers parts the numbers of one cell: at semicolons, bars and line breaks, and at spaces where each begins with its plus.
func splitNumbers(value string) []string {
	list := strings.FieldsFunc(value, func(r rune) bool { return r == ';' || r == '|' || r == '\n' })
	var out []string
	for _, one := range list {
		words := strings.Fields(one)
		plus := 0
		for _, w := range words {
			if strings.HasPrefix(w, "+") {
				plus++
			}
		}
		if plus == len(words) {
			out = append(out, words...)
		} else {
			out = append(out, one)
		}
	}
	return out
}
