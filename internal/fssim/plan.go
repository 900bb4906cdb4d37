package fssim

import (
	"encoding/xml"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/signalbox/signalbox/dialplan"
	"go.uber.org/zap"
)

// loadPlan loads the dialplan of the options: a configuration tree or file as it is, or a tree put together from
// include files.
func loadPlan(o *Options) (*dialplan.Tree, error) {
	lo := dialplan.LoadOptions{Globals: o.Globals, Context: "public"}
	if o.Conf != "" {
		return dialplan.Load(o.Conf, lo)
	}
	dir, err := os.MkdirTemp("", "fssim-conf-")
	if err != nil {
		return nil, fmt.Errorf("put the dialplan together: %w", err)
	}
	defer os.RemoveAll(dir)
	if err := writeConf(dir, o); err != nil {
		return nil, fmt.Errorf("put the dialplan together: %w", err)
	}
	return dialplan.Load(filepath.Join(dir, "freeswitch.xml"), lo)
}

// writeConf writes a vanilla-like root document that includes copies of the given files.
func writeConf(dir string, o *Options) error {
	public, err := copyFiles(filepath.Join(dir, "public"), o.Public, o.Substitute)
	if err != nil {
		return err
	}
	contexts, err := copyFiles(filepath.Join(dir, "dialplan"), o.Contexts, o.Substitute)
	if err != nil {
		return err
	}
	var b strings.Builder
	b.WriteString("<document type=\"freeswitch/xml\">\n<section name=\"dialplan\" description=\"XML dialplan\">\n")
	for _, f := range contexts {
		includeLine(&b, f)
	}
	b.WriteString("<context name=\"public\">\n")
	for _, f := range public {
		includeLine(&b, f)
	}
	b.WriteString("</context>\n</section>\n</document>\n")
	return os.WriteFile(filepath.Join(dir, "freeswitch.xml"), []byte(b.String()), 0o600)
}

func includeLine(b *strings.Builder, file string) {
	b.WriteString(`<X-PRE-PROCESS cmd="include" data="`)
	_ = xml.EscapeText(b, []byte(file))
	b.WriteString("\"/>\n")
}

// copyFiles copies files and globs, substituting text, and returns the copies in order.
func copyFiles(dir string, patterns, substitute []string) ([]string, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	replace := strings.NewReplacer(substitute...)
	var out []string
	for _, pattern := range patterns {
		files, err := filepath.Glob(pattern)
		if err != nil {
			return nil, err
		}
		if len(files) == 0 {
			return nil, fmt.Errorf("%s: %w", pattern, os.ErrNotExist)
		}
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err != nil {
				return nil, err
			}
			to := filepath.Join(dir, fmt.Sprintf("%03d_%s", len(out), filepath.Base(f)))
			if err := os.WriteFile(to, []byte(replace.Replace(string(text))), 0o600); err != nil {
				return nil, err
			}
			out = append(out, to)
		}
	}
	return out, nil
}

// planVars gives package dialplan the channel's variables.
type planVars struct{ c *channel }

func (v planVars) Get(name string) (string, bool) { return v.c.lookup(name) }
func (v planVars) Set(name, value string)         { v.c.set(name, value) }

// hunt asks the dialplan for where the call is now.
func (c *channel) hunt() ([]action, bool) {
	tree := c.s.plan.Load()
	c.mu.Lock()
	p := c.caller
	c.mu.Unlock()
	call := &dialplan.Call{Context: p.context, Destination: p.dest, CallerIDName: p.cidName, CallerIDNumber: p.cidNum,
		Fields: map[string]string{"username": p.username, "ani": p.ani, "rdnis": p.rdnis, "network_addr": p.netAddr,
			"source": p.source, "uuid": c.uuid, "chan_name": p.chanName, "dialplan": p.dialplan},
		Vars: planVars{c}, Now: time.Now(), Functions: c.function}
	call.Inline = func(a dialplan.Action) error {
		c.execute(a.Application, a.Data)
		return nil
	}
	r, err := tree.Hunt(c.s.ctx, call)
	if err != nil {
		c.s.log.Error("hunt", zap.String("uuid", c.uuid), zap.Error(err))
		return nil, false
	}
	for _, line := range r.Trace {
		c.s.log.Debug("dialplan", zap.String("uuid", c.uuid), zap.String("trace", line))
	}
	acts := make([]action, 0, len(r.Actions))
	for _, a := range r.Actions {
		acts = append(acts, action{a.Application, a.Data})
	}
	return acts, r.Matched
}

// function carries out ${func(args)} in an argument.
func (c *channel) function(name, args string) (string, error) {
	return c.s.expansion(c, name, args), nil
}

// expansion runs an API command from inside an argument; one that does not exist gives nothing.
func (s *Switch) expansion(c *channel, name, args string) string {
	if lookupAPI(strings.ToLower(name)) == nil {
		s.unknown("api " + name)
		return ""
	}
	return s.api(c, name, args)
}

// resolver expands for one channel, or for none.
type resolver struct {
	s *Switch
	c *channel
}

func (r resolver) Variable(name string) (string, bool) {
	if r.c != nil {
		return r.c.value(name)
	}
	return r.s.global(name)
}

func (r resolver) Function(name, args string) (string, error) {
	return r.s.expansion(r.c, name, args), nil
}

func (c *channel) expand(s string) string { return c.s.expandFor(c, s) }

func (s *Switch) expandFor(c *channel, text string) string {
	out, err := dialplan.Expand(text, resolver{s, c})
	if err != nil {
		s.log.Warn("expansion", zap.Error(err))
	}
	return out
}

// apiReload reads the dialplan again; a bad one changes nothing.
func apiReload(s *Switch, _ *channel, _ string) string {
	tree, err := loadPlan(&s.opt)
	if err != nil {
		return "-ERR [" + err.Error() + "]\n"
	}
	s.plan.Store(tree)
	return "+OK [Success]\n"
}
