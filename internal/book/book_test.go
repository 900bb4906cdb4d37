package book

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/signalbox/signalbox/internal/account"
)

func read(t *testing.T, text string, format Format, opt Options) Result {
	t.Helper()
	opt.Account = "ada"
	r, err := Read(strings.NewReader(text), format, opt)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// told writes contacts as "Name: numbers", in the order of the file.
func told(r Result) string {
	var out []string
	for _, c := range r.Contacts {
		out = append(out, c.Entry.Name+": "+strings.Join(c.Entry.Numbers, " "))
	}
	return strings.Join(out, "; ")
}

func problems(r Result) string {
	var out []string
	for _, p := range r.Problems {
		out = append(out, fmt.Sprintf("%d %s", p.Line, p.Text))
	}
	return strings.Join(out, "\n")
}

func crlf(lines ...string) string { return strings.Join(lines, "\r\n") + "\r\n" }

func TestVCards(t *testing.T) {
	for name, c := range map[string]struct{ text, country, want, label string }{
		"3.0": {crlf("BEGIN:VCARD", "VERSION:3.0", "N:Smith;Anna;M.;;", "FN:Anna Smith", "TEL;TYPE=CELL,VOICE:(415) 555-0101", "END:VCARD"), "US", "Anna Smith: +14155550101", "mobile"},
		"4.0": {crlf("BEGIN:VCARD", "VERSION:4.0", "FN:Zoë Müller", `TEL;VALUE=uri;PREF=1;TYPE="voice,home":tel:+44-20-7946-0958;ext=102`, "END:VCARD"), "", "Zoë Müller: +442079460958", "home"},
		"2.1, quoted-printable in Latin 1": {crlf("BEGIN:VCARD", "VERSION:2.1", "N;CHARSET=ISO-8859-1;ENCODING=QUOTED-PRINTABLE:M=FCller;Zo=EB", "TEL;WORK;VOICE:020 7946 0958", "END:VCARD"),
			"GB", "Zoë Müller: +442079460958", "work"},
		"2.1, soft line breaks":                  {crlf("BEGIN:VCARD", "VERSION:2.1", "FN;ENCODING=QUOTED-PRINTABLE;CHARSET=UTF-8:=D0=90=D0=BD=", "=D0=BD=D0=B0", "TEL;CELL:+79161234567", "END:VCARD"), "", "Анна: +79161234567", "mobile"},
		"folded between the bytes of one letter": {"BEGIN:VCARD\r\nFN:Zo\xc3\r\n \xab\r\nTEL:+1\r\n 415\r\n\t5550101\r\nEND:VCARD\r\n", "", "Zoë: +14155550101", ""},
		"Apple's groups":                         {crlf("BEGIN:VCARD", "VERSION:3.0", "FN:Anna", "item1.TEL;type=pref:+14155550101", "item1.X-ABLabel:_$!<Yacht>!$_", "END:VCARD"), "", "Anna: +14155550101", "Yacht"},
		"escapes":                                {crlf("BEGIN:VCARD", `FN:Smith\, Anna\; "AS" \\ \n\nx`, "TEL:+14155550101", "END:VCARD"), "", `Smith, Anna; "AS" \ x: +14155550101`, ""},
		"no FN but N":                            {crlf("BEGIN:VCARD", `N:Smith\;Jones;Anna;;Dr.;`, "TEL:+14155550101", "END:VCARD"), "", "Anna Smith;Jones: +14155550101", ""},
		"a firm":                                 {crlf("BEGIN:VCARD", "FN:", "ORG:ACME main;Sales", "TEL:+14155550101", "END:VCARD"), "", "ACME main: +14155550101", ""},
		"no name":                                {crlf("BEGIN:VCARD", "TEL:+14155550101", "END:VCARD"), "", "+14155550101: +14155550101", ""},
		"lower case, LF":                         {"begin:vcard\nfn:Anna\ntel;type=home:+14155550101\nend:vcard\n", "", "Anna: +14155550101", "home"},
		"a photograph": {"BEGIN:VCARD\nPHOTO;ENCODING=b;TYPE=JPEG:" + strings.Repeat("A", 100_000) + "\n" + strings.Repeat(" "+strings.Repeat("A", 74)+"\n", 2000) + "FN:Anna\nTEL:+14155550101\nEND:VCARD\n",
			"", "Anna: +14155550101", ""},
		"one number twice":              {crlf("BEGIN:VCARD", "FN:Anna", "TEL:+14155550101", "TEL;TYPE=WORK:tel:+1-415-555-0101", "TEL:1 415 555 0102", "END:VCARD"), "US", "Anna: +14155550101 +14155550102", ""},
		"a byte order mark":             {"\ufeff" + crlf("BEGIN:VCARD", "FN:Anna", "TEL:+14155550101", "END:VCARD"), "", "Anna: +14155550101", ""},
		"UTF-16":                        {utf16le(crlf("BEGIN:VCARD", "FN:Zoë", "TEL:+14155550101", "END:VCARD")), "", "Zoë: +14155550101", ""},
		"a quoted parameter with colon": {crlf("BEGIN:VCARD", "FN:Anna", `TEL;LABEL="a:b;c";TYPE=home:+14155550101`, "END:VCARD"), "", "Anna: +14155550101", "home"},
	} {
		r := read(t, c.text, VCard, Options{Country: c.country})
		if got := told(r); got != c.want || len(r.Problems) > 0 {
			t.Errorf("%s: %s, want %s; problems %s", name, got, c.want, problems(r))
			continue
		}
		if got := r.Contacts[0].Entry.Label; got != c.label {
			t.Errorf("%s: label %q, want %q", name, got, c.label)
		}
	}
}

func utf16le(s string) string {
	out := "\xff\xfe"
	for _, u := range utf16.Encode([]rune(s)) {
		out += string([]byte{byte(u), byte(u >> 8)})
	}
	return out
}

// A bad card, or a bad number, is named with its line, and costs nothing else.
func TestProblemsHaveLines(t *testing.T) {
	r := read(t, crlf(
		"BEGIN:VCARD", "FN:Anna", "TEL:+14155550101", "TEL:12", "END:VCARD", // 1 to 5
		"BEGIN:VCARD", "FN:No number", "END:VCARD", // 6 to 8
		"BEGIN:VCARD", "FN:Only bad", "TEL:call me", "END:VCARD", // 9 to 12
		"garbage", "END:VCARD", // 13, 14
		"BEGIN:VCARD", "FN:Ends in the next", "TEL:+14155550102", // 15 to 17
		"BEGIN:VCARD", "FN:Ben", "no colon at all", "TEL:+14155550103", "END:VCARD", // 18 to 22
		"BEGIN:VCARD", "FN:M\xfcller", "TEL:+14155550104", "END:VCARD", // 23 to 26
		"BEGIN:VCARD", "FN:Cut off"), VCard, Options{Country: "US"})
	if got, want := told(r), "Anna: +14155550101; Ben: +14155550103; +14155550104: +14155550104"; got != want {
		t.Errorf("taken: %s, want %s", got, want)
	}
	if r.Entries != 5 || r.Silent != 1 || r.Rejected != 1 {
		t.Errorf("%d entries, %d without number, %d rejected", r.Entries, r.Silent, r.Rejected)
	}
	lines := []string{`4 "12" is no`, `11 "call me" is no`, "13 no vCard", "14 END:VCARD without", "15 the card has no END", "20 it is no property", "24 FN: it is not UTF-8", "27 the card has no END"}
	got := strings.Split(problems(r), "\n")
	if len(got) != len(lines) {
		t.Fatalf("problems:\n%s", problems(r))
	}
	for i, want := range lines {
		if !strings.HasPrefix(got[i], want) {
			t.Errorf("problem %q, want %q", got[i], want)
		}
	}
}

// TestNumbersOfTheCountry is CONF-A12: what people write in their books, and what carriers present.
func TestNumbersOfTheCountry(t *testing.T) {
	for _, c := range []struct{ written, country, want string }{
		{"(415) 555-0101", "US", "+14155550101"},
		{"14155550101", "US", "+14155550101"},
		{"tel:+1-415-555-0101", "US", "+14155550101"},
		{"+1 415 555 0101", "GB", "+14155550101"},
		{"020 7946 0958", "GB", "+442079460958"},
		{"442079460958", "GB", "+442079460958"},
		{"0044 20 7946 0958", "DE", "+442079460958"},
		{"011 44 20 7946 0958", "US", "+442079460958"},
		{"(0)30 123456", "DE", "+4930123456"},
		{"+49 (0)30 123456", "US", "+4930123456"},
		{"+1 415 555 0101 ext. 12", "", "+14155550101"},
		{"+14155550101,,12#", "", "+14155550101"},
	} {
		r := read(t, crlf("BEGIN:VCARD", "FN:A", "TEL:"+c.written, "END:VCARD"), VCard, Options{Country: c.country})
		if got := told(r); got != "A: "+c.want {
			t.Errorf("%s in %s: %s, want %s (%s)", c.written, c.country, got, c.want, problems(r))
		}
	}
}

func TestCSVOfOthers(t *testing.T) {
	for name, c := range map[string]struct{ text, want, label string }{
		"Google": {"First Name,Middle Name,Last Name,Organization Name,Notes,E-mail 1 - Label,E-mail 1 - Value,Phone 1 - Label,Phone 1 - Value,Phone 2 - Label,Phone 2 - Value\r\n" +
			"Zoë,,Müller,ACME,\"two\nlines, \"\"quoted\"\"\",* Home,zoe@example.com,Mobile,(415) 555-0101 ::: +1 415-555-0102,Work Fax,\r\n", "Zoë Müller: +14155550101 +14155550102", "mobile"},
		"Google before 2024": {"Name,Given Name,Family Name,Phone 1 - Type,Phone 1 - Value\nAnna Smith,Anna,Smith,* Work,415-555-0101\n", "Anna Smith: +14155550101", "work"},
		"Outlook": {"\"First Name\",\"Middle Name\",\"Last Name\",\"Company\",\"Business Fax\",\"Business Phone\",\"Mobile Phone\",\"Notes\"\r\n" +
			"\"Anna\",\"\",\"Smith\",\"\",\"415 555 0109\",\"\",\"415 555 0101\",\"\"\r\n", "Anna Smith: +14155550101", "mobile"},
		"Outlook in German": {"Vorname;Nachname;Firma;Telefon geschäftlich;Mobiltelefon;Fax privat\r\nZoë;Müller;;4155550101;;4155550109\r\n", "Zoë Müller: +14155550101", "work"},
		"tabs":              {"Name\tPhone\nAnna\t415 555 0101\n", "Anna: +14155550101", ""},
		"Excel's hint":      {"\ufeffsep=;\r\nName;Phone\r\nAnna;415 555 0101\r\n", "Anna: +14155550101", ""},
		"our own":           {"id,name,label,numbers,may_join,clip\nanna,'=Anna,work,+14155550101 +14155550102,,\n", "=Anna: +14155550101 +14155550102", "work"},
		"several in a cell": {"name,numbers\nAnna,(415) 555-0101; 415 555 0102\n", "Anna: +14155550101 +14155550102", ""},
		"a firm":            {"First Name,Last Name,Company,Company Main Phone\n,,ACME,4155550101\n", "ACME: +14155550101", "main"},
	} {
		r := read(t, c.text, CSV, Options{Country: "US"})
		if got := told(r); got != c.want || len(r.Problems) > 0 {
			t.Errorf("%s: %s, want %s; problems %s", name, got, c.want, problems(r))
			continue
		}
		if got := r.Contacts[0].Entry.Label; got != c.label {
			t.Errorf("%s: label %q, want %q", name, got, c.label)
		}
	}
	latin := read(t, "Name;Phone\nZo\xeb;4155550101\n", CSV, Options{Country: "US", Charset: "windows-1252"})
	if got := told(latin); got != "Zoë: +14155550101" {
		t.Errorf("windows-1252: %s", got)
	}
	for text, problem := range map[string]string{"Name,Colour\nAnna,red\n": "no column has telephone numbers", "Name,\"Phone\n1,2\n": "no CSV"} {
		if _, err := Read(strings.NewReader(text), CSV, Options{}); err == nil || !strings.Contains(err.Error(), problem) {
			t.Errorf("%q: %v, want %s", text, err, problem)
		}
	}
}

func TestCSVProblemsHaveLines(t *testing.T) {
	r := read(t, "name,phone\n"+ // 1
		"Anna,+14155550101\n"+ // 2
		"Bad,12\n"+ // 3
		"\"never closed,+14155550102\n"+ // 4
		"Ben,+14155550103\n"+ // 5
		"M\xfcller,+14155550104\n"+ // 6
		"too,+14155550105,many\n"+ // 7
		"\"with a\nline break\",+14155550106\n"+ // 8, 9
		"a\"b,+14155550107\n", CSV, Options{Country: "US"}) // 10
	if got, want := told(r), "Anna: +14155550101; Ben: +14155550103; with a line break: +14155550106"; got != want {
		t.Errorf("taken: %s, want %s\n%s", got, want, problems(r))
	}
	for i, want := range []string{"3 \"12\" is no", "4 no CSV", "6 it is not UTF-8", "7 3 columns", "10 no CSV"} {
		if got := strings.Split(problems(r), "\n"); i >= len(got) || !strings.HasPrefix(got[i], want) {
			t.Errorf("want problem %q in\n%s", want, problems(r))
		}
	}
}

func TestAClipThatIsNoFileNameCostsTheClipAlone(t *testing.T) {
	r := read(t, "name,phone,clip\nAnna,+14155550101,../other/anna.wav\nBen,+14155550102,.\nCarla,+14155550103,carla.wav\n", CSV, Options{})
	if got, want := told(r), "Anna: +14155550101; Ben: +14155550102; Carla: +14155550103"; got != want {
		t.Fatalf("taken: %s, want %s", got, want)
	}
	for i, want := range []string{"", "", "carla.wav"} {
		if got := r.Contacts[i].Entry.Clip; got != want {
			t.Errorf("clip %q, want %q", got, want)
		}
	}
	if got := problems(r); !strings.HasPrefix(got, "2 clip: ") || !strings.Contains(got, "\n3 clip: ") || len(r.Problems) != 2 {
		t.Errorf("problems\n%s", got)
	}
}

func TestJCards(t *testing.T) {
	one := `["vcard", [
	  ["version", {}, "text", "4.0"], ["fn", {}, "text", "Zoë, \"Z\"; \\ x"],
	  ["tel", {"type": ["cell", "voice"], "pref": "1"}, "uri", "tel:+1-415-555-0101"],
	  ["tel", {"type": "home"}, "text", "12"],
	  ["n", {}, "text", ["Müller", "Zoë", ["", "M."], "", ""]]
	]]`
	for name, text := range map[string]string{"one": one, "a list": "[\n" + one + ",\n" + one + "]", "one behind another": one + "\n" + one} {
		r := read(t, text, JCard, Options{Country: "US"})
		if got := told(r); got != `Zoë, "Z"; \ x: +14155550101` {
			t.Errorf("%s: %s (%s)", name, got, problems(r))
		}
		line := 4
		if name == "a list" {
			line = 5
		}
		if len(r.Problems) == 0 || r.Problems[0].Line != line {
			t.Errorf("%s: problems %s, want one of line %d", name, problems(r), line)
		}
	}
	r := read(t, "[[\"vcard\", []],\n[\"vcalendar\", []],\n{\"a\": 1},\n"+one+",\n[\"vcard\", [[\"fn\"]]], nonsense", JCard, Options{Country: "US"})
	if got := told(r); got != `Zoë, "Z"; \ x: +14155550101` {
		t.Errorf("%s", got)
	}
	for i, want := range []string{"2 no jCard", "3 no jCard: it is a object", "7 \"12\" is no", "10 no jCard: a property", "10 no JSON from here"} {
		if got := strings.Split(problems(r), "\n"); i >= len(got) || !strings.HasPrefix(got[i], want) {
			t.Errorf("want problem %q in\n%s", want, problems(r))
		}
	}
}

// TestDuplicatesBecomeOne reads entries of a few people in every order: the contacts are always the same.
func TestDuplicatesBecomeOne(t *testing.T) {
	card := func(lines ...string) string {
		return crlf(append(append([]string{"BEGIN:VCARD"}, lines...), "END:VCARD")...)
	}
	cards := []string{
		card("UID:1", "FN:Anna Smith", "TEL:+14155550101", "REV:2026-01-01T00:00:00Z"),
		card("UID:1", "FN:Anna Jones", "TEL:+14155550102", "REV:20260301T000000Z"), // the same card, later
		card("UID:2", "FN:anna  JONES", "TEL:+14155550102", "TEL:+14155550103"),    // the name and a number in common
		card("FN:Ben", "TEL:+14155550200", "X-SIGNALBOX-MAY-JOIN:yes"),
		card("FN:Ben", "TEL:+14155550201", "X-SIGNALBOX-MAY-JOIN:no"),
		card("FN:Carla", "TEL:+14155550300"), // of one firm: a number is nobody's alone
		card("FN:Dora", "TEL:+14155550300"),
	}
	byID := func(r Result) string {
		list := r.Contacts
		slices.SortFunc(list, func(a, b Contact) int { return strings.Compare(a.Entry.ID, b.Entry.ID) })
		var out []account.ContactEntry
		for _, c := range list {
			c.Entry.Account = ""
			out = append(out, c.Entry)
		}
		text, err := json.Marshal(out)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	first := read(t, strings.Join(cards, ""), VCard, Options{})
	if got, want := told(first), "Anna Jones: +14155550101 +14155550102 +14155550103; Ben: +14155550200 +14155550201; Carla: +14155550300; Dora: +14155550300"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if first.Contacts[1].Entry.MayJoin != account.MayJoinNo || first.Merged != 3 {
		t.Errorf("who may not join by one entry may: %+v; %d merged", first.Contacts[1], first.Merged)
	}
	want := byID(first)
	random := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		random.Shuffle(len(cards), func(i, j int) { cards[i], cards[j] = cards[j], cards[i] })
		if got := byID(read(t, strings.Join(cards, ""), VCard, Options{})); got != want {
			t.Fatalf("in another order\n%s\nwant\n%s", got, want)
		}
	}
}

// hostile are names that mean something to FreeSWITCH, to a shell, to a speech synthesiser, to a spreadsheet or to a terminal.
var hostile = []string{
	"${system(touch /tmp/x)}", "$${domain}", "`id`", "$(id)", "'; rm -rf /; '", "<speak><audio src='file:///etc/passwd'/></speak>", "a\\nb: c", "=cmd|' /C calc'!A0", "\x1b[2J", "Zoë\u202egnp.exe",
	"%{api}", "@SUM(1)", "-1+1", "a,b|c^^:d[e]{f}", "{absolute_codec_string=PCMA}x",
}

// What is read is written and read again as it was, whatever the names are.
func TestWhatIsWrittenIsReadAgain(t *testing.T) {
	yes, no := true, false
	var contacts []account.ContactEntry
	for i, name := range append(slices.Clone(hostile), "Анна", strings.Repeat("é", 64)) {
		c := account.ContactEntry{Account: "ada", ID: fmt.Sprintf("c%02d", i), Name: cleanName(name), Label: []string{"", "mobile", "work"}[i%3], Numbers: []string{fmt.Sprintf("+141555501%02d", i)},
			MayJoin: []account.MayJoin{"", "yes", "no"}[i%3], Source: "import", Shared: []*bool{nil, &yes, &no}[i/2%3]}
		contacts = append(contacts, c)
		var bad account.Invalid
		if account.NormalizeEntry(&c, "", &bad); bad.Err() != nil {
			t.Errorf("%q: %v", name, bad.Err())
		}
	}
	for _, format := range []Format{VCard, CSV} {
		var out strings.Builder
		if err := Write(&out, format, contacts); err != nil {
			t.Fatal(err)
		}
		r := read(t, out.String(), format, Options{})
		var got []account.ContactEntry
		for _, c := range r.Contacts {
			got = append(got, c.Entry)
		}
		if !reflect.DeepEqual(got, contacts) {
			t.Errorf("%s: %s\nread %+v\nwant %+v", format, problems(r), got, contacts)
		}
		for line := range strings.Lines(out.String()) {
			if format == VCard && len(line) > 77 {
				t.Errorf("a line of %d bytes: %q", len(line), line)
			}
		}
	}
}

func TestTooManyEntries(t *testing.T) {
	text := "name,phone\n" + strings.Repeat("A,+14155550101\n", MaxContacts+1)
	if _, err := Read(strings.NewReader(text), CSV, Options{}); err == nil || !strings.Contains(err.Error(), "more than 20000") {
		t.Errorf("%v", err)
	}
	many := read(t, "name,phone\n"+strings.Repeat("A,1\n", 3000), CSV, Options{})
	if len(many.Problems) != maxProblems || many.More != 2000 {
		t.Errorf("%d problems are named, %d more", len(many.Problems), many.More)
	}
}

// FuzzRead reads what anybody may have written into a file: whatever is taken is a good contact, no ID stands twice, and it can be
// written and read again.
func FuzzRead(f *testing.F) {
	f.Add("BEGIN:VCARD\r\nVERSION:2.1\r\nN;CHARSET=ISO-8859-1;ENCODING=QUOTED-PRINTABLE:M=FCller;Zo=\r\n=EB\r\nTEL;CELL:+14155550101\r\nEND:VCARD\r\n", 0, "")
	f.Add("BEGIN:VCARD\nitem1.TEL;TYPE=\"a,b\",c:tel:+1-415\n -555-0101\nitem1.X-ABLabel:_$!<x>!$_\nUID:urn:signalbox:contact:a\nFN:${x}\\n\nEND:VCARD\n", 0, "US")
	f.Add(`[["vcard",[["fn",{},"text","A"],["tel",{"type":["cell"],"group":"g"},"uri","tel:+14155550101"]]],["vcard",[]]]`, 1, "US")
	f.Add("sep=;\nVorname;Nachname;Mobiltelefon\n\"A\nB\";\"C\"\"D\";4155550101\n\"x\n", 2, "US")
	f.Add("id,name,label,numbers,may_join\na,'=A,work,+14155550101 +14155550102,yes\na,B,,+14155550101,no\n", 2, "GB")
	f.Fuzz(func(t *testing.T, text string, n int, country string) {
		format := Formats[uint(n)%3]
		r, err := Read(strings.NewReader(text), format, Options{Account: "ada", Country: country})
		if err != nil {
			return
		}
		ids := map[string]bool{}
		var entries []account.ContactEntry
		for _, c := range r.Contacts {
			var bad account.Invalid
			e := account.NormalizeEntry(&c.Entry, "", &bad)
			if bad.Err() != nil {
				t.Fatalf("line %d: %v", c.Line, bad.Err())
			}
			if ids[e.(*account.ContactEntry).ID] {
				t.Fatalf("ID %s stands twice", c.Entry.ID)
			}
			ids[c.Entry.ID] = true
			entries = append(entries, c.Entry)
		}
		for _, out := range []Format{VCard, CSV} {
			var b strings.Builder
			if err := Write(&b, out, entries); err != nil {
				t.Fatal(err)
			}
			again, err := Read(strings.NewReader(b.String()), out, Options{Account: "ada", Country: country})
			if err != nil || len(again.Problems) > 0 || again.Entries != len(entries) {
				t.Fatalf("%s: %v, %s\nin\n%s", out, err, problems(again), b.String())
			}
		}
	})
}

// TestALineFoldedAtEachByteCostsNoMore: what is spent on a file is bounded by its length, however its lines are folded.
func TestALineFoldedAtEachByteCostsNoMore(t *testing.T) {
	text := "BEGIN:VCARD\r\nNOTE:x\r\n" + strings.Repeat(" x\r\n", 60_000) + "END:VCARD\r\n"
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	read(t, text, VCard, Options{Country: "US"})
	runtime.ReadMemStats(&after)
	if times := (after.TotalAlloc - before.TotalAlloc) / uint64(len(text)); times > 100 {
		t.Errorf("%d bytes of memory for each byte of the file", times)
	}
}
