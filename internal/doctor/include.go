package doctor

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/signalbox/signalbox/dialplan"
	"github.com/signalbox/signalbox/dialplan/lint"
	freeswitchconf "github.com/signalbox/signalbox/freeswitch-conf"
)

// renderIt is the command that writes our files.
func (d *doctor) renderIt() string { return "signalbox dialplan render --conf " + d.folder() }

// folder is FreeSWITCH's conf folder, as far as it is known.
func (d *doctor) folder() string {
	switch {
	case d.Conf != "":
		return d.Conf
	case d.live != nil && d.live.conf != "":
		return d.live.conf
	}
	return "CONF"
}

// include looks whether our files are in the XML that the switch has loaded, and whether calls come to them.
func (d *doctor) include(ctx context.Context) {
	name := "public"
	if d.live.proxied != nil && d.live.proxied.context != "" {
		name = d.live.proxied.context
	}
	ours, err := d.live.locate(ctx, "dialplan", "context", "signalbox")
	if err != nil && !errors.Is(err, errNotThere) {
		d.skip("include", "xml_locate", err)
		return
	}
	calls, err := d.live.locate(ctx, "dialplan", "context", name)
	if err != nil {
		d.say("include", Fail, "context %s, where the proxy's calls arrive, is not loaded", name).add("dialplan/"+name+".xml", fmt.Sprintf(`<context name="%s"> with <X-PRE-PROCESS cmd="include" data="%s/*.xml"/>`, name, name))
		return
	}
	extension := extensionOf(calls, "signalbox")
	command := d.renderIt()
	if name != "public" {
		command += " --context " + name
	}
	switch {
	case ours == nil && extension == nil:
		d.say("include", Fail, "the dialplan files are not loaded: no call comes to the sidecar").add(d.folder(), command, "then: fs_cli -x reloadxml")
		return
	case ours == nil:
		d.say("include", Fail, "context signalbox is not loaded: a call whose sidecar is gone would end with it").add("dialplan/signalbox.xml", command, "then: fs_cli -x reloadxml")
		return
	case extension == nil:
		d.say("include", Fail, "context %s has no extension signalbox: no call comes to the sidecar", name).add("dialplan/"+name+"/05_signalbox.xml", command, "then: fs_cli -x reloadxml")
		return
	}
	d.revision(extension, ours, command)
	d.socket(extension)
	d.reaches(ctx, name, calls, ours)
}

func extensionOf(context *node, name string) *node {
	for _, x := range context.all("extension") {
		if x.attrs["name"] == name {
			return x
		}
	}
	return nil
}

// retrieval looks whether phones can dial their own voicemail: in vanilla's context for users, and in those of profiles other than the proxy's.
// That is missed only where there are voicemail systems.
func (d *doctor) retrieval(ctx context.Context) {
	contexts := map[string]bool{"default": true}
	for _, p := range d.live.profiles {
		if p.context != "" && (d.live.proxied == nil || p.context != d.live.proxied.context) {
			contexts[p.context] = true
		}
	}
	var names []string
	command := d.renderIt() + " --with phones"
	for _, name := range slices.Sorted(maps.Keys(contexts)) {
		context, err := d.live.locate(ctx, "dialplan", "context", name)
		if err != nil && !errors.Is(err, errNotThere) {
			d.skip("include-phones", "xml_locate", err)
			return
		}
		if context == nil {
			continue
		}
		names = append(names, name)
		extension := extensionOf(context, "signalbox-voicemail")
		if extension == nil {
			continue
		}
		if loaded, _ := strconv.Atoi(extension.attrs["revision"]); loaded < freeswitchconf.Revision {
			d.say("include-phones", Warn, "the file by which phones dial their voicemail is older (revision %d) than that of this program (revision %d)", loaded, freeswitchconf.Revision).
				add(d.folder(), command, "then: fs_cli -x reloadxml")
			return
		}
		d.say("include-phones", OK, "phones of context %s dial their own voicemail", name)
		return
	}
	if len(d.Systems) > 0 && len(names) > 0 {
		d.say("include-phones", Warn, "in the contexts of phones (%s) nobody takes *86 and pilots: subscribers cannot dial their own voicemail", strings.Join(names, ", ")).
			add(d.folder(), command, "then: fs_cli -x reloadxml")
	}
}

