package dialplan

import (
	"encoding/binary"
	"fmt"
	"strings"
	"sync"
	"time"
)

// zones are the time zones of a tree, by the names that its timezones.conf gives them.
type zones struct {
	mu   sync.Mutex
	have map[string]*time.Location
}

// zone returns a time zone as FreeSWITCH knows it: from timezones.conf where the tree has one, else from Go's own
// table, which holds the same rules under the same names.
func (t *Tree) zone(name string) (*time.Location, bool) {
	t.zones.mu.Lock()
	defer t.zones.mu.Unlock()
	if loc, ok := t.zones.have[name]; ok {
		return loc, loc != nil
	}
	if len(t.zones.have) >= 1000 {
		return nil, false
	}
	loc := t.readZone(name)
	if t.zones.have == nil {
		t.zones.have = map[string]*time.Location{}
	}
	t.zones.have[name] = loc
	return loc, loc != nil
}

func (t *Tree) readZone(name string) *time.Location {
	conf := t.configuration("timezones.conf")
	if conf == nil || conf.Child("timezones") == nil {
		if loc, err := time.LoadLocation(name); err == nil {
			return loc
		}
		return nil
	}
	for _, z := range conf.Child("timezones").All("zone") {
		if have, ok := z.Attr("name"); ok && have == name {
			return posixZone(name, z.Soft("value"))
		}
	}
	return nil
}

// posixZone makes a time zone of a POSIX rule such as CET-1CEST,M3.5.0,M10.5.0/3. The file format of zones ends with such
// a rule, for the time behind its table; here the table is empty.
func posixZone(name, rule string) *time.Location {
	if rule == "" || strings.ContainsAny(rule, "\n\x00") {
		return nil
	}
	header := func() []byte {
		b := append([]byte("TZif2"), make([]byte, 15)...)
		for _, n := range []uint32{0, 0, 0, 0, 1, 4} { // one type, whose name is 4 bytes long
			b = binary.BigEndian.AppendUint32(b, n)
		}
		return append(append(b, 0, 0, 0, 0, 0, 0), "UTC\x00"...)
	}
	data := append(header(), header()...)
	data = append(data, "\n"+rule+"\n"...)
	loc, err := time.LoadLocationFromTZData(name, data)
	if err != nil {
		return nil
	}
	return loc
}

// strftimeChecked is switch_strftime: a format with a directive that it does not know gives nothing.
func strftimeChecked(format string, at time.Time) (string, bool) {
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			continue
		}
		if i++; i >= len(format) || strings.IndexByte("CDrRTeaAbBcdHIjmMpSUwWxXyYzZ%", format[i]) < 0 {
			return "", true
		}
	}
	return strftime(format, at)
}

// maxTime is the size of FreeSWITCH's buffer; a longer result is none.
const maxTime = 79

// strftime formats as the C library does in its C locale. It reports false for a directive that is not known here.
func strftime(format string, at time.Time) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			b.WriteByte(format[i])
			continue
		}
		if i++; i >= len(format) {
			break
		}
		text, ok := directive(format[i], at)
		if !ok {
			return "", false
		}
		b.WriteString(text)
	}
	if b.Len() > maxTime {
		return "", true
	}
	return b.String(), true
}

// layouts are the directives that Go's own format can write.
var layouts = map[byte]string{
	'a': "Mon", 'A': "Monday", 'b': "Jan", 'h': "Jan", 'B': "January", 'c': "Mon Jan _2 15:04:05 2006", 'd': "02", 'D': "01/02/06",
	'e': "_2", 'F': "2006-01-02", 'H': "15", 'I': "03", 'm': "01", 'M': "04", 'p': "PM", 'P': "pm", 'r': "03:04:05 PM", 'R': "15:04",
	'S': "05", 'T': "15:04:05", 'x': "01/02/06", 'X': "15:04:05", 'y': "06", 'Y': "2006", 'z': "-0700", 'Z': "MST",
}

func directive(c byte, at time.Time) (string, bool) {
	if layout, ok := layouts[c]; ok {
		return at.Format(layout), true
	}
	year, week := at.ISOWeek()
	switch c {
	case '%':
		return "%", true
	case 'n':
		return "\n", true
	case 't':
		return "\t", true
	case 'C':
		return fmt.Sprintf("%02d", at.Year()/100), true
	case 'j':
		return fmt.Sprintf("%03d", at.YearDay()), true
	case 'k':
		return fmt.Sprintf("%2d", at.Hour()), true
	case 'l':
		return fmt.Sprintf("%2d", (at.Hour()+11)%12+1), true
	case 's':
		return fmt.Sprint(at.Unix()), true
	case 'u':
		return fmt.Sprint((int(at.Weekday())+6)%7 + 1), true
	case 'w':
		return fmt.Sprint(int(at.Weekday())), true
	case 'U':
		return fmt.Sprintf("%02d", (at.YearDay()-1+7-int(at.Weekday()))/7), true
	case 'W':
		return fmt.Sprintf("%02d", (at.YearDay()-1+7-(int(at.Weekday())+6)%7)/7), true
	case 'V':
		return fmt.Sprintf("%02d", week), true
	case 'G':
		return fmt.Sprintf("%04d", year), true
	case 'g':
		return fmt.Sprintf("%02d", year%100), true
	}
	return "", false
}
