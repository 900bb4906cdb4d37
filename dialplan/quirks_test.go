package dialplan

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/signalbox/signalbox/dialplan/internal/realswitch"
)

var update = flag.Bool("update", false, "write what the real FreeSWITCH did to testdata/quirks/cases.json")

var quirkCalls = map[string][]string{
	"all": {"712", "722", "9"}, "all-first": {"712", "8"}, "xor": {"721", "111", "991"}, "deep": {"12", "2", "3", "4"},
	"expand": {"123", "12"}, "patterns": {"1", "2345", "22x", "12345678901", "3155"}, "flow": {"1", "2", "3", "4", "5", "6", "7", "8"},
	"carry": {"1", "2", "3", "4", "5", "6", "7", "8"}, "lists": {"1"}, "buffer": {"oooooooooooooooooooo", "oo"},
}

// TestQuirksEqualRealFreeSWITCH holds Walk to what FreeSWITCH did with the corner cases of testdata/quirks.
func TestQuirksEqualRealFreeSWITCH(t *testing.T) {
	compareOracle(t, "testdata/quirks/quirks.xml", "testdata/quirks/cases.json", 50)
}

// TestQuirksOnRealFreeSWITCH asks the real one, and with -update keeps the answers.
func TestQuirksOnRealFreeSWITCH(t *testing.T) {
	xml, err := os.ReadFile("testdata/quirks/quirks.xml")
	if err != nil {
		t.Fatal(err)
	}
	fs := realswitch.Start(t, string(xml))
	fs.Command("event plain CHANNEL_HANGUP_COMPLETE")
	callers := [][2]string{{"Ada Lovelace", "2125550123"}, {"BOB", "3055550188"}}
	var cases []oracleCase
	for _, context := range []string{"all", "all-first", "xor", "deep", "expand", "patterns", "flow", "carry", "lists", "buffer"} {
		for _, destination := range quirkCalls[context] {
			for _, caller := range callers {
				c := oracleCase{Context: context, Destination: destination, CallerIDName: caller[0], CallerIDNumber: caller[1]}
				dialNumber(t, fs, len(cases), &c)
				cases = append(cases, c)
			}
		}
	}
	data, err := json.MarshalIndent(cases, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	file := t.TempDir() + "/cases.json"
	if *update {
		file = "testdata/quirks/cases.json"
	}
	if err := os.WriteFile(file, append(data, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
	compareOracle(t, "testdata/quirks/quirks.xml", file, 50)
}

// dialNumber places one call and reads its trace from the log.
func dialNumber(t *testing.T, fs *realswitch.Switch, n int, c *oracleCase) {
	t.Helper()
	channel := fmt.Sprintf("null/q%d", n)
	fs.API(fmt.Sprintf("originate {origination_caller_id_name='%s',origination_caller_id_number=%s}%s %s XML %s",
		c.CallerIDName, c.CallerIDNumber, channel, c.Destination, c.Context))
	id := fs.Await(func(e url.Values) bool { return e.Get("Channel-Name") == channel }).Get("Unique-ID")
	log := ""
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for range 1000 {
		if log = fs.Log(0); strings.Contains(log, "("+channel+") Ended") {
			break
		}
		<-tick.C
	}
	trace := regexp.MustCompile(`(?m)^(?:` + id + ` )?((?:\|-+ )?)Dialplan: (?:` + channel + ` (.*)|(Processing.*))$`)
	c.Trace, c.Executed = []string{}, []string{}
	current := section(log, channel, id)
	for _, m := range trace.FindAllStringSubmatch(current, -1) {
		c.Trace = append(c.Trace, m[1]+strings.TrimRight(m[2]+m[3], " "))
	}
	executed := regexp.MustCompile(`(?ms)^(?:` + id + ` )?EXECUTE \[depth=\d+\] ` + channel + ` (.*?\))\n(?:` + id + `|[0-9A-Z|])`)
	for _, m := range executed.FindAllStringSubmatch(current, -1) {
		c.Executed = append(c.Executed, m[1])
	}
}

// section is the part of the log that belongs to one call; calls come one after the other.
func section(log, channel, id string) string {
	if at := strings.Index(log, channel); at >= 0 {
		at = strings.LastIndexByte(log[:at], '\n') + 1
		log = log[at:]
	}
	if at := strings.Index(log, "("+channel+") Ended"); at >= 0 {
		log = log[:at]
	}
	return log
}