// revision compares what is loaded with what this program ships.
func (d *doctor) revision(extension, ours *node, command string) {
	loaded := [2]int{}
	for i, n := range []*node{extension, ours} {
		loaded[i], _ = strconv.Atoi(n.attrs["revision"])
	}
	low, high := min(loaded[0], loaded[1]), max(loaded[0], loaded[1])
	switch {
	case low < freeswitchconf.Revision:
		d.say("include", Warn, "the loaded dialplan files are older (revision %d) than those of this program (revision %d)", low, freeswitchconf.Revision).add(d.folder(), command, "then: fs_cli -x reloadxml")
	case high > freeswitchconf.Revision:
		d.say("include", Warn, "the loaded dialplan files are newer (revision %d) than those of this program (revision %d): use the program they came with", high, freeswitchconf.Revision)
	default:
		d.say("include", OK, "the dialplan files are loaded, revision %d as in this program", freeswitchconf.Revision)
	}
}

// socket compares the address in the dialplan with where our sidecar listens.
func (d *doctor) socket(extension *node) {
	data := ""
	guarded := false
	for _, a := range extension.all("action") {
		guarded = guarded || strings.Contains(a.attrs["data"], "${sched_api(")
		if a.attrs["application"] == "socket" {
			data = a.attrs["data"]
		}
	}
	hosts, _, _ := strings.Cut(data, " ")
	list := strings.Split(hosts, "|")
	for _, h := range list {
		host, _, _ := strings.Cut(h, "/")
		if colon := strings.LastIndexByte(host, ':'); colon >= 0 {
			host = host[:colon]
		}
		if !isLocal(host) {
			d.say("include-socket", Warn, "the dialplan hands calls to %s, which may be another machine: FreeSWITCH connects without a timeout", h)
			return
		}
	}
	if !guarded {
		d.say("include-socket", Warn, "no guard: a sidecar that hangs would keep calls").add(d.folder(), d.renderIt(), "then: fs_cli -x reloadxml")
		return
	}
	if d.Config == nil {
		d.say("include-socket", OK, "calls go to %s", hosts)
		return
	}
	_, port, err := net.SplitHostPort(d.Config.Sidecar.Listen)
	if err == nil && !slices.ContainsFunc(list, func(h string) bool { return strings.HasSuffix(strings.Split(h, "/")[0], ":"+port) }) {
		d.say("include-socket", Fail, "the dialplan hands calls to %s, but sidecar.listen is %s: every call falls to the fallback", hosts, d.Config.Sidecar.Listen).
			add(d.folder(), d.renderIt()+" --config signalbox.yaml", "then: fs_cli -x reloadxml")
		return
	}
	d.say("include-socket", OK, "calls go to %s, where sidecar.listen is", hosts)
}

// reaches hunts the loaded context, offline, for our numbers.
func (d *doctor) reaches(ctx context.Context, name string, calls, ours *node) {
	tree, err := loadTree(calls, ours)
	if err != nil {
		d.say("include-reached", Skip, "the loaded dialplan is not read here: %v", err)
		return
	}
	numbers := d.Numbers
	if len(numbers) == 0 {
		numbers = []string{"+14155550100"}
	}
	var missed []string
	for _, number := range numbers {
		result, err := tree.Hunt(ctx, &dialplan.Call{Context: name, Destination: number, CallerIDNumber: "+12125550123", Now: time.Now(),
			Fields: map[string]string{"uuid": "00000000-0000-4000-8000-000000000000", "source": "mod_sofia"}})
		if err == nil && slices.ContainsFunc(result.Actions, func(a dialplan.Action) bool { return a.Application == "socket" }) {
			continue
		}
		why := "no extension takes it"
		if result != nil && result.Extension != "" {
			why = fmt.Sprintf("extension %q takes it before", result.Extension)
		}
		missed = append(missed, number+" ("+why+")")
	}
	if len(missed) > 0 {
		d.say("include-reached", Warn, "in context %s these numbers do not come to the sidecar: %s", name, strings.Join(missed, ", ")).
			add(d.folder(), d.renderIt()+" --file-number 0, or move the other extension behind ours, or --numbers/--prefix", "then: fs_cli -x reloadxml")
		return
	}
	d.say("include-reached", OK, "in context %s %s comes to the sidecar", name, strings.Join(numbers, ", "))
}

