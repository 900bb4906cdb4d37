package rooms

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/bench/proc"
	"github.com/signalbox/signalbox/internal/bench/sipp"
	"github.com/signalbox/signalbox/internal/lab"
)

// Options of a run.
type Options struct {
	Program    string        // the signalbox binary
	FreeSWITCH string        // a freeswitch binary; "" = the simulator
	Rooms      int           // besides the one of the storm
	Members    int           // of each, with its host
	Rate       int           // calls a second
	Stay       time.Duration // when all are in
	Voice      bool          // everybody sends voice from the key on, as telephones do; else the switch mixes silence
	Progress   io.Writer     // a line for each part
	Keep       bool          // leave the temp folder behind
}

const (
	accessNumber = lab.AccessNumber
	stormGuests  = 12
	stormRate    = 4                // a second: twelve within three
	answerAndKey = 6 * time.Second  // from INVITE until somebody is in, at most; 3 s of it are before the key
	inTime       = 30 * time.Second // more than the calls take, until all are members
	voicePort    = 34000
)

//go:embed scenarios/*.xml
var scenarios embed.FS

func scenarioFiles() fs.FS {
	sub, err := fs.Sub(scenarios, "scenarios")
	if err != nil { // only a wrong path
		panic(err)
	}
	return sub
}

// callers send from here, so that the proxy takes them for a trunk.
var carrier = netip.MustParseAddr("127.0.0.2")

func hostNumber(room int) string     { return fmt.Sprintf("+4930231%05d", 10000+room) }
func guestNumber(room, n int) string { return fmt.Sprintf("+49899%04d%03d", 1000+room, 100+n) }
func (o Options) storm() int         { return o.Rooms } // the room of the storm is the last
func (o Options) guests() int        { return o.Rooms * (o.Members - 1) }
func (o Options) takes(n int) (d time.Duration) {
	return time.Duration(n) * time.Second / time.Duration(o.Rate)
}

// stand is everything that stands around the rooms.
type stand struct {
	o         Options
	dir       string
	scenarios fs.FS
	rig       *lab.Rig
	see       *watch
}

// used is the processor time of sidecar, proxy and switch so far.
type used [3]time.Duration

const (
	sidecar = iota
	proxy
	telephony
)

