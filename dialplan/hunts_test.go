package dialplan

import (
	"testing"

	"github.com/signalbox/signalbox/dialplan/internal/realswitch"
)

const huntsTree, huntsCases, timesCases = "testdata/hunts", "testdata/hunts/cases.json", "testdata/hunts/times.json"

// huntCalls are the calls of testdata/hunts, by context.
var huntCalls = []struct {
	context      string
	destinations []string
	vars, known  map[string]string
}{
	{"fields", []string{"f", "p", "t", "force", "force2", "mf", "x", "ip", "nobody"}, map[string]string{"tier": "gold"}, nil},
	{"fields", []string{"auto", "AUTO", "f"}, map[string]string{"auto_hunt": "true"}, nil},
	{"inline", []string{"s", "r", "u", "c", "d", "5"}, nil, map[string]string{"set(q=no)": ""}},
	{"apps", []string{"capture", "hash", "scope", "raw", "unknown", "hangup", "bridge1", "bridge2", "tof", "loop", "inner-transfer", "go", "text"}, nil, nil},
	{"functions", []string{"text", "cond", "regex", "expr", "dir", "time", "substring"}, nil, map[string]string{"no_such_function(x)": ""}},
	{"pcre", []string{"12125550123", "+14155550100", "abcABC_1", "aaa", "ab", "a.b-c", "foo@bar.test", "12-34", "5550", "aabb", "1"}, nil, nil},
	{"no-such-context", []string{"1"}, nil, nil},
}

// TestHuntsEqualRealFreeSWITCH holds Walk to what FreeSWITCH did with the tree of testdata/hunts: fields of the profile,
// inline applications, functions, the directory, transfers.
func TestHuntsEqualRealFreeSWITCH(t *testing.T) {
	m := readMeasured(t, huntsCases)
	m.compare(t, load(t, huntsTree, LoadOptions{Globals: m.Globals}), 30)
}

// TestTimesEqualRealFreeSWITCH does the same for conditions on the time, in three zones of the switch.
func TestTimesEqualRealFreeSWITCH(t *testing.T) {
	m := readMeasured(t, timesCases)
	m.compare(t, load(t, huntsTree, LoadOptions{Globals: m.Globals}), 3)
}

// TestHuntsOnRealFreeSWITCH asks the real one, and with -update keeps the answers.
func TestHuntsOnRealFreeSWITCH(t *testing.T) {
	fs := realswitch.StartTree(t, huntsTree, func(string) {})
	var m measured
	for _, group := range huntCalls {
		for _, destination := range group.destinations {
			m.Cases = append(m.Cases, measuredCase{oracleCase: oracleCase{Context: group.context, Destination: destination,
				CallerIDName: "Ada Lovelace", CallerIDNumber: "2125550123"}, Vars: group.vars, Known: group.known})
		}
	}
	m.measure(t, fs, huntsTree)
	if *update {
		m.write(t, huntsCases)
	}
	m.compare(t, load(t, huntsTree, LoadOptions{Globals: m.Globals}), 30)
}

func TestTimesOnRealFreeSWITCH(t *testing.T) {
	var all measured
	for _, zone := range []string{"UTC", "Pacific/Auckland", "America/Santiago"} {
		t.Setenv("TZ", zone)
		m := measured{Cases: []measuredCase{{oracleCase: oracleCase{Context: "times", Destination: "1", CallerIDName: "Ada Lovelace",
			CallerIDNumber: "2125550123"}, Zone: zone}}}
		m.measure(t, realswitch.StartTree(t, huntsTree, func(string) {}), huntsTree)
		all.Version = m.Version
		all.Cases = append(all.Cases, m.Cases...)
	}
	if *update {
		all.write(t, timesCases)
	}
	all.compare(t, load(t, huntsTree, LoadOptions{}), 3)
}