// loadTree makes a tree of contexts as they were loaded.
func loadTree(contexts ...*node) (*dialplan.Tree, error) {
	dir, err := os.MkdirTemp("", "signalbox-doctor-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	var b strings.Builder
	b.WriteString("<document>\n<section name=\"dialplan\">\n")
	for _, c := range contexts {
		c.write(&b)
	}
	b.WriteString("</section>\n</document>\n")
	path := filepath.Join(dir, "loaded.xml")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		return nil, err
	}
	return dialplan.Load(path, dialplan.LoadOptions{})
}

func (n *node) write(b *strings.Builder) {
	b.WriteString("<" + n.name)
	for name, value := range n.attrs {
		b.WriteString(" " + name + `="`)
		_ = xml.EscapeText(b, []byte(value))
		b.WriteString(`"`)
	}
	b.WriteString(">")
	if strings.TrimSpace(n.text) == "" {
		b.WriteString("\n")
	} else { // of <expression> and <action>, where a line end in front would count
		_ = xml.EscapeText(b, []byte(n.text))
	}
	for _, c := range n.children {
		c.write(b)
	}
	b.WriteString("</" + n.name + ">\n")
}

// tree looks at the conf folder: faults of its dialplan, and whether what is loaded is what stands there.
func (d *doctor) tree() {
	if d.Conf == "" {
		return
	}
	report, err := lint.Check(d.Conf, lint.Options{})
	if err != nil {
		d.say("conf-tree", Fail, "%v", err).add("the folder of this FreeSWITCH", `fs_cli -x "global_getvar conf_dir"`, "signalbox doctor --conf FOLDER")
		return
	}
	errs, warnings := report.Count(lint.Error), report.Count(lint.Warning)-report.Count(lint.Error)
	switch {
	case errs+warnings > 0:
		d.say("conf-tree", Warn, "dialplan lint: %d of severity error and %d warning in %s", errs, warnings, d.Conf).add(d.folder(), "signalbox dialplan lint --conf "+d.Conf)
	default:
		d.say("conf-tree", OK, "dialplan lint finds nothing in %s", d.Conf)
	}
	d.reloaded()
}

// reloaded compares the folder with what is loaded.
func (d *doctor) reloaded() {
	if d.live == nil || d.live.proxied == nil {
		return
	}
	tree, err := dialplan.Load(d.Conf, dialplan.LoadOptions{})
	if err != nil {
		return // said already
	}
	there := false
	for _, c := range tree.ContextElements() {
		if strings.EqualFold(c.Soft("name"), d.live.proxied.context) {
			for _, x := range c.All("extension") {
				there = there || x.Soft("name") == "signalbox"
			}
		}
	}
	loaded := false
	for _, c := range d.report.Checks {
		loaded = loaded || c.Name == "include-socket"
	}
	switch {
	case there && !loaded:
		d.say("conf-loaded", Fail, "the files are in %s, but FreeSWITCH has not read them", d.Conf).add("", "fs_cli -x reloadxml")
	case !there && loaded:
		d.say("conf-loaded", Warn, "FreeSWITCH has our files loaded, but %s does not hold them: the next reloadxml loses them, or it reads another folder", d.Conf).add(d.folder(), "fs_cli -x \"global_getvar conf_dir\"")
	case there:
		d.say("conf-loaded", OK, "what is in %s is loaded", d.Conf)
	}
}
