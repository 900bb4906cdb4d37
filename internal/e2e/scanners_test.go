package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/lab"
)

// hasSipvicious says loudly when there is no scanner.
func hasSipvicious(t *testing.T) bool {
	for _, name := range []string{"svmap", "svwar", "svcrack"} {
		if sipvicious(name) == "" {
			t.Run("sipvicious", func(t *testing.T) {
				t.Skip("sipvicious (its Debian package) is not here: what a scanner learns of us was NOT tested")
			})
			return false
		}
	}
	return true
}

// sipvicious finds one of its programs, whose names differ between Debian's releases; "" = it is not here.
func sipvicious(name string) string {
	for _, n := range []string{name, "sipvicious_" + name} {
		if path, err := exec.LookPath(n); err == nil {
			return path
		}
	}
	return ""
}

// scanned are sipvicious's programs in front of the listeners for devices and for carriers.
type scanned struct {
	loud, quiet []*frontDoor // the scanner says its name, and does not; each from an address of its own
	devices     atomic.Value // netip.AddrPort, as the next
	carriers    atomic.Value
}

func newScanned(t *testing.T) *scanned {
	x := &scanned{}
	door := func(last byte, to *atomic.Value) *frontDoor {
		return newFrontDoor(t, netip.AddrFrom4([4]byte{127, 0, 0, last}), false, func([]byte) netip.AddrPort { return to.Load().(netip.AddrPort) })
	}
	x.loud = []*frontDoor{door(66, &x.devices), door(67, &x.carriers)}
	x.quiet = []*frontDoor{door(68, &x.devices), door(69, &x.carriers)}
	for _, d := range x.quiet {
		d.rewrite = func(datagram []byte) []byte {
			return bytes.ReplaceAll(datagram, []byte("friendly-scanner"), []byte("Office Phone 3.1"))
		}
	}
	return x
}

// acts are two, because the metrics do not say which scanner they count.
func (x *scanned) acts() (loud, quiet act) {
	return act{
			{Name: "scanners", Title: "sipvicious gets no answer and gives up; FreeSWITCH sees nothing of it, and calls go on.", Play: func(ctx context.Context, s *lab.Stage) {
				before, heard := x.play(ctx, s, x.loud)
				after := proxyCounts(ctx, s)
				s.Check(strings.Count(heard, "found nothing") >= 6 && !strings.Contains(heard, "SIP Device"), "the scanner heard something:\n%s", heard)
				s.Check(after[`proxy_rejected_total{reason="scanner"}`] >= before[`proxy_rejected_total{reason="scanner"}`]+10, "the metrics are %v", after)
				s.Check(registers(after) == registers(before), "%v registrations passed the gate", registers(after)-registers(before))
			}},
		}, act{
			{Name: "scanners-by-another-name", Title: "The same in disguise finds that there is SIP, no user and no password, and is banned.", Play: func(ctx context.Context, s *lab.Stage) {
				before, heard := x.play(ctx, s, x.quiet)
				after := proxyCounts(ctx, s)
				s.Check(strings.Count(heard, "found nothing") >= 4 && !strings.Contains(heard, s.User()+" |") && !strings.Contains(heard, "| "+s.Rig.At().UserPassword),
					"the scanner heard too much:\n%s", heard)
				const banned = `proxy_rejected_total{reason="banned"}`
				s.Check(after[banned] > before[banned], "nobody was banned: %v", after)
				s.Check(registers(after)-registers(before) < 300, "%v registrations passed the gate", registers(after)-registers(before))
			}},
		}
}

// play runs all programs of sipvicious at once, with calls meanwhile. It gives what the proxy had counted before, and
// what the programs print.
func (x *scanned) play(ctx context.Context, s *lab.Stage, doors []*frontDoor) (before map[string]float64, heard string) {
	x.devices.Store(s.Rig.DevicesAddr())
	x.carriers.Store(s.Rig.ProxyAddr())
	right, err := strconv.Atoi(s.Rig.At().UserPassword)
	s.Must(err)
	before = proxyCounts(ctx, s)
	var mu sync.Mutex
	var all strings.Builder
	var parts []func()
	for _, door := range doors {
		for _, args := range [][]string{
			{"svmap"}, {"svmap", "-m", "INVITE"},
			{"svwar", "--force", "--maximumtime=2", "-e" + s.User() + ",1900-2200"}, {"svwar", "--force", "--maximumtime=2", "-m", "INVITE", "-e" + s.User() + ",1900-1950"},
			{"svcrack", "--maximumtime=2", "-u", s.User(), "-r", fmt.Sprintf("%d-%d", right-300, right+20)},
		} {
			parts = append(parts, func() {
				limit, cancel := context.WithTimeout(ctx, 6*time.Second)
				defer cancel()
				out, err := exec.CommandContext(limit, sipvicious(args[0]), append(args[1:], "-p", fmt.Sprint(door.Addr.Port()), door.Addr.Addr().String())...).CombinedOutput()
				mu.Lock()
				defer mu.Unlock()
				fmt.Fprintf(&all, "--- %s (%v)\n%s\n", strings.Join(args, " "), err, out)
			})
		}
	}
	parts = append(parts, func() {
		for n := range 5 {
			s.NextCallWorks(ctx, s.Phone.Invited())
			s.Tell("call %d works", n+1)
		}
	})
	s.Together(parts...)
	return before, all.String()
}

// registers counts what passed the gate.
func registers(counts map[string]float64) (n float64) {
	for name, v := range counts {
		if strings.HasPrefix(name, `proxy_requests_total{method="REGISTER"`) {
			n += v
		}
	}
	return n
}

// proxyCounts reads the proxy's metrics, without the prefix of their names.
func proxyCounts(ctx context.Context, s *lab.Stage) map[string]float64 {
	raw, err := os.ReadFile(filepath.Join(s.Rig.Dir(), "proxy.log"))
	s.Must(err)
	var runs struct{ HTTP string }
	for line := range strings.Lines(string(raw)) {
		if strings.Contains(line, `"signalbox runs"`) {
			s.Must(json.Unmarshal([]byte(line), &runs))
		}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+runs.HTTP+"/metrics", nil)
	s.Must(err)
	res, err := http.DefaultClient.Do(req)
	s.Must(err)
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	s.Must(err)
	counts := make(map[string]float64)
	for line := range strings.Lines(string(text)) {
		name, value, ok := strings.Cut(strings.TrimSpace(strings.TrimPrefix(line, "signalbox_")), "} ")
		if v, err := strconv.ParseFloat(value, 64); ok && err == nil {
			counts[name+"}"] = v
		}
	}
	return counts
}
