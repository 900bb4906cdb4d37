package e2e

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/lab"
)

// program is the signalbox binary that all rigs run; TestMain builds it.
var program string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	flag.Parse()
	dir, err := os.MkdirTemp("", "signalbox-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	program = filepath.Join(dir, "signalbox")
	if out, err := exec.Command("go", "build", "-o", program, "../../cmd/signalbox").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building signalbox: %v\n%s", err, out)
		return 1
	}
	seats = make(chan struct{}, 12)
	if os.Getenv("SIGNALBOX_FREESWITCH") != "" {
		seats = make(chan struct{}, 7) // each starts a FreeSWITCH
	}
	if err := flag.Set("test.parallel", "100"); err != nil { // begins has them wait
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// seats are how many tests run at once, which is no question of processors: a chapter mostly waits. longOnes are those that have not
// begun yet of the ones that take long, which begin first; else the last of them would run alone at the end.
var (
	seats    chan struct{}
	longOnes sync.WaitGroup
	// starts are how many rigs come up at once: that is work, and those who play meanwhile have limits of seconds to keep.
	starts = make(chan struct{}, 2)
)

// begins has a test run beside the others when its turn has come.
func begins(t *testing.T, long bool) {
	if long {
		longOnes.Add(1) // before any parallel test goes on
	}
	t.Parallel()
	if !long {
		longOnes.Wait()
	}
	seats <- struct{}{}
	t.Cleanup(func() { <-seats })
	if long {
		longOnes.Done()
	}
}

// chapter is what is played on one rig.
type chapter struct {
	long      bool // more than half a minute
	acts      []act
	reliable  bool // provisional responses to who supports that (RFC 3262)
	ipv6      bool // a real switch listens at ::1 too
	configure func(yaml string) string
	provision func(d *account.Document, stages map[string]*lab.Stage)
	files     func(files lab.Dropins, stages map[string]*lab.Stage)
	second    func(files lab.Dropins) // makes a second switch; see lab.RigOptions
	numbers   []string                // further numbers that must not stand in a log
	unknown   string                  // the one thing that a story asks of the simulator on purpose, though no switch knows it
	after     func(ctx context.Context, t *testing.T, rig *lab.Rig)
}

// act is stories that run at the same time, or alone if they say so.
type act []lab.Story

// onSimulator and onFreeSWITCH play a chapter.
func onSimulator(t *testing.T, c chapter) {
	begins(t, c.long)
	perform(t, c, lab.RigOptions{Reliable: c.reliable})
}

func onFreeSWITCH(t *testing.T, c chapter) {
	begins(t, c.long)
	binary := os.Getenv("SIGNALBOX_FREESWITCH")
	if binary == "" {
		t.Skip("SIGNALBOX_FREESWITCH names no freeswitch binary: this was NOT tested on a real switch")
	}
	perform(t, c, lab.RigOptions{StartSwitch: lab.Vanilla{Program: binary, Dir: t.TempDir(), Reliable: c.reliable, IPv6: c.ipv6}.Start})
}

func perform(t *testing.T, c chapter, o lab.RigOptions) {
	began := time.Now()
	var stories []lab.Story
	for _, a := range c.acts {
		stories = append(stories, a...)
	}
	o.Program, o.Provision, o.Files, o.Second = program, c.provision, c.files, c.second
	o.Configure = func(yaml string) string {
		yaml = edit(t, yaml, "log: {level: debug, format: console}", "log: {level: info, format: json}")
		if c.configure != nil {
			yaml = c.configure(yaml)
		}
		return yaml
	}
	starts <- struct{}{}
	rig, err := lab.NewRig(t.Context(), o, stories)
	<-starts
	if err != nil {
		t.Fatal(err)
	}
	defer rig.Close()
	for _, a := range c.acts {
		a = chosen(a)
		if len(a) == 0 {
			continue
		}
		for i, r := range lab.Run(t.Context(), rig, a, lab.JSON{}) {
			t.Run(r.Story, func(t *testing.T) {
				if r.Err != nil {
					t.Errorf("%v\nafter %.1f s\n%s", r.Err, r.Took.Seconds(), ladder(a[i], r))
				}
			})
		}
		if t.Failed() {
			t.Log(rig.Logs())
			return
		}
	}
	if c.after != nil {
		c.after(t.Context(), t, rig)
	}
	nothingUnknown(t, rig, c.unknown)
	nothingLeft(t, rig)
	logsAreMasked(t, rig, c.numbers)
	t.Logf("%d stories in %.1f s", len(stories), time.Since(began).Seconds())
}

// ladder draws a story that failed.
func ladder(s lab.Story, r lab.Result) string {
	var b bytes.Buffer
	text := lab.NewText(&b, []lab.Story{s}, false, 0)
	text.Begin(s)
	for _, e := range r.Events {
		text.Event(s, e)
	}
	r.Logs = ""
	text.End(s, r)
	return b.String()
}

// chosen are the stories of an act that the environment variable STORY names, comma-separated, or all. A stroke is chosen as a whole.
func chosen(a act) (out act) {
	names := os.Getenv("STORY")
	if names == "" {
		return a
	}
	for _, s := range a {
		for name := range strings.SplitSeq(names, ",") {
			if s.Name == name {
				if strings.HasPrefix(a[len(a)-1].Name, "stroke-") {
					return a
				}
				out = append(out, s)
			}
		}
	}
	return out
}

// edit replaces a part of a configuration file that must be there.
func edit(t *testing.T, yaml, old, replacement string) string {
	if !strings.Contains(yaml, old) {
		t.Fatalf("the configuration has no %q to replace:\n%s", old, yaml)
	}
	return strings.Replace(yaml, old, replacement, 1)
}

func nothingUnknown(t *testing.T, rig *lab.Rig, but string) {
	t.Helper()
	for _, line := range rig.Unknown() {
		if but == "" || !strings.Contains(line, but) {
			t.Errorf("the simulator was asked for what it does not know: %s", line)
		}
	}
}

// nothingLeft waits until the switch has no channel and every record is closed.
func nothingLeft(t *testing.T, rig *lab.Rig) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	var left string
	for {
		rows, err := rig.API(ctx, "show channels as json")
		if err != nil {
			t.Errorf("asking the switch for its channels: %v", err)
			return
		}
		recs, err := rig.Records(ctx)
		if err != nil {
			t.Errorf("reading the records: %v", err)
			return
		}
		left = ""
		if n := strings.ReplaceAll(strings.TrimSpace(rows), " ", ""); n != `{"row_count":0}` {
			left = rows + "\n"
		}
		for _, r := range recs {
			if r.Open() {
				left += fmt.Sprintf("the record of call %s to %s is open\n", r.Arrival.CallID, r.Arrival.To)
			}
		}
		if left == "" {
			return
		}
		select {
		case <-ctx.Done():
			t.Errorf("at the end there are left:\n%s", left)
			return
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// logsAreMasked looks for telephone numbers in everything that proxy and sidecar wrote at level info.
func logsAreMasked(t *testing.T, rig *lab.Rig, further []string) {
	t.Helper()
	numbers := make(map[string]bool)
	for _, n := range further {
		numbers[strings.TrimPrefix(n, "+")] = true
	}
	for _, s := range rig.Stages {
		for _, n := range []string{s.Number, s.From, s.Pilot} {
			numbers[strings.TrimPrefix(n, "+")] = true
		}
	}
	digits := regexp.MustCompile(`\d{10,15}`)
	lines := 0
	for _, name := range []string{"proxy.log", "sidecar.log"} {
		raw, err := os.ReadFile(filepath.Join(rig.Dir(), name))
		if err != nil {
			t.Error(err)
			continue
		}
		for line := range strings.Lines(string(raw)) {
			lines++
			for _, found := range digits.FindAllString(line, -1) {
				if numbers[found] {
					t.Errorf("%s holds a number in clear: %s", name, line)
				}
			}
		}
	}
	if lines < 4 {
		t.Errorf("proxy and sidecar wrote only %d lines: the search for numbers proves nothing", lines)
	}
}
