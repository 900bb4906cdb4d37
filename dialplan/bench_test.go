package dialplan

import (
	"context"
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/signalbox/signalbox/dialplan/internal/realswitch"
)

// manyExtensions is a context of n extensions of which only the last one matches 9999.
func manyExtensions(name string, n int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "<context name=%q>\n", name)
	for i := range n {
		fmt.Fprintf(&b, "<extension name=\"did_%[1]d\">\n<condition field=\"destination_number\" expression=\"^\\+?1?(415555%04[1]d)$\">\n"+
			"<action application=\"set\" data=\"did=$1\"/>\n<action application=\"bridge\" data=\"user/%[1]d@example.test\"/>\n</condition>\n</extension>\n", i)
	}
	b.WriteString("<extension name=\"last\">\n<condition field=\"destination_number\" expression=\"^(9999)$\">\n<action application=\"set\" data=\"last=$1\"/>\n</condition>\n</extension>\n</context>\n")
	return b.String()
}

// BenchmarkHuntThrough2000Extensions is one hunt with its trace, through 2,000 patterns that fail.
func BenchmarkHuntThrough2000Extensions(b *testing.B) {
	dir := write(b, map[string]string{"d.xml": manyExtensions("many", 2000)})
	tree, err := Load(filepath.Join(dir, "d.xml"), LoadOptions{})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		r, err := tree.Hunt(context.Background(), &Call{Context: "many", Destination: "9999"})
		if err != nil || r.Extension != "last" {
			b.Fatal(r.Extension, err)
		}
	}
}

// BenchmarkFirstHuntThrough2000Extensions is the same in a tree that has just been loaded.
func BenchmarkFirstHuntThrough2000Extensions(b *testing.B) {
	dir := write(b, map[string]string{"d.xml": manyExtensions("many", 2000)})
	for b.Loop() {
		b.StopTimer()
		tree, err := Load(filepath.Join(dir, "d.xml"), LoadOptions{})
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		r, err := tree.Hunt(context.Background(), &Call{Context: "many", Destination: "9999"})
		if err != nil || r.Extension != "last" {
			b.Fatal(r.Extension, err)
		}
	}
}

// BenchmarkRealFreeSWITCHHuntThrough2000Extensions is the same hunt by a real FreeSWITCH, where there is one. One call
// executes execute_extension again and again in its own thread; the time between two lines of the log before and behind
// is shared among the hunts. FreeSWITCH does not log the hunt itself here, which is to its advantage.
func BenchmarkRealFreeSWITCHHuntThrough2000Extensions(b *testing.B) {
	const hunts = 200
	xml := manyExtensions("many", 2000) + fmt.Sprintf("<context name=\"bench\"><extension name=\"bench\"><condition><action application=\"log\" data=\"NOTICE bench-begins\"/>"+
		"<action application=\"execute_extension\" data=\"9999 XML many\" loop=\"%d\"/><action application=\"log\" data=\"NOTICE bench-ends\"/></condition></extension></context>", hunts)
	fs := realswitch.Start(b, xml)
	fs.API("fsctl loglevel notice")
	fs.Command("event plain CHANNEL_HANGUP_COMPLETE")
	var spent time.Duration
	calls := 0
	for i := 0; b.Loop(); i++ {
		calls++
		fs.API("bgapi originate null/bench 1 XML bench")
		fs.Await(func(e url.Values) bool { return e.Get("Channel-Name") == "null/bench" })
		log := fs.Log(0)
		from, to := stamps(log, "bench-begins"), stamps(log, "bench-ends")
		if len(to) <= i || len(from) <= i {
			b.Fatalf("the log does not tell the call: %s", log[max(0, len(log)-2000):])
		}
		spent += to[i].Sub(from[i])
	}
	b.ReportMetric(float64(spent.Nanoseconds())/float64(calls*hunts), "ns/hunt")
	b.ReportMetric(0, "ns/op")
}

// stamps are the times at which FreeSWITCH logged a text.
func stamps(log, text string) []time.Time {
	var out []time.Time
	for _, m := range regexp.MustCompile(`(?m)^(\d+-\d+-\d+ \d+:\d+:\d+\.\d+) .*`+text+`$`).FindAllStringSubmatch(log, -1) {
		if at, err := time.Parse("2006-01-02 15:04:05.000000", m[1]); err == nil {
			out = append(out, at)
		}
	}
	return out
}

// BenchmarkLoadVanilla loads the configuration that came with FreeSWITCH, where there is one.
func BenchmarkLoadVanilla(b *testing.B) {
	dir := vanillaConf(b)
	for b.Loop() {
		if _, err := Load(dir, LoadOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}
