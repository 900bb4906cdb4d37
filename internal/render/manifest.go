package render

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	slashpath "path"
	"path/filepath"
	"strings"
	"time"
)

// ManifestName is the file in the conf folder that says what was written and what was there before.
const ManifestName = ".signalbox-render.json"

const (
	maxRuns  = 20       // kept in the manifest; older ones are joined, so that the last Undo still brings the beginning back
	maxBytes = 4 << 20  // of any one file
	maxStore = 64 << 20 // of the manifest, which holds the sounds that newer ones have replaced
)

// manifest is the history of one conf folder, oldest run first.
type manifest struct {
	About string `json:"about"`
	Runs  []run  `json:"runs"`
}

// run is what one run changed, in the order in which it wrote.
type run struct {
	At       time.Time `json:"at"`
	Settings Settings  `json:"settings"`
	Changes  []change  `json:"changes"`
}

// change is one file before and after a run.
type change struct {
	Path   string `json:"path"`
	Before state  `json:"before"`
	After  state  `json:"after"`
}

// state is a file as it was: absent, or its text with its mode. The text is kept only where Undo needs it.
type state struct {
	SHA256 string      `json:"sha256,omitempty"` // "" = there was no file
	Mode   fs.FileMode `json:"mode,omitempty"`
	Text   []byte      `json:"text,omitempty"`
}

// content is the text, nil when there was no file.
func (s state) content() []byte {
	if s.SHA256 == "" {
		return nil
	}
	return append([]byte{}, s.Text...)
}

const manifestAbout = "Written by signalbox dialplan render; signalbox dialplan render --undo reads it. Do not edit."

func sum(text []byte) string {
	h := sha256.Sum256(text)
	return hex.EncodeToString(h[:])
}

// look reads a file as a state; a symbolic link or anything else but a regular file is an error.
func look(path string) (state, error) {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return state{}, nil
	}
	if err != nil {
		return state{}, err
	}
	if !info.Mode().IsRegular() {
		return state{}, fmt.Errorf("%s is no regular file, and so none of ours: move it away and run again", path)
	}
	text, err := readBounded(path, maxBytes)
	if err != nil {
		return state{}, err
	}
	return state{SHA256: sum(text), Mode: info.Mode().Perm(), Text: text}, nil
}

func readBounded(path string, most int) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, int64(most)+1))
	if err == nil && len(text) > most {
		err = fmt.Errorf("%s is larger than %d bytes", path, most)
	}
	return text, err
}

func readManifest(conf string) (*manifest, error) {
	path := filepath.Join(conf, ManifestName)
	text, err := readBounded(path, maxStore)
	if errors.Is(err, fs.ErrNotExist) {
		return &manifest{About: manifestAbout}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading what was rendered before: %w", err)
	}
	m := new(manifest)
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(m); err != nil {
		return nil, fmt.Errorf("%s cannot be read (%v): restore it from a backup, or delete it, after which the files it spoke of count as yours", path, err)
	}
	for _, r := range m.Runs {
		for _, c := range r.Changes {
			if !filepath.IsLocal(filepath.FromSlash(c.Path)) || strings.Contains(c.Path, `\`) {
				return nil, fmt.Errorf("%s names %q, which is not inside the conf folder: it was not written by signalbox, move it away", path, c.Path)
			}
			// Who may write into the folder must not have root write another file, or one that runs, by way of it.
			if name := slashpath.Base(c.Path); !isSound(c.Path) && !(strings.Contains(name, "signalbox") && strings.HasSuffix(name, ".xml")) || (c.Before.Mode|c.After.Mode)&^fs.ModePerm != 0 {
				return nil, fmt.Errorf("%s names %q, or a mode for it, that signalbox does not write: move it away", path, c.Path)
			}
		}
	}
	return m, nil
}

// write keeps the manifest; an empty one is removed.
func (m *manifest) write(conf string) error {
	path := filepath.Join(conf, ManifestName)
	if len(m.Runs) == 0 {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	for len(m.Runs) > maxRuns {
		m.Runs = append([]run{join(m.Runs[0], m.Runs[1])}, m.Runs[2:]...)
	}
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return replace(path, append(text, '\n'), 0o600, conf)
}

// join makes one run of two: the first's before and the second's after.
func join(a, b run) run {
	out := run{At: b.At, Settings: b.Settings, Changes: a.Changes}
	for _, c := range b.Changes {
		known := false
		for i := range out.Changes {
			if out.Changes[i].Path == c.Path {
				out.Changes[i].After, known = c.After, true
			}
		}
		if !known {
			out.Changes = append(out.Changes, c)
		}
	}
	return out
}

// written returns the hash that the last run left of each path, "" when it removed the file.
func (m *manifest) written() map[string]string {
	last := make(map[string]string)
	for _, r := range m.Runs {
		for _, c := range r.Changes {
			last[c.Path] = c.After.SHA256
		}
	}
	return last
}

// unwritten is the hash of a path before the last run that was to change it, which may have broken off before it came there.
func (m *manifest) unwritten(path string) string {
	for i := len(m.Runs) - 1; i >= 0; i-- {
		for _, c := range m.Runs[i].Changes {
			if c.Path == path {
				return c.Before.SHA256
			}
		}
	}
	return ""
}

// replace writes a file in one step: a hidden neighbour that no include takes, renamed over it. Owner and group are those
// of like, as far as we may set them, so that FreeSWITCH can read what root wrote.
func replace(path string, text []byte, mode fs.FileMode, like string) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".signalbox-*.tmp")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	if _, err = f.Write(text); err != nil {
		return err
	}
	if err = f.Chmod(mode); err != nil {
		return err
	}
	own(f, like)
	if err = f.Sync(); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
