package main

import (
	"strings"
	"testing"
)

func TestLongLinesFoldBelowTheirColumn(t *testing.T) {
	var out strings.Builder
	w := newFolded(&out, 40)
	for _, part := range []string{"1. ring      the number belongs to Zoë, ", "whose phone is rung for 20s\n", "   busy  -> the call ends with USER_BUSY (SIP 486)\n",
		"short\n", "answered             Ada calls and it rings\n", strings.Repeat(" ", 45) + "\n", "             sip:a-word-that-is-longer-than-the-terminal@example.test is kept\n"} {
		if n, err := w.Write([]byte(part)); n != len(part) || err != nil {
			t.Fatal(n, err)
		}
	}
	want := "1. ring      the number belongs to Zoë,\n" + "             whose phone is rung for 20s\n" +
		"   busy  -> the call ends with USER_BUSY\n" + "            (SIP 486)\n" + "short\n" +
		"answered             Ada calls and it\n" + "                     rings\n" + strings.Repeat(" ", 45) + "\n" +
		"             sip:a-word-that-is-longer-than-the-terminal@example.test\n" + "             is kept\n"
	if out.String() != want {
		t.Errorf("folded:\n%s\nwant\n%s", out.String(), want)
	}
	if w := newFolded(&out, 0); w != &out {
		t.Error("what is no terminal is folded")
	}
}
