package load

import (
	"bufio"
	"embed"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/signalbox/signalbox/internal/lab"
)

//go:embed scenarios/*.xml
var scenarios embed.FS

// ErrNoSIPp means that SIPp is not installed.
var ErrNoSIPp = errors.New("SIPp is not here: install it (Debian: apt install sip-tester)")

// sipp is one SIPp process.
type sipp struct {
	*lab.Process
	name string
	dir  string
}

// startSIPp starts SIPp with a scenario of ours on an address of its own.
func startSIPp(dir, name string, at netip.AddrPort, further ...string) (*sipp, error) {
	program, err := exec.LookPath("sipp")
	if err != nil {
		return nil, ErrNoSIPp
	}
	scenario, _, _ := strings.Cut(name, "-")
	text, err := fs.ReadFile(scenarios, "scenarios/"+scenario+".xml")
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, name+".xml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return nil, fmt.Errorf("writing SIPp's scenario: %w", err)
	}
	s := &sipp{name: name, dir: dir}
	args := append([]string{
		"-sf", file, "-i", at.Addr().String(), "-p", fmt.Sprint(at.Port()), "-nostdin",
		"-trace_err", "-error_file", s.file("errors.log"), "-trace_stat", "-stf", s.file("stat.csv"), "-fd", "1s",
	}, further...)
	// SIPp writes the response times into the working directory, whatever it is told.
	args = append([]string{"-c", `cd "$0" && exec "$@"`, dir, program}, args...)
	if s.Process, err = lab.Spawn(dir, name, "/bin/sh", args...); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *sipp) file(kind string) string { return filepath.Join(s.dir, s.name+"-"+kind) }

// tally is what a SIPp process has counted so far.
type tally struct{ created, current, good, failed, retransmitted int }

// tally reads the newest line of SIPp's statistics; zero as long as there is none.
func (s *sipp) tally() (tally, error) {
	raw, err := os.ReadFile(s.file("stat.csv"))
	if errors.Is(err, fs.ErrNotExist) {
		return tally{}, nil
	}
	if err != nil {
		return tally{}, err
	}
	return parseTally(string(raw))
}

func parseTally(text string) (t tally, err error) {
	head, rest, _ := strings.Cut(text, "\n")
	rest = rest[:strings.LastIndexByte(rest, '\n')+1] // a line may be half written
	lines := strings.Split(strings.TrimSuffix(rest, "\n"), "\n")
	last := lines[len(lines)-1]
	if last == "" {
		return t, nil
	}
	names, values := strings.Split(head, ";"), strings.Split(last, ";")
	for name, to := range map[string]*int{"TotalCallCreated": &t.created, "CurrentCall": &t.current, "SuccessfulCall(C)": &t.good, "FailedCall(C)": &t.failed, "Retransmissions(C)": &t.retransmitted} {
		i := slices.Index(names, name)
		if i < 0 || i >= len(values) {
			return t, fmt.Errorf("SIPp's statistics have no %s", name)
		}
		if *to, err = strconv.Atoi(values[i]); err != nil {
			return t, fmt.Errorf("SIPp's statistics: %s: %w", name, err)
		}
	}
	return t, nil
}

// setupTimes reads how long each call took from INVITE to 200.
func (s *sipp) setupTimes() ([]time.Duration, error) {
	files, err := filepath.Glob(filepath.Join(s.dir, s.name+"_*_rtt.csv"))
	if err != nil || len(files) == 0 {
		return nil, err
	}
	var all []time.Duration
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		times, err := parseTimes(f)
		_ = f.Close()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, times...)
	}
	slices.Sort(all)
	return all, nil
}

func parseTimes(r io.Reader) (all []time.Duration, err error) {
	table := csv.NewReader(bufio.NewReader(r))
	table.Comma, table.FieldsPerRecord = ';', -1
	for {
		row, err := table.Read()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		if len(row) < 2 {
			continue
		}
		if ms, err := strconv.ParseFloat(row[1], 64); err == nil { // not the heading
			all = append(all, time.Duration(ms*float64(time.Millisecond)))
		}
	}
}

// errors gives the beginning of what SIPp found wrong with its calls, one to a line. That SIPp itself got too little
// processor time, and what came for calls that were over, is left out.
func (s *sipp) errors() string {
	raw, err := os.ReadFile(s.file("errors.log"))
	if err != nil {
		return ""
	}
	return callFaults(string(raw))
}

// errorStamp stands before each of SIPp's errors, without a line end before it.
var errorStamp = regexp.MustCompile(`\d{4}-\d\d-\d\d\t[\d:.]+\t[\d.]+: `)

func callFaults(log string) string {
	const most = 5
	var faults []string
	for i, fault := range errorStamp.Split(log, -1) {
		line, _, _ := strings.Cut(fault, "\r\n")
		if i > 0 && !strings.Contains(line, "watchdog timer") && !strings.HasPrefix(line, "Dead call") {
			faults = append(faults, strings.TrimSpace(line))
		}
	}
	if more := len(faults) - most; more > 0 {
		faults = append(faults[:most], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(faults, "\n")
}

// freeUDP finds a free UDP port of an address. SIPp takes it a moment later.
func freeUDP(ip netip.Addr) (netip.AddrPort, error) {
	c, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(ip, 0)))
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("finding a free port of %s: %w", ip, err)
	}
	at := c.LocalAddr().(*net.UDPAddr).AddrPort()
	return netip.AddrPortFrom(ip, at.Port()), c.Close()
}
