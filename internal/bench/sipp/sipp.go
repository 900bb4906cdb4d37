// Package sipp runs SIPp as callers and answerers of a measurement and reads what it counted.
//
// Invariants: every process is ended by its own process id; statistics that are half written are not read. A Process belongs to
// one goroutine.
package sipp

import (
	"bufio"
	"embed"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
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

// Carrier are the scenarios of a carrier's plain call, "caller" and "answerer": INVITE, 180, 200, ACK, BYE. The response time is that
// from INVITE to 180.
func Carrier() fs.FS {
	sub, err := fs.Sub(scenarios, "scenarios")
	if err != nil { // only a wrong path
		panic(err)
	}
	return sub
}

// ErrMissing means that SIPp is not installed.
var ErrMissing = errors.New("SIPp is not here: install it (Debian: apt install sip-tester)")

// Process is one SIPp process.
type Process struct {
	*lab.Process
	name string
	dir  string
}

// Start starts SIPp on an address of its own, with the scenario NAME.xml of a file system; of a name such as "caller-warmup" the part
// before the hyphen counts. dir is where it writes.
func Start(scenarios fs.FS, dir, name string, at netip.AddrPort, further ...string) (*Process, error) {
	program, err := exec.LookPath("sipp")
	if err != nil {
		return nil, ErrMissing
	}
	scenario, _, _ := strings.Cut(name, "-")
	text, err := fs.ReadFile(scenarios, scenario+".xml")
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, name+".xml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return nil, fmt.Errorf("writing SIPp's scenario: %w", err)
	}
	s := &Process{name: name, dir: dir}
	args := append([]string{
		"-sf", file, "-i", at.Addr().String(), "-p", fmt.Sprint(at.Port()), "-nostdin", "-buff_size", "4000000", // its own 64 kB lose datagrams when it has to wait for a core
		"-trace_err", "-error_file", s.file("errors.log"), "-trace_stat", "-stf", s.file("stat.csv"), "-fd", "1s",
	}, further...)
	// SIPp writes the response times into the working directory, whatever it is told.
	args = append([]string{"-c", `cd "$0" && exec "$@"`, dir, program}, args...)
	if s.Process, err = lab.Spawn(dir, name, "/bin/sh", args...); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Process) file(kind string) string { return filepath.Join(s.dir, s.name+"-"+kind) }

// Tally is what a SIPp process has counted so far.
type Tally struct{ Created, Current, Good, Failed, Retransmitted int }

// Tally reads the newest line of SIPp's statistics; zero as long as there is none.
func (s *Process) Tally() (Tally, error) {
	raw, err := os.ReadFile(s.file("stat.csv"))
	if errors.Is(err, fs.ErrNotExist) {
		return Tally{}, nil
	}
	if err != nil {
		return Tally{}, err
	}
	return parseTally(string(raw))
}

func parseTally(text string) (t Tally, err error) {
	head, rest, _ := strings.Cut(text, "\n")
	rest = rest[:strings.LastIndexByte(rest, '\n')+1] // a line may be half written
	lines := strings.Split(strings.TrimSuffix(rest, "\n"), "\n")
	last := lines[len(lines)-1]
	if last == "" {
		return t, nil
	}
	names, values := strings.Split(head, ";"), strings.Split(last, ";")
	for name, to := range map[string]*int{"TotalCallCreated": &t.Created, "CurrentCall": &t.Current, "SuccessfulCall(C)": &t.Good, "FailedCall(C)": &t.Failed, "Retransmissions(C)": &t.Retransmitted} {
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

// Times reads the response times that the scenario measures, sorted; they are there when the process has ended.
func (s *Process) Times() ([]time.Duration, error) {
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

// Errors gives the beginning of what SIPp found wrong with its calls: the first with the message it is about, of the others a line. That
// SIPp itself got too little processor time, and what came for calls that were over, is left out.
func (s *Process) Errors() string {
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
		if i == 0 || strings.Contains(line, "watchdog timer") || strings.HasPrefix(line, "Dead call") {
			continue
		}
		if len(faults) == 0 {
			line = strings.ReplaceAll(fault, "\r\n", "\n    ")
		}
		faults = append(faults, strings.TrimSpace(line))
	}
	if more := len(faults) - most; more > 0 {
		faults = append(faults[:most], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(faults, "\n")
}

// FreeUDP finds a free UDP port of an address of this machine. SIPp takes it a moment later.
func FreeUDP(ip netip.Addr) (netip.AddrPort, error) {
	at, err := lab.FreeAddr()
	return netip.AddrPortFrom(ip, at.Port()), err
}
