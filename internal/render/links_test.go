package render

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// linkedConf is operatorConf whose dialplan folder, or the whole of it, is somewhere else.
func linkedConf(t *testing.T, whole bool) (conf, real string) {
	t.Helper()
	real = operatorConf(t)
	if whole {
		conf = filepath.Join(t.TempDir(), "freeswitch")
		if err := os.Symlink(real, conf); err != nil {
			t.Fatal(err)
		}
		return conf, real
	}
	conf = real
	real = filepath.Join(t.TempDir(), "dialplan")
	if err := os.Rename(filepath.Join(conf, "dialplan"), real); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(real, filepath.Join(conf, "dialplan")); err != nil {
		t.Fatal(err)
	}
	return conf, real
}

// A conf folder that is a link, or has one inside, is checked without a change at the other end, rendered and undone.
func TestFoldersMayBeLinks(t *testing.T) {
	for name, whole := range map[string]bool{"conf": true, "dialplan": false} {
		t.Run(name, func(t *testing.T) {
			conf, real := linkedConf(t, whole)
			before := snapshot(t, real)
			p, err := NewPlan(conf, Settings{Prefixes: []string{"+1212"}})
			if err != nil {
				t.Fatal(err)
			}
			if warnings, err := p.Check(t.Context(), nil); err != nil || len(warnings) > 0 {
				t.Errorf("check: %v, %v", warnings, err)
			}
			if now := snapshot(t, real); !reflect.DeepEqual(now, before) {
				t.Error("the check changed the folder")
			}
			if err := p.Apply(time.Now()); err != nil {
				t.Fatal(err)
			}
			again, err := NewPlan(conf, Settings{Prefixes: []string{"+1212"}})
			if err != nil || len(again.Changes) > 0 {
				t.Errorf("a second run: %v, %d changes", err, len(again.Changes))
			}
			if _, err := Undo(conf, false); err != nil {
				t.Fatal(err)
			}
			if now := snapshot(t, real); !reflect.DeepEqual(now, before) {
				t.Error("undo left the folder otherwise than it was")
			}
		})
	}
}

// A run that broke off, as on a full disk, can simply be run again: its files are still ours where it did not come to them.
func TestARunThatBrokeOffMayBeRunAgain(t *testing.T) {
	for done := range 3 {
		conf := operatorConf(t)
		before := snapshot(t, conf)
		apply(t, conf, Settings{Last: true, Guard: 5, Prefixes: []string{"+1415"}})
		next := Settings{Last: true, Guard: 7, Prefixes: []string{"+1212"}}
		p, err := NewPlan(conf, next)
		if err != nil {
			t.Fatal(err)
		}
		p.manifest.Runs = append(p.manifest.Runs, run{Changes: p.changes})
		if err := p.manifest.write(conf); err != nil {
			t.Fatal(err)
		}
		for i, c := range p.changes[:min(done, len(p.changes))] {
			if err := put(conf, c.Path, c.After, p.Changes[i].After); err != nil {
				t.Fatal(err)
			}
		}
		apply(t, conf, next)
		rest, err := NewPlan(conf, next)
		if err != nil || len(rest.Changes) > 0 {
			t.Errorf("broken off after %d files and run again: %v, %d files are still to be written", done, err, len(rest.Changes))
		}
		for range 10 {
			if _, err := Undo(conf, false); err != nil {
				break
			}
		}
		if now := snapshot(t, conf); !reflect.DeepEqual(now, before) {
			t.Errorf("broken off after %d files: not as it was after every undo", done)
		}
	}
}

// The folder is often FreeSWITCH's own user's, and undo is run by root: no manifest makes it write what render does not write.
func TestAManifestNamesOurFilesAlone(t *testing.T) {
	conf := operatorConf(t)
	for _, bad := range []string{`"path":"cron.d/job"`, `"path":"dialplan/public/10_operator.xml"`, `"path":"../signalbox.xml"`,
		`"path":"dialplan/signalbox.xml","after":{"mode":2541}`} {
		write(t, filepath.Join(conf, ManifestName), `{"about":"","runs":[{"at":"2026-01-01T00:00:00Z","settings":{},"changes":[{`+bad+`,"before":{"sha256":"x","mode":420,"text":"eA=="}}]}]}`)
		before := snapshot(t, conf)
		if _, err := Undo(conf, false); err == nil || !strings.Contains(err.Error(), "move it away") {
			t.Errorf("%s: %v", bad, err)
		}
		if now := snapshot(t, conf); !reflect.DeepEqual(now, before) {
			t.Errorf("%s: something was changed", bad)
		}
	}
}
