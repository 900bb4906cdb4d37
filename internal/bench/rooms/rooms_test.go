package rooms

import (
	"strings"
	"testing"
	"time"
)

// Every call has a caller of its own whom the host knows, and the rooms are filled all at once.
func TestWhoCallsWhom(t *testing.T) {
	o := Options{Rooms: 3, Members: 4}
	hosts, guests, storm := o.rows(true, false), o.rows(false, false), o.rows(false, true)
	if len(hosts) != 4 || len(guests) != 9 || len(storm) != stormGuests {
		t.Fatalf("%d hosts, %d guests, %d in the storm", len(hosts), len(guests), len(storm))
	}
	seen := map[string]bool{}
	for _, row := range append(guests, storm...) {
		f := strings.Split(row, ";")
		if seen[f[1]] || f[0] == f[1] || f[2] != accessNumber {
			t.Errorf("row %s", row)
		}
		seen[f[1]] = true
	}
	if a, b := strings.Split(guests[0], ";")[0], strings.Split(guests[1], ";")[0]; a == b {
		t.Error("one room is filled after the other")
	}
}

func TestTheReportSaysWhatWasMissed(t *testing.T) {
	ms := func(n ...int) (out []time.Duration) {
		for _, v := range n {
			out = append(out, time.Duration(v)*time.Millisecond)
		}
		return out
	}
	r := &Report{Options: Options{Rooms: 1, Members: 2, Rate: 1, FreeSWITCH: "x"}, joins: ms(10, 20, 30), storm: ms(1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1900)}
	r.calls.Good = 15
	r.all[sidecar], r.all[telephony] = time.Second, 40*time.Second
	var b strings.Builder
	if met, err := r.Print(&b); err != nil || !met || !strings.Contains(b.String(), "2.5 %") {
		t.Errorf("all is well, but: %v\n%s", err, b.String())
	}
	for name, spoil := range map[string]func(*Report){
		"a call failed":   func(r *Report) { r.calls.Failed = 1 },
		"a slow join":     func(r *Report) { r.storm = ms(1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2100) },
		"a missed member": func(r *Report) { r.joins = r.joins[1:] },
		"a busy sidecar":  func(r *Report) { r.all[sidecar] = 3 * time.Second },
	} {
		bad := *r
		spoil(&bad)
		b.Reset()
		if met, err := bad.Print(&b); err != nil || met {
			t.Errorf("%s: met, %v\n%s", name, err, b.String())
		}
	}
}
