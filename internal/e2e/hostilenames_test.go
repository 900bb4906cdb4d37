package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/lab"
)

func TestSimHostileNames(t *testing.T)  { onSimulator(t, hostileNames()) }
func TestRealHostileNames(t *testing.T) { onFreeSWITCH(t, hostileNames()) }

// hostileNames has an address book whose names are commands. Whoever has one joins the host's room, and is announced by it.
func hostileNames() chapter {
	var host string
	return chapter{
		acts: []act{{{Name: "names-hostile", Title: "An address book of hostile names is imported; all of them join and are announced, and nothing that they ask for happens.", Alone: true,
			Line: lab.Line{Host: true}, Play: lab.Linked(func(ctx context.Context, s *lab.Stage) { playHostileNames(ctx, s, host) })}}},
		numbers: []string{lab.AccessNumber},
		after:   commandsWouldRun,
		configure: func(yaml string) string {
			return strings.Replace(yaml, "conference: {", "conference: {voice: {engine: flite, name: slt}, ", 1)
		},
		provision: func(d *account.Document, stages map[string]*lab.Stage) {
			for _, n := range d.Numbers {
				if n.Number == stages["names-hostile"].Number {
					host = n.Account
				}
			}
		},
	}
}

// namesOf are what a person may be called in a vCard, as the file has it.
func namesOf(s *lab.Stage) []string {
	escaped := strings.NewReplacer(`\`, `\\`, ";", `\;`, ",", `\,`)
	names := []string{
		`a\nexecute-app-name: system\nexecute-app-arg: touch ` + mark(s), // a line break in a name
		"<speak><audio src='file:///etc/passwd'/></speak>",
		escaped.Replace("`touch " + mark(s) + "` $(touch " + mark(s) + ")"), escaped.Replace("'; touch " + mark(s) + "; '"),
	}
	for _, p := range payloads(s) {
		names = append(names, escaped.Replace(p))
	}
	return names
}

func playHostileNames(ctx context.Context, s *lab.Stage, host string) {
	var file strings.Builder
	names := namesOf(s)
	number := func(i int) string { return fmt.Sprintf("+4989999970%02d", i) }
	for i, name := range names {
		if i%2 == 0 { // spoken by no run before
			name = fmt.Sprintf("x%d %s", time.Now().UnixNano()%1_000_000, name)
		}
		fmt.Fprintf(&file, "BEGIN:VCARD\r\nVERSION:4.0\r\nUID:%d\r\nFN:%s\r\nTEL;VALUE=uri:tel:%s\r\nEND:VCARD\r\n", i, name, number(i))
	}
	book := filepath.Join(s.Rig.Dir(), "hostile.vcf")
	s.Must(os.WriteFile(book, []byte(file.String()), 0o600))
	out, err := exec.CommandContext(ctx, program, "contacts", "import", host, book, "--config", s.Rig.Config()).CombinedOutput()
	s.Check(err == nil && strings.Contains(string(out), fmt.Sprintf("%d added", len(names))), "contacts import: %v: %s", err, out)
	s.Tell("%d people are in the address book", len(names))

	if s.Rig.Real() {
		_, _ = s.Rig.API(ctx, "load mod_flite") // vanilla has it commented out, and not every machine has it
	}
	began := time.Now()
	h, room := s.HostEnters(ctx)
	for i := range names {
		guest := s.Party(fmt.Sprintf("guest-%d", i), toneB)
		c := s.PlaceBy(guest, s.Forwarded(number(i), "user-busy"))
		s.Joins(ctx, c)
		s.Members(ctx, room, 2)
		pause(ctx, time.Second) // the host hears who it is
		c.Hangup()
		s.Members(ctx, room, 1)
	}
	namesSpoken(ctx, s, began)
	h.Hangup()
	s.Members(ctx, room, 0)
	_, err = os.Stat(mark(s))
	s.Check(os.IsNotExist(err), "a name was executed: %s is there (%v)", mark(s), err)
	s.Tell("all %d joined, and nothing was executed", len(names))
	records, err := s.Rig.Records(ctx)
	s.Must(err)
	joined := 0
	for _, r := range records {
		if r.Plan.Access != nil && r.Plan.Access.Contact != "" {
			joined++
		}
	}
	s.Check(joined == len(names), "%d calls were let in as contacts, want %d", joined, len(names))
	out, err = exec.CommandContext(ctx, program, "contacts", "export", host, "--type", "csv", "--config", s.Rig.Config()).CombinedOutput()
	s.Check(err == nil && strings.Contains(string(out), "${system(touch "+mark(s)+")}"), "the names are kept as they are: %v: %s", err, out)
}

// namesSpoken tells how many names the voice, where there is one, has spoken into files since a time. Every other name differs from run to run.
func namesSpoken(ctx context.Context, s *lab.Stage, since time.Time) {
	if voice, err := s.Rig.API(ctx, "module_exists mod_flite"); !s.Rig.Real() || err != nil || strings.TrimSpace(voice) != "true" {
		s.Tell("there is no voice here: the names are not spoken")
		return
	}
	folder, err := s.Rig.API(ctx, "global_getvar recordings_dir")
	s.Must(err)
	files, _ := filepath.Glob(filepath.Join(strings.TrimSpace(folder), "signalbox-names", "*.wav"))
	files = slices.DeleteFunc(files, func(f string) bool { info, err := os.Stat(f); return err != nil || info.ModTime().Before(since) })
	s.Tell("%d names were spoken into files; of who leaves before the voice is done nothing is said", len(files))
}
