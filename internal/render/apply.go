package render

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	slashpath "path"
	"path/filepath"
	"strings"
	"time"

	freeswitchconf "github.com/signalbox/signalbox/freeswitch-conf"
)

// Change is what a run does, or would do, to one file.
type Change struct {
	Path          string // inside the conf folder, with slashes
	Before, After []byte // nil = no file
}

// Plan is what a run would do to a conf folder. Apply does it.
type Plan struct {
	Changes  []Change
	conf     string
	settings Settings
	manifest *manifest
	changes  []change
}

// NewPlan compares the conf folder with the files that the settings give. It changes nothing. An error says which file
// stands in the way and what to do about it.
func NewPlan(conf string, s Settings) (*Plan, error) {
	files, err := s.Files()
	if err != nil {
		return nil, err
	}
	if err := isConf(conf); err != nil {
		return nil, err
	}
	m, err := readManifest(conf)
	if err != nil {
		return nil, err
	}
	p := &Plan{conf: conf, settings: s, manifest: m}
	written, wanted := m.written(), make(map[string]bool)
	// A file of an earlier run that these settings do not ask for goes first: its number or its context has changed.
	for _, f := range files {
		wanted[f.Path] = true
	}
	var refusals []error
	for _, path := range inOrder(m) {
		if written[path] != "" && !wanted[path] && (strings.HasPrefix(path, "dialplan/") || s.Sounds && isSound(path)) {
			refusals = append(refusals, p.add(path, nil, written))
		}
	}
	for _, f := range files {
		refusals = append(refusals, p.add(f.Path, f.Text, written))
	}
	if err := errors.Join(refusals...); err != nil {
		return nil, err
	}
	return p, nil
}

// inOrder are the paths of the manifest, those that refer to others first, so that they go first.
func inOrder(m *manifest) []string {
	var paths []string
	seen := make(map[string]bool)
	for i := len(m.Runs) - 1; i >= 0; i-- {
		for j := len(m.Runs[i].Changes) - 1; j >= 0; j-- {
			if path := m.Runs[i].Changes[j].Path; !seen[path] {
				seen[path] = true
				paths = append(paths, path)
			}
		}
	}
	return paths
}

