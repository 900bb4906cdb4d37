package main

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"github.com/signalbox/signalbox/dialplan"
	"github.com/signalbox/signalbox/internal/config"
	"github.com/signalbox/signalbox/internal/docstest"
)

const top = "../.."

// elsewhere are commands of the pages that are not run here, with the reason.
var elsewhere = map[string]string{
	"lab":    "scripts/check.sh plays it whole",
	"health": "health_test.go asks a process of its own",
	"doctor": "doctor_test.go asks a simulated switch",
	"token":  "token_test.go makes and revokes one",
}

// verbs follow the program's name in its log and in sentences about it.
var verbs = []string{"has", "is", "runs", "stops"}

// reader is somebody who follows the pages: a checkout, and the conf folder of a FreeSWITCH.
type reader struct {
	folder
	conf string
}

func newReader(t *testing.T) reader {
	t.Helper()
	r := reader{folder{t, t.TempDir()}, filepath.Join(t.TempDir(), "conf")}
	for _, name := range []string{"examples", "freeswitch-conf"} {
		if err := os.CopyFS(filepath.Join(r.dir, name), os.DirFS(filepath.Join(top, name))); err != nil {
			t.Fatal(err)
		}
	}
	example, err := os.ReadFile(filepath.Join(top, "examples", "signalbox.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	r.write("signalbox.yaml", string(example))
	r.write("invite.txt", invite)
	for _, dir := range []string{"dialplan/public", "directory/default", "sip_profiles", "autoload_configs"} {
		if err := os.MkdirAll(filepath.Join(r.conf, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	const freeswitch = `<document type="freeswitch/xml">
  <section name="dialplan">
    <context name="public">
      <X-PRE-PROCESS cmd="include" data="dialplan/public/*.xml"/>
    </context>
    <X-PRE-PROCESS cmd="include" data="dialplan/*.xml"/>
  </section>
</document>
`
	if err := os.WriteFile(filepath.Join(r.conf, "freeswitch.xml"), []byte(freeswitch), 0o600); err != nil {
		t.Fatal(err)
	}
	return r
}

var confFolder = regexp.MustCompile(`^(CONF|/etc/freeswitch|/usr/local/freeswitch/conf)\b`)

// here turns the places that a page names into those of this reader.
func (r reader) here(words []string) []string {
	out := slices.Clone(words)
	for i, w := range out {
		w = confFolder.ReplaceAllLiteralString(w, r.conf)
		w = strings.Replace(w, "/etc/signalbox/", r.dir+"/", 1)
		w = strings.Replace(w, "/usr/share/signalbox/", r.dir+"/", 1)
		if _, err := os.Stat(filepath.Join(r.dir, w)); err == nil && !filepath.IsAbs(w) && strings.Contains(w, ".") {
			w = filepath.Join(r.dir, w)
		}
		out[i] = w
	}
	return out
}

func parse(words []string) error {
	parser, printed := newParser(context.Background()), false
	parser.Stdout, parser.Exit = io.Discard, func(int) { printed = true } // --version and --help print and end
	if _, err := parser.Parse(words[1:]); !printed {
		return err
	}
	return nil
}

func pages(t *testing.T) []docstest.Page {
	t.Helper()
	all, err := docstest.Pages(top)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestCommandsOfThePages parses each line that begins with signalbox, by the program's own parser, and finds what make
// and go are asked for. A command that is only named in the text need not be complete.
func TestCommandsOfThePages(t *testing.T) {
	t.Parallel()
	r := newReader(t)
	makefile, err := os.ReadFile(filepath.Join(top, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	for _, p := range pages(t) {
		for _, c := range p.Commands() {
			tried++
			words := r.here(c.Words)
			switch words[0] {
			case "signalbox":
				if !c.Run && slices.Contains(verbs, words[1]) {
					continue
				}
				if err := parse(words); err != nil && (c.Run || !incomplete(err)) {
					t.Errorf("%v: %v", c, err)
				}
			case "make":
				for _, target := range words[1:] {
					if !strings.Contains(target, "=") && !regexp.MustCompile(`(?m)^`+regexp.QuoteMeta(target)+`:`).Match(makefile) {
						t.Errorf("%v: the Makefile has no target %s", c, target)
					}
				}
			case "go":
				for _, w := range c.Words[1:] {
					if _, err := os.Stat(filepath.Join(top, strings.TrimSuffix(w, "..."))); strings.HasPrefix(w, "./") && err != nil {
						t.Errorf("%v: there is no %s", c, w)
					}
				}
			}
		}
	}
	if tried < 10 {
		t.Fatalf("found only %d command lines: the search is broken", tried)
	}
}

// incomplete says that nothing is wrong with a command line but what it leaves out.
func incomplete(err error) bool {
	return strings.HasPrefix(err.Error(), "missing flags") || strings.HasPrefix(err.Error(), "expected ")
}

// TestThePagesCanBeFollowed runs the blocks of each page from top to bottom, as a reader with a checkout does.
func TestThePagesCanBeFollowed(t *testing.T) {
	t.Parallel()
	script, err := os.ReadFile(filepath.Join(top, "scripts", "check.sh"))
	if err != nil || !strings.Contains(string(script), "./bin/signalbox lab") {
		t.Errorf("scripts/check.sh does not play the lab: %v", err)
	}
	for _, p := range pages(t) {
		t.Run(p.Path, func(t *testing.T) {
			t.Parallel()
			r := newReader(t)
			copied := false
			for _, c := range p.Commands() {
				words := r.here(c.Words)
				switch {
				case !c.Run:
				case words[0] == "cp":
					copied = true
					words = slices.DeleteFunc(words, func(w string) bool { return strings.HasPrefix(w, "-") })
					if out, err := exec.CommandContext(t.Context(), words[0], r.absolute(words[1:])...).CombinedOutput(); err != nil {
						t.Errorf("%v: %s", c, out)
					}
				case words[0] != "signalbox" || elsewhere[words[1]] != "":
				case words[1] == "serve":
					r.serve(c, words[1:])
				default:
					if result := r.run(invite, words[1:]...); result.status != 0 {
						t.Errorf("%v: exit status %d: %s", c, result.status, result.err)
					}
				}
			}
			if copied {
				r.loads()
			}
		})
	}
}

func (r reader) absolute(paths []string) []string {
	for i, p := range paths {
		if !filepath.IsAbs(p) {
			paths[i] = filepath.Join(r.dir, p)
		}
	}
	return paths
}

// loads asks that FreeSWITCH would find us in the dialplan that the page told to make.
func (r reader) loads() {
	r.t.Helper()
	tree, err := dialplan.Load(r.conf, dialplan.LoadOptions{})
	if err != nil {
		r.t.Error(err)
		return
	}
	if got := tree.Contexts(); !slices.Contains(got, "public") || !slices.Contains(got, "signalbox") {
		r.t.Errorf("after the copying the dialplan has the contexts %v", got)
	}
}

var listening = regexp.MustCompile(`(^|[._])listen(\[\d+\])?$`)

// serve starts the product, on free ports, and stops it as an init system does.
func (r reader) serve(c docstest.Command, args []string) {
	r.t.Helper()
	cfg, err := config.Load(filepath.Join(r.dir, "signalbox.yaml"), nil)
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(r.t.Context(), 30*time.Second)
	defer cancel()
	command := r.command(ctx, args...)
	for _, row := range config.Keys(cfg) {
		if key, env, value := row[0], row[1], row[2]; listening.MatchString(key) && value != "" {
			network, _, found := strings.Cut(value, ":")
			if found && (network == "udp" || network == "tcp") {
				network += ":"
			} else {
				network = ""
			}
			command.Env = append(command.Env, env+"="+network+"127.0.0.1:0")
		}
	}
	logged, err := command.StderrPipe()
	if err != nil {
		r.t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		r.t.Fatal(err)
	}
	log := newLines(logged)
	log.until(r.t, "signalbox runs")
	signalTo(r.t, command, syscall.SIGTERM)
	log.rest()
	if err := command.Wait(); err != nil {
		r.t.Errorf("%v: %v", c, err)
	}
}

// TestEveryCommandHasAnExampleThatParses reads what --help of each command says.
func TestEveryCommandHasAnExampleThatParses(t *testing.T) {
	t.Parallel()
	r := newReader(t)
	root := newParser(t.Context()).Model.Node
	_ = kong.Visit(root, func(at kong.Visitable, next kong.Next) error {
		if n, ok := at.(*kong.Node); ok && n.Type == kong.CommandNode {
			r.examples(n)
		}
		return next(nil)
	})
	all := r.good("--help")
	manual, err := os.ReadFile(filepath.Join(top, "packaging", "signalbox.1"))
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range root.Leaves(false) {
		command := strings.Join(strings.Fields(n.FullPath())[1:], " ")
		listed := strings.Contains(all, "  "+command+" ")
		if !n.Hidden && !regexp.MustCompile(`(?m)^\.B (.*, )?`+command+`\b`).Match(manual) {
			t.Errorf("packaging/signalbox.1 does not know %s", command)
		}
		if listed == n.Hidden {
			t.Errorf("%s: listed by --help: %v, hidden: %v", n.Path(), listed, n.Hidden)
		}
	}
}

func (r reader) examples(n *kong.Node) {
	r.t.Helper()
	own := 0
	for line := range strings.Lines(strings.ReplaceAll(n.Detail, "\\\n", " ")) {
		words := docstest.Words(strings.TrimSpace(line))
		if !strings.HasPrefix(line, "  ") || len(words) == 0 || words[0] != "signalbox" {
			continue
		}
		if strings.HasPrefix(strings.Join(words, " ")+" ", n.FullPath()+" ") {
			own++
		}
		if err := parse(r.here(words)); err != nil {
			r.t.Errorf("%s --help: %s: %v", n.FullPath(), strings.TrimSpace(line), err)
		}
	}
	if own == 0 || !strings.Contains(n.Detail, "Example") {
		r.t.Errorf("%s --help has no example of it:\n%s", n.FullPath(), n.Detail)
	}
	if out := r.good(append(strings.Fields(n.FullPath())[1:], "--help")...); !strings.Contains(out, "Example") {
		r.t.Errorf("%s --help does not print its example:\n%s", n.FullPath(), out)
	}
}
