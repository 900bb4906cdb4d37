package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/signalbox/signalbox/dialplan"
)

// place is where the preconditions of conferences are looked for: a running switch, or its conf tree where none runs. An error means that
// it cannot be known there.
type place interface {
	module(ctx context.Context, name string) (bool, error)
	// formats are what a sound may end in, or begin with before "://".
	formats(ctx context.Context) ([]string, error)
	// streams are the names of mod_local_stream's.
	streams(ctx context.Context) ([]string, error)
	// exists looks for a file or folder on the switch.
	exists(ctx context.Context, path string) (bool, error)
	// configuration is one as it is loaded; errNotThere = there is none.
	configuration(ctx context.Context, name string) (*node, error)
	gateway(ctx context.Context, name string) (bool, error)
	global(ctx context.Context, name string) (string, error)
}

// place is the switch, or else its tree; nil = there is neither.
func (d *doctor) place() place {
	if d.live != nil {
		return d.live
	}
	if d.Conf == "" {
		return nil
	}
	tree, err := dialplan.Load(d.Conf, dialplan.LoadOptions{})
	if err != nil {
		return nil // said by conf-tree
	}
	return &offline{conf: d.Conf, tree: tree}
}

func (l *live) is(ctx context.Context, command string) (bool, error) {
	answer, err := l.doctor.ask(ctx, command)
	return answer == "true", err
}

func (l *live) module(ctx context.Context, name string) (bool, error) {
	return l.is(ctx, "module_exists "+name)
}

func (l *live) exists(ctx context.Context, path string) (bool, error) {
	return l.is(ctx, "file_exists "+path)
}

func (l *live) formats(ctx context.Context) ([]string, error) {
	answer, err := l.doctor.ask(ctx, "show file as json")
	if err != nil {
		return nil, err
	}
	var list struct{ Rows []struct{ Name string } }
	if err := json.Unmarshal([]byte(answer), &list); err != nil {
		return nil, fmt.Errorf("unexpected answer %q", clip(answer))
	}
	var out []string
	for _, row := range list.Rows {
		out = append(out, strings.ToLower(row.Name))
	}
	return out, nil
}

func (l *live) streams(ctx context.Context) (out []string, err error) {
	answer, err := l.doctor.ask(ctx, "local_stream show")
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(answer) {
		if name, _, ok := strings.Cut(line, ","); ok {
			out = append(out, name)
		}
	}
	return out, nil
}

func (l *live) configuration(ctx context.Context, name string) (*node, error) {
	return l.locate(ctx, "configuration", "configuration", name)
}

func (l *live) gateway(ctx context.Context, name string) (bool, error) {
	answer, err := l.doctor.ask(ctx, "sofia xmlstatus gateway "+name)
	return !strings.HasPrefix(answer, "Invalid Gateway"), err
}

func (l *live) global(ctx context.Context, name string) (string, error) {
	return l.doctor.ask(ctx, "global_getvar "+name)
}

// offline is a conf tree that no switch is asked about.
type offline struct {
	conf string
	tree *dialplan.Tree
}

var (
	errElsewhere = errors.New("it is not on this machine; look at the running FreeSWITCH")
	errRunning   = errors.New("only a running FreeSWITCH says it")
)

func (o *offline) configuration(_ context.Context, name string) (*node, error) {
	section := o.tree.Section("configuration")
	if section == nil {
		return nil, errRunning
	}
	for _, e := range section.All("configuration") {
		if e.Soft("name") == name {
			return nodeOf(e), nil
		}
	}
	return nil, errNotThere
}

// nodeOf is an element of a tree in the form of a switch's answer.
func nodeOf(e *dialplan.Element) *node {
	n := &node{name: e.Name, attrs: map[string]string{}, text: e.Text()}
	for _, a := range e.Attrs {
		n.attrs[a.Name] = a.Value
	}
	for _, c := range e.Children {
		n.children = append(n.children, nodeOf(c))
	}
	return n
}

func (o *offline) module(ctx context.Context, name string) (bool, error) {
	conf, err := o.configuration(ctx, "modules.conf")
	if err != nil {
		return false, errRunning
	}
	return slices.ContainsFunc(conf.all("load"), func(n *node) bool { return strings.TrimSuffix(n.attrs["module"], ".so") == name }), nil
}

// bringing are the modules of the formats that FreeSWITCH's own modules bring, without those of which it has many names.
var bringing = map[string]string{"tone_stream": "mod_tone_stream", "silence_stream": "mod_tone_stream", "local_stream": "mod_local_stream", "file_string": "mod_dptools",
	"wav": "mod_sndfile", "au": "mod_sndfile", "gsm": "mod_sndfile", "ogg": "mod_sndfile", "flac": "mod_sndfile", "raw": "mod_sndfile", "ul": "mod_sndfile", "al": "mod_sndfile",
	"mp3": "mod_shout", "shout": "mod_shout", "http": "mod_httapi", "https": "mod_httapi", "http_cache": "mod_http_cache", "vlc": "mod_vlc"}

func (o *offline) formats(ctx context.Context) (out []string, err error) {
	for format, module := range bringing {
		loaded, err := o.module(ctx, module)
		if err != nil {
			return nil, err
		}
		if loaded {
			out = append(out, format)
		}
	}
	return out, nil
}

func (o *offline) streams(ctx context.Context) (out []string, err error) {
	conf, err := o.configuration(ctx, "local_stream.conf")
	switch {
	case errors.Is(err, errNotThere):
		return nil, nil
	case err != nil:
		return nil, err
	}
	for _, d := range conf.all("directory") {
		// A folder of globals that only the switch knows (sounds_dir) is taken for there.
		folder := d.attrs["path"]
		if there, err := o.exists(ctx, folder); there || err != nil {
			out = append(out, d.attrs["name"])
		}
	}
	return out, nil
}

func (o *offline) exists(_ context.Context, file string) (bool, error) {
	if !path.IsAbs(file) {
		return false, errElsewhere
	}
	_, err := os.Stat(filepath.FromSlash(file))
	if !errors.Is(err, fs.ErrNotExist) {
		return err == nil, err
	}
	if _, err := os.Stat(filepath.FromSlash(path.Dir(file))); err != nil && !strings.HasPrefix(file, filepath.ToSlash(o.conf)+"/") {
		return false, errElsewhere
	}
	return false, nil
}

func (o *offline) gateway(context.Context, string) (bool, error) { return false, errRunning }

func (o *offline) global(_ context.Context, name string) (string, error) {
	if name == "conf_dir" {
		return o.conf, nil
	}
	return "", errRunning
}
