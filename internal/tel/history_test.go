package tel

import (
	"reflect"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestHistoryIsReadAsSentAndAsFreeSwitchShowsIt(t *testing.T) {
	want := []HistoryEntry{
		{URI: "sip:+14155550101@a.example.net;user=phone", Index: "1", Cause: 302, Text: `Moved, "far"`, Privacy: "history"},
		{URI: "sip:+14155550102@b.example.net;cause=486", Index: "1.1", Cause: 486, Relation: "mp", Of: "1"},
		{URI: "tel:+14155550103", Index: "1.1.1", Relation: "rc", Of: "1.1"},
	}
	sent := []string{
		`<sip:+14155550101@a.example.net;user=phone?Reason=SIP%3Bcause%3D302%3Btext%3D%22Moved%2C%20%5C%22far%5C%22%22&Privacy=history>;index=1`,
		`<sip:+14155550102@b.example.net;cause=486>;index=1.1;mp=1, <tel:+14155550103>;index=1.1.1;rc=1.1`,
	}
	if got := ParseHistory(sent); !reflect.DeepEqual(got, want) {
		t.Errorf("as sent\ngot  %+v\nwant %+v", got, want)
	}
	// FreeSWITCH joins the values and resolves the escapes.
	joined := `<sip:+14155550101@a.example.net;user=phone?Reason=SIP;cause=302;text="Moved, \"far\""&Privacy=history>;index=1, ` + sent[1]
	if got := ParseHistory([]string{joined}); !reflect.DeepEqual(got, want) {
		t.Errorf("as joined\ngot  %+v\nwant %+v", got, want)
	}
	if got := ParseHistory([]string{FormatHistory(want)}); !reflect.DeepEqual(got, want) {
		t.Errorf("formatted %s\ngot  %+v\nwant %+v", FormatHistory(want), got, want)
	}
}

func TestBadHistoryEntryCostsOnlyItself(t *testing.T) {
	good := `<sip:+14155550100@h>;index=1.2`
	for _, bad := range []string{"", "x", "<>", "<sip:>", `<sip:a@h"b>`, "<sip:a${x}@h>", "<http://h/>", "<sip:a@h\r\nX: 1>", "<sip:a@h>;index=1 junk <x>"} {
		got := ParseHistory([]string{bad, good})
		if n := len(got); n == 0 || got[n-1].URI != "sip:+14155550100@h" || got[n-1].Index != "1.2" {
			t.Errorf("after %q: %+v", bad, got)
		}
	}
	for _, bad := range []string{"index=.", "index=1..2", "index=a", "index=-1", "index=" + strings.Repeat("1.", 400) + "1", "index"} {
		if got := ParseHistory([]string{"<sip:a@h>;" + bad}); len(got) != 1 || got[0].Index != "" {
			t.Errorf("%.40s: %+v", bad, got)
		}
	}
	for _, bad := range []string{"Reason=Q.850%3Bcause%3D17", "Reason=SIP%3Bcause%3D200", "Reason=SIP", "Reason=%zz", "Reason=SIP%3Bcause%3D99999"} {
		if got := ParseHistory([]string{"<sip:a@h?" + bad + ">"}); len(got) != 1 || got[0].Cause != 0 {
			t.Errorf("%s: %+v", bad, got)
		}
	}
}

func TestHistoryGoesOn(t *testing.T) {
	const subscriber, mailbox = "sip:+14155550100@signalbox.example", "sip:+18055550123@vm.example.net"
	for _, c := range []struct {
		name string
		had  []HistoryEntry
		want string
	}{
		{"no history yet", nil,
			"<" + subscriber + "?Reason=SIP%3Bcause%3D408>;index=1, <" + mailbox + ">;index=1.1;mp=1"},
		{"last entry is the subscriber, at another host and spelling",
			[]HistoryEntry{{URI: "sip:+14155550199@a", Index: "1", Cause: 302}, {URI: "tel:+1-415-555-0100", Index: "1.1", Relation: "mp", Of: "1"}},
			"<sip:+14155550199@a?Reason=SIP%3Bcause%3D302>;index=1, <tel:+1-415-555-0100?Reason=SIP%3Bcause%3D408>;index=1.1;mp=1, <" + mailbox + ">;index=1.1.1;mp=1.1"},
		{"somebody on the way did not write (RFC 7044 section 10.3)",
			[]HistoryEntry{{URI: "sip:+14155550199@a", Index: "1"}},
			"<sip:+14155550199@a>;index=1, <" + subscriber + "?Reason=SIP%3Bcause%3D408>;index=1.0.1, <" + mailbox + ">;index=1.0.1.1;mp=1.0.1"},
		{"index was unreadable", []HistoryEntry{{URI: subscriber}},
			"<" + subscriber + "?Reason=SIP%3Bcause%3D408>;index=1, <" + mailbox + ">;index=1.1;mp=1"},
	} {
		before := append([]HistoryEntry(nil), c.had...)
		if got := FormatHistory(ContinueHistory(c.had, subscriber, 408, mailbox)); got != c.want {
			t.Errorf("%s\ngot  %s\nwant %s", c.name, got, c.want)
		}
		if !reflect.DeepEqual(c.had, before) {
			t.Errorf("%s: the entries given were changed", c.name)
		}
	}
}

func TestHistoryIsBoundedAndKeepsFirstAndNewest(t *testing.T) {
	entries := []HistoryEntry{{URI: "sip:first@h", Index: "1"}}
	for range 100 {
		entries = ContinueHistory(entries, entries[len(entries)-1].URI, 486, "sip:"+strings.Repeat("n", 200)+"@h")
	}
	entries = ContinueHistory(entries, entries[len(entries)-1].URI, 486, "sip:newest@h")
	if len(entries) != 20 {
		t.Errorf("%d entries, want 20", len(entries))
	}
	text := FormatHistory(entries)
	if len(text) > 4000 {
		t.Errorf("%d bytes", len(text))
	}
	got := ParseHistory([]string{text})
	if len(got) < 3 || got[0].URI != "sip:first@h" || got[len(got)-1].URI != "sip:newest@h" {
		t.Errorf("read back %+v", got)
	}
	for _, h := range got {
		if h.Index == "" {
			t.Errorf("no index in %+v", h)
		}
	}
}

func TestTargetOfRequestURI(t *testing.T) {
	for _, c := range []struct {
		in, target string
		cause      int
	}{
		{"target=sip:%2B14155550100%40h;cause=408", "sip:+14155550100@h", 408},
		{"sip:vm@vm.example.net;target=bob%40example.com;cause=486", "bob@example.com", 486},
		{"sip:+1805;verstat=x@h;TARGET=tel:%2B14155550100;Cause=503?Subject=a", "tel:+14155550100", 503},
		{"cause=404", "", 404},
		{"target=sip:a@h", "sip:a@h", 0},
		{"cause=99", "", 0}, {"cause=700", "", 0}, {"cause=-408", "", 0}, {"cause=4 8", "", 0}, {"cause=", "", 0},
		{"target=%0d%0aX:1", "", 0}, {"target=%zz", "", 0}, {"target=a%20b", "", 0}, {"target=%3Csip:a@h%3E", "", 0},
		{strings.Repeat(";target=a", 10000), "a", 0},
		{"", "", 0},
	} {
		if target, cause := ParseTarget(c.in); target != c.target || cause != c.cause {
			t.Errorf("%.60q = %q, %d; want %q, %d", c.in, target, cause, c.target, c.cause)
		}
	}
}

func FuzzHistory(f *testing.F) {
	f.Add(`<sip:+14155550101@a;user=phone?Reason=SIP%3Bcause%3D302%3Btext%3D%22Moved%22&Privacy=history>;index=1`)
	f.Add(`<sip:a@h?Reason=SIP;cause=302;text="a, b">;index=1, <tel:+1>;index=1.1;rc=1`)
	f.Add("<sip:a@h>;index=1.\r\n")
	f.Fuzz(func(t *testing.T, header string) {
		got := ParseHistory([]string{header})
		got = ContinueHistory(got, "sip:+14155550100@h", 408, "sip:vm@h")
		if len(got) > 20 {
			t.Fatalf("%d entries", len(got))
		}
		text := FormatHistory(got)
		if strings.ContainsAny(text, "\r\n\x00${}") || len(text) > 4000 {
			t.Fatalf("%d bytes, or not safe: %q", len(text), text)
		}
		again := ParseHistory([]string{text})
		if len(again) == 0 || again[len(again)-1].URI != "sip:vm@h" {
			t.Fatalf("%q read back %+v", text, again)
		}
		if len(again) == len(got) && !reflect.DeepEqual(again, got) {
			t.Fatalf("%q\nwritten   %+v\nread back %+v", text, got, again)
		}
	})
}

func FuzzReason(f *testing.F) {
	f.Add(`SIP;cause=486;text="Busy Here"`)
	f.Add(`Q.850;cause=17`)
	f.Add("sip ; cause=302 ;text=\"a\\\"b;cause=999\"\r\nX: y")
	f.Add(`SIP;cause=302;text="` + strings.Repeat(`\"`, 400))
	f.Fuzz(func(t *testing.T, value string) {
		cause, text := sipReason(value)
		if cause == 0 && text != "" || cause != 0 && (cause < 300 || cause > 699) {
			t.Fatalf("%q is read as %d %q", value, cause, text)
		}
		if strings.ContainsAny(text, "\r\n\x00") || !utf8.ValidString(text) || utf8.RuneCountInString(text) > 128 {
			t.Fatalf("%q gives the text %q", value, text)
		}
		// What was read goes out again in the History-Info of the next leg.
		again, _ := sipReason("SIP;cause=" + strconv.Itoa(cause) + ";text=" + quote(text))
		if again != cause {
			t.Fatalf("%q: %d is read back as %d", value, cause, again)
		}
	})
}

// BenchmarkHostileHeader reads 64 kB of quotes and brackets that never end; the cost of a byte is that of a harmless one.
func BenchmarkHostileHeader(b *testing.B) {
	for name, unit := range map[string]string{"harmless": "<sip:a@h>;reason=busy,", "quotes": `\"`, "elements": `,\"`, "params": `;\"`, "angles": "<", "angle elements": ",<"} {
		header := []string{"<sip:a@h>;x=" + strings.Repeat(unit, 65000/len(unit))}
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(header[0])))
			for b.Loop() {
				ParseDiversions(header, "US")
				ParseHistory(header)
			}
		})
	}
}
