package render

import (
	"context"
	"fmt"
	"os"
	slashpath "path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/signalbox/signalbox/dialplan"
)

// maxFiles bounds the conf folder that Check looks at.
const maxFiles = 20_000

// Check hunts the conf folder as it will be after Apply and returns what is not as it should be: a context that is not
// there or does not include its folder, and extensions of the operator's own that take the numbers first. Nothing in the
// folder changes. try are numbers to hunt; without any, one that the settings take is tried, unless they are a pattern.
func (p *Plan) Check(ctx context.Context, try []string) ([]string, error) {
	s := p.settings.withDefaults()
	dir, err := os.MkdirTemp("", "signalbox-render-")
	if err != nil {
		return nil, fmt.Errorf("checking the rendered dialplan: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	conf, err := filepath.Abs(p.conf)
	if err == nil {
		err = p.mirror(conf, dir)
	}
	if err != nil {
		return nil, fmt.Errorf("checking the rendered dialplan: %w", err)
	}
	said := strings.NewReplacer(dir, conf).Replace
	tree, err := dialplan.Load(dir, dialplan.LoadOptions{})
	if err != nil {
		return []string{"the dialplan cannot be loaded, and FreeSWITCH would refuse it too: " + said(err.Error())}, nil
	}
	if len(try) == 0 {
		try = s.samples()
	}
	var out []string
	for _, name := range s.Contexts {
		for _, number := range try {
			if text := reach(ctx, tree, name, number, fmt.Sprintf("%02d_signalbox.xml", *s.File)); text != "" {
				out = append(out, said(text))
			}
		}
	}
	return out, nil
}

// samples are numbers that the settings take; none for a pattern of the operator's own.
func (s Settings) samples() []string {
	if s.Numbers != "" {
		return nil
	}
	if len(s.Prefixes) == 0 {
		return []string{"+14155550100"}
	}
	var out []string
	for _, prefix := range s.Prefixes {
		number := "+" + strings.TrimPrefix(prefix, "+")
		for len(number) < len("+14155550100") {
			number += "0"
		}
		out = append(out, number)
	}
	return out
}

// reach says why a number does not come to our extension, "" when it does.
func reach(ctx context.Context, tree *dialplan.Tree, name, number, file string) string {
	result, err := tree.Hunt(ctx, &dialplan.Call{Context: name, Destination: number, CallerIDNumber: "+12125550123",
		Fields: map[string]string{"uuid": "00000000-0000-4000-8000-000000000000"}, Now: time.Now()})
	if err != nil {
		return fmt.Sprintf("context %s: %v: it is not in this conf folder, so no call comes to the file", name, err)
	}
	for _, a := range result.Actions {
		if filepath.Base(a.File) == file && a.Application == "socket" {
			return ""
		}
	}
	if len(result.Actions) > 0 {
		return fmt.Sprintf("a call to %s in context %s is taken by your extension %q (%s) before it comes to %s: choose a lower file number or move your extension behind it",
			number, name, result.Extension, result.Actions[0].Pos, file)
	}
	return fmt.Sprintf("a call to %s in context %s does not come to %s: does the context include its folder?", number, name, file)
}

// mirror fills dir with links to the files of the conf folder and with the planned ones.
func (p *Plan) mirror(conf, dir string) error {
	planned := make(map[string]Change)
	for _, c := range p.Changes {
		planned[c.Path] = c
	}
	files := 0
	var fill func(folder string) error
	fill = func(folder string) error {
		entries, err := os.ReadDir(filepath.Join(conf, filepath.FromSlash(folder)))
		if err != nil {
			return err
		}
		for _, entry := range entries {
			if files++; files > maxFiles {
				return fmt.Errorf("%s holds more than %d files: is it a conf folder?", conf, maxFiles)
			}
			rel := slashpath.Join(folder, entry.Name())
			from, to := filepath.Join(conf, filepath.FromSlash(rel)), filepath.Join(dir, filepath.FromSlash(rel))
			if entry.IsDir() || p.goesInto(rel) { // that may be a link: a planned file must not go to its other end
				if err = os.Mkdir(to, 0o700); err == nil {
					err = fill(rel)
				}
			} else if _, ok := planned[rel]; !ok {
				err = os.Symlink(from, to)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	if err := fill(""); err != nil {
		return err
	}
	for _, c := range p.Changes {
		if c.After == nil || !strings.HasPrefix(c.Path, "dialplan/") { // the check hunts the dialplan
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.FromSlash(c.Path)), c.After, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// goesInto reports whether a planned file is inside a folder.
func (p *Plan) goesInto(folder string) bool {
	return slices.ContainsFunc(p.Changes, func(c Change) bool { return strings.HasPrefix(c.Path, folder+"/") })
}