// isConf makes sure that a folder is a FreeSWITCH's: we would not fill any other with files.
func isConf(conf string) error {
	info, err := os.Stat(conf)
	if err != nil {
		return fmt.Errorf("the conf folder: %w", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is a file: name the conf folder, such as /etc/freeswitch", conf)
	}
	if _, err := os.Stat(filepath.Join(conf, "freeswitch.xml")); err != nil {
		return fmt.Errorf("%s holds no freeswitch.xml, so it is no conf folder: name the one FreeSWITCH reads, such as /etc/freeswitch or /usr/local/freeswitch/conf", conf)
	}
	return nil
}

// add plans one file. text nil removes it.
func (p *Plan) add(path string, text []byte, written map[string]string) error {
	full := filepath.Join(p.conf, filepath.FromSlash(path))
	before, err := look(full)
	if err != nil {
		return err
	}
	after := state{}
	if text != nil {
		after = state{SHA256: sum(text), Mode: before.Mode}
		if after.Mode == 0 {
			after.Mode = modeLike(p.conf)
		}
	}
	if before.SHA256 == after.SHA256 {
		return nil
	}
	if _, err := os.Stat(filepath.Dir(full)); text != nil && err != nil && !isSound(path) {
		return fmt.Errorf("%w: make the folder and have FreeSWITCH include its files, as vanilla's dialplan/public.xml includes public/*.xml", err)
	}
	if err := p.mayTouch(full, path, before, written); err != nil {
		return err
	}
	p.Changes = append(p.Changes, Change{path, before.content(), text})
	p.changes = append(p.changes, change{path, before, after})
	return nil
}

// mayTouch says whether a file is ours: absent, as a run left it, as a run that broke off did not come to it, or exactly
// as shipped.
func (p *Plan) mayTouch(full, path string, before state, written map[string]string) error {
	if before.SHA256 == "" || before.SHA256 == written[path] || before.SHA256 == p.manifest.unwritten(path) || isShipped(path, before.SHA256) {
		return nil
	}
	if _, ours := written[path]; ours {
		return fmt.Errorf("%s was edited since it was rendered, and stays as it is: keep your change in a file of your own, or move this one away, and run again", full)
	}
	return fmt.Errorf("%s was not rendered by signalbox, and stays as it is: if it is an older copy of ours without changes of yours, delete it and run again; if it is yours, rename it or choose another file number", full)
}

// isShipped reports whether a file is a copy of one that we ship, as "cp" would have put it there.
func isShipped(path, hash string) bool {
	files, err := Settings{Last: true, Profile: true, User: true, Sounds: true}.Files()
	if err != nil {
		return false
	}
	for _, f := range files {
		if f.Path == path && sum(f.Text) == hash {
			return true
		}
	}
	return false
}

// modeLike is the mode of new files: that of the operator's own.
func modeLike(conf string) fs.FileMode {
	if info, err := os.Stat(filepath.Join(conf, "freeswitch.xml")); err == nil {
		return info.Mode().Perm() &^ 0o111
	}
	return 0o644
}

// Apply writes what was planned. Between NewPlan and Apply a file may have changed: it is looked at again.
func (p *Plan) Apply(now time.Time) error {
	if len(p.changes) == 0 {
		return nil
	}
	for _, c := range p.changes {
		if err := still(p.conf, c.Path, c.Before.SHA256); err != nil {
			return err
		}
	}
	p.manifest.Runs = append(p.manifest.Runs, run{At: now.UTC().Truncate(time.Second), Settings: p.settings, Changes: p.changes})
	if err := p.manifest.write(p.conf); err != nil {
		return fmt.Errorf("keeping what was there before: %w", err)
	}
	for i, c := range p.changes {
		if err := put(p.conf, c.Path, c.After, p.Changes[i].After); err != nil {
			return fmt.Errorf("writing %s: %w; signalbox dialplan render --undo brings back what was there", c.Path, err)
		}
	}
	return nil
}

// still asks that a file is as it was when it was looked at.
func still(conf, path, hash string) error {
	now, err := look(filepath.Join(conf, filepath.FromSlash(path)))
	if err == nil && now.SHA256 != hash {
		err = fmt.Errorf("%s changed in this moment: run again", filepath.Join(conf, filepath.FromSlash(path)))
	}
	return err
}

// put makes a file what a state says: absent, or text with its mode.
func put(conf, path string, s state, text []byte) error {
	full := filepath.Join(conf, filepath.FromSlash(path))
	if s.SHA256 == "" {
		if err := os.Remove(full); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if isSound(path) { // their folders are ours too, once they are empty
			for folder := slashpath.Dir(path); folder != "."; folder = slashpath.Dir(folder) {
				_ = os.Remove(filepath.Join(conf, filepath.FromSlash(folder)))
			}
		}
		return nil
	}
	if isSound(path) {
		if err := makeFolders(conf, slashpath.Dir(path)); err != nil {
			return err
		}
	}
	return replace(full, text, s.Mode, filepath.Dir(full))
}

// isSound reports whether a path is in the folder of the prompts, which FreeSWITCH's conf folder has not by itself.
func isSound(path string) bool { return strings.HasPrefix(path, freeswitchconf.Sounds+"/") }

// makeFolders makes a folder inside conf, each part with conf's mode and owner.
func makeFolders(conf, folder string) error {
	info, err := os.Stat(conf)
	if err != nil {
		return err
	}
	full := conf
	for part := range strings.SplitSeq(folder, "/") {
		full = filepath.Join(full, part)
		err := os.Mkdir(full, info.Mode().Perm())
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return err
		}
		if err := os.Chmod(full, info.Mode().Perm()); err != nil {
			return err
		}
		ownFolder(full, conf)
	}
	return nil
}

// Undo brings back what the last run of a conf folder changed, and returns the changes. Doing it again takes back the run
// before. A file that somebody edited since stops it before anything is done. With dry nothing is changed at all.
func Undo(conf string, dry bool) ([]Change, error) {
	m, err := readManifest(conf)
	if err != nil {
		return nil, err
	}
	if len(m.Runs) == 0 {
		return nil, fmt.Errorf("%s holds nothing that signalbox dialplan render has written", conf)
	}
	last := m.Runs[len(m.Runs)-1]
	var done []Change
	var restore []change
	var refusals []error
	for i := len(last.Changes) - 1; i >= 0; i-- {
		c := last.Changes[i]
		full := filepath.Join(conf, filepath.FromSlash(c.Path))
		now, err := look(full)
		switch {
		case err != nil:
			refusals = append(refusals, err)
		case now.SHA256 == c.Before.SHA256:
		case now.SHA256 == c.After.SHA256 || now.SHA256 == "":
			done = append(done, Change{c.Path, now.content(), c.Before.content()})
			restore = append(restore, c)
		default:
			refusals = append(refusals, fmt.Errorf("%s was edited since it was rendered, and stays as it is: move it away and undo again; what was there before is in %s", full, ManifestName))
		}
	}
	if err := errors.Join(refusals...); err != nil || dry {
		return done, err
	}
	for _, c := range restore {
		if err := put(conf, c.Path, c.Before, c.Before.content()); err != nil {
			return nil, fmt.Errorf("bringing %s back: %w; run it again when that is mended", c.Path, err)
		}
	}
	m.Runs = m.Runs[:len(m.Runs)-1]
	return done, m.write(conf)
}