// Run fills the rooms and empties them.
func Run(ctx context.Context, o Options) (*Report, error) {
	dir, err := os.MkdirTemp("", "signalbox-rooms-")
	if err != nil {
		return nil, fmt.Errorf("making a temp folder: %w", err)
	}
	if !o.Keep {
		defer func() { _ = os.RemoveAll(dir) }()
	}
	s := &stand{o: o, dir: dir}
	defer s.close()
	if err := s.build(ctx); err != nil {
		return nil, err
	}
	r := &Report{Options: o}
	begin, err := s.look()
	if err != nil {
		return nil, err
	}
	stay := o.takes(o.guests()) + o.Stay + answerAndKey
	hosts, err := s.call("host", o.rows(true, false), o.Rate, stay+o.takes(o.Rooms+1)+2*answerAndKey)
	if err != nil {
		return nil, err
	}
	defer hosts.Stop(time.Second)
	if err := s.members(ctx, o.Rooms+1, o.takes(o.Rooms+1)+inTime); err != nil {
		return nil, err
	}
	guests, err := s.call("guest", o.rows(false, false), o.Rate, stay)
	if err != nil {
		return nil, err
	}
	defer guests.Stop(time.Second)
	if err := s.members(ctx, o.Rooms*o.Members+1, o.takes(o.guests())+inTime); err != nil {
		return nil, err
	}
	filled, err := s.look()
	if err != nil {
		return nil, err
	}
	o.tell("%d people are in %d rooms", o.Rooms*o.Members, o.Rooms)
	if err := sleep(ctx, o.Stay/2); err != nil {
		return nil, err
	}
	stayed, err := s.look()
	if err != nil {
		return nil, err
	}
	storm, err := s.call("guest-storm", o.rows(false, true), stormRate, answerAndKey)
	if err != nil {
		return nil, err
	}
	defer storm.Stop(time.Second)
	for _, p := range []*sipp.Process{storm, guests, hosts} {
		select {
		case <-p.Done():
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		t, err := p.Tally()
		if err != nil {
			return nil, err
		}
		r.calls.Good, r.calls.Failed = r.calls.Good+t.Good, r.calls.Failed+t.Failed
		r.errors += p.Errors()
	}
	if err := s.members(ctx, 0, inTime); err != nil {
		return nil, err
	}
	end, err := s.look()
	if err != nil {
		return nil, err
	}
	r.came, r.stayed, r.all = filled.since(begin), stayed.since(filled), end.since(begin)
	r.joins, r.storm = s.see.latencies()
	r.files = s.see.played()
	return r, nil
}

func (u used) since(before used) (d used) {
	for i := range u {
		d[i] = u[i] - before[i]
	}
	return d
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

func (o Options) tell(format string, args ...any) {
	if o.Progress != nil {
		fmt.Fprintf(o.Progress, format+"\n", args...)
	}
}

func (s *stand) close() {
	if s.see != nil {
		s.see.close()
	}
	if s.rig != nil {
		s.rig.Close()
	}
}

func (s *stand) build(ctx context.Context) (err error) {
	if s.scenarios = scenarioFiles(); s.o.Voice {
		if s.scenarios, err = talking(s.dir, s.scenarios); err != nil {
			return err
		}
	}
	options := lab.RigOptions{Program: s.o.Program, Keep: s.o.Keep,
		Configure: func(yaml string) string {
			return strings.Replace(yaml, "log: {level: debug", "log: {level: warn", 1)
		},
		Provision: func(d *account.Document, _ map[string]*lab.Stage) { s.provision(d) },
	}
	if s.o.FreeSWITCH != "" {
		options.StartSwitch = lab.Vanilla{Program: s.o.FreeSWITCH, Dir: s.dir, RTPPort: voicePort}.Start
	}
	if s.rig, err = lab.NewRig(ctx, options, []lab.Story{{Name: "rooms", Line: lab.Line{Phone: lab.PhoneAbsent}}}); err != nil {
		return err
	}
	if _, err := s.rig.API(ctx, fmt.Sprintf("fsctl max_sessions %d", 2*s.o.Rooms*s.o.Members+1000)); err != nil { // vanilla takes 1,000
		return fmt.Errorf("letting so many calls in: %w", err)
	}
	if s.o.FreeSWITCH != "" { // vanilla writes its log at debug, which costs more than the calls do
		if _, err := s.rig.API(ctx, "fsctl loglevel warning"); err != nil {
			return fmt.Errorf("quieting FreeSWITCH's log: %w", err)
		}
	}
	s.see, err = openWatch(ctx, s.rig.At(), guestNumber(s.o.storm(), 0)[:len("+498991000")])
	return err
}

// talking gives the scenarios with voice in them: 50 packets of PCMU a second, always the same tone.
func talking(dir string, scenarios fs.FS) (fs.FS, error) {
	const second = 8000 // bytes of PCMU
	voice := filepath.Join(dir, "voice.ulaw")
	dir = filepath.Join(dir, "talking")
	err := errors.Join(os.WriteFile(voice, bytes.Repeat([]byte{0x2a}, second), 0o600), os.CopyFS(dir, scenarios))
	for _, name := range []string{"host.xml", "guest.xml"} {
		if err != nil {
			break
		}
		var text []byte
		if text, err = os.ReadFile(filepath.Join(dir, name)); err == nil {
			edited := strings.NewReplacer("[media_port]", "[rtpstream_audio_port]",
				"<!--voice-->", fmt.Sprintf(`<nop><action><exec rtp_stream="%s,-1,0,PCMU/8000"/></action></nop>`, voice)).Replace(string(text))
			err = os.WriteFile(filepath.Join(dir, name), []byte(edited), 0o600)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("writing the scenarios with voice: %w", err)
	}
	return os.DirFS(dir), nil
}

// provision makes the hosts and whom they know.
func (s *stand) provision(d *account.Document) {
	d.Accounts, d.Numbers, d.Contacts = nil, nil, nil
	for room := range s.o.Rooms + 1 {
		id := fmt.Sprintf("host-%d", room)
		d.Accounts = append(d.Accounts, account.AccountEntry{ID: id, Name: fmt.Sprintf("Host %d", room)})
		d.Numbers = append(d.Numbers, account.NumberEntry{Number: hostNumber(room), Account: id, NoAnswer: account.Duration(5 * time.Second),
			Devices:    []account.DeviceEntry{{Kind: account.DeviceURI, User: "phone", Host: "127.0.0.1", Port: 9}},
			Conference: &account.ConferenceEntry{}})
		for n := range s.o.inRoom(room) {
			d.Contacts = append(d.Contacts, account.ContactEntry{Account: id, ID: fmt.Sprint("guest-", n), Name: fmt.Sprintf("Guest %d", n), Numbers: []string{guestNumber(room, n)}})
		}
	}
}

// inRoom is how many guests come into a room.
func (o Options) inRoom(room int) int {
	if room == o.storm() {
		return stormGuests
	}
	return o.Members - 1
}

// rows are the calls of hosts, of guests, or of the guests of the storm, for SIPp. The rooms are filled all at once, not one after the other.
func (o Options) rows(hosts, storm bool) (rows []string) {
	add := func(room, n int) {
		rows = append(rows, fmt.Sprintf("%s;%s;%s;", hostNumber(room), guestNumber(room, n), accessNumber))
	}
	switch {
	case hosts:
		for room := range o.Rooms + 1 {
			add(room, 0)
		}
	case storm:
		for n := range stormGuests {
			add(o.storm(), n)
		}
	default:
		for n := range o.Members - 1 {
			for room := range o.Rooms {
				add(room, n)
			}
		}
	}
	return rows
}

// call has SIPp place calls that stay for a time.
func (s *stand) call(name string, rows []string, rate int, stay time.Duration) (*sipp.Process, error) {
	at, err := sipp.FreeUDP(carrier)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(s.dir, name+".csv")
	if err := os.WriteFile(file, []byte("SEQUENTIAL\n"+strings.Join(rows, "\n")+"\n"), 0o600); err != nil {
		return nil, fmt.Errorf("writing who calls: %w", err)
	}
	return sipp.Start(s.scenarios, s.dir, name, at, s.rig.ProxyAddr().String(), "-inf", file, "-r", fmt.Sprint(rate), "-m", fmt.Sprint(len(rows)),
		"-l", "10000", "-d", fmt.Sprint(stay.Milliseconds()), "-timeout", fmt.Sprint(int((stay + 10*time.Minute).Seconds())))
}

// members waits until so many are in rooms.
func (s *stand) members(ctx context.Context, want int, longest time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, longest, errors.New("not all were in, or out, in time"))
	defer cancel()
	for {
		got := s.see.members()
		if got == want {
			return nil
		}
		if err := sleep(ctx, 100*time.Millisecond); err != nil {
			missing := s.see.missing(s.o.rows(false, false))
			return fmt.Errorf("%w: %d members, want %d; not in: %q\n%s", err, got, want, missing[:min(len(missing), 20)], s.rig.Logs())
		}
	}
}

func (s *stand) look() (u used, err error) {
	for i, pid := range []int{s.rig.Sidecar.PID(), s.rig.Proxy.PID(), s.rig.At().PID} {
		now, err := proc.Look(pid)
		if err != nil {
			return u, fmt.Errorf("looking at a process: %w", err)
		}
		u[i] = now.CPU
	}
	return u, nil
}
