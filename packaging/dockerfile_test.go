package packaging

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/patternmatcher"
)

// stages reads a Dockerfile as BuildKit does, and fails on whatever its linter has to say.
func stages(t *testing.T, name string) []instructions.Stage {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("docker", name))
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := parser.Parse(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range parsed.Warnings {
		t.Errorf("%s: %s", name, w.Short)
	}
	lint := linter.New(&linter.Config{Warn: func(rule, _, _, msg string, _ []parser.Range) { t.Errorf("%s: %s: %s", name, rule, msg) }})
	all, _, err := instructions.Parse(parsed.AST, lint)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestImagesHaveExactTagsAndRunWithoutRights(t *testing.T) {
	for _, name := range []string{"Dockerfile", "sipp.Dockerfile"} {
		all := stages(t, name)
		for _, s := range all {
			if _, tag, _ := strings.Cut(s.BaseName, ":"); tag == "" || tag == "latest" {
				t.Errorf("%s: %s has no exact tag", name, s.BaseName)
			}
		}
		user := ""
		for _, c := range all[len(all)-1].Commands {
			if u, ok := c.(*instructions.UserCommand); ok {
				user = u.User
			}
		}
		if user == "" || user == "root" || strings.HasPrefix(user, "0") {
			t.Errorf("%s: the last stage runs as %q", name, user)
		}
	}
}

func TestWhatTheImageCopiesIsThere(t *testing.T) {
	ignored, err := os.ReadFile(filepath.Join("docker", "Dockerfile.dockerignore"))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range stages(t, "Dockerfile") {
		for _, c := range s.Commands {
			copied, ok := c.(*instructions.CopyCommand)
			if !ok || copied.From != "" {
				continue
			}
			for _, source := range copied.SourcePaths {
				if _, err := os.Stat(filepath.Join(top, source)); err != nil {
					t.Errorf("COPY %s: %v", source, err)
				}
				if slices.Contains(strings.Fields(string(ignored)), strings.TrimSuffix(source, "/")) {
					t.Errorf("COPY %s: it is in Dockerfile.dockerignore", source)
				}
			}
		}
	}
}

// TestTheProgramIsNotItsOwn: in the last stage only the store's folder is the user's, who could change the program otherwise.
func TestTheProgramIsNotItsOwn(t *testing.T) {
	all := stages(t, "Dockerfile")
	state := false
	for _, c := range all[len(all)-1].Commands {
		copied, ok := c.(*instructions.CopyCommand)
		if !ok {
			continue
		}
		if copied.DestPath == "/" {
			t.Error("a COPY onto / gives the folders of the base image other owners")
		}
		if copied.Chown != "" && copied.DestPath != "/var/lib/signalbox" {
			t.Errorf("%s is %s's", copied.DestPath, copied.Chown)
		}
		state = state || copied.DestPath == "/var/lib/signalbox" && copied.Chown == "65532:65532"
	}
	if !state {
		t.Error("the store's folder is not the user's: a new volume has the owner of the image's folder")
	}
}

// TestNothingThatIsBuiltIsLeftOut: no file of the program's packages, and none that is embedded, is kept from the build.
func TestNothingThatIsBuiltIsLeftOut(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("docker", "Dockerfile.dockerignore"))
	if err != nil {
		t.Fatal(err)
	}
	ignored, err := patternmatcher.New(strings.Fields(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	here, err := filepath.Abs(top)
	if err != nil {
		t.Fatal(err)
	}
	list := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f",
		`{{if .Module}}{{if .Module.Main}}{{$d := .Dir}}{{range .GoFiles}}{{$d}}/{{.}}{{"\n"}}{{end}}{{range .EmbedFiles}}{{$d}}/{{.}}{{"\n"}}{{end}}{{end}}{{end}}`, "./cmd/signalbox")
	list.Dir = here
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	files := strings.Fields(string(out))
	if len(files) < 300 {
		t.Fatalf("only %d files: the list is broken", len(files))
	}
	for _, file := range append(files, filepath.Join(here, "go.mod"), filepath.Join(here, "go.sum")) {
		rel, err := filepath.Rel(here, file)
		if err != nil {
			t.Fatal(err)
		}
		if out, err := ignored.MatchesOrParentMatches(filepath.ToSlash(rel)); out || err != nil {
			t.Errorf("%s is in Dockerfile.dockerignore (%v)", rel, err)
		}
	}
}

// TestImageBuildsWithTheGoOfTheModule holds the image's Go at least as new as go.mod's.
func TestImageBuildsWithTheGoOfTheModule(t *testing.T) {
	module, err := os.ReadFile(filepath.Join(top, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	want := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(string(module))[1]
	if got := stages(t, "Dockerfile")[0].BaseName; !strings.HasPrefix(got, "golang:"+want+".") {
		t.Errorf("the image is built with %s, go.mod asks for Go %s", got, want)
	}
}

func TestImageExposesWhatTheProgramListensOn(t *testing.T) {
	all := stages(t, "Dockerfile")
	var exposed []string
	health := false
	for _, c := range all[len(all)-1].Commands {
		switch c := c.(type) {
		case *instructions.ExposeCommand:
			exposed = append(exposed, c.Ports...)
		case *instructions.HealthCheckCommand:
			health = slices.Equal(c.Health.Test, []string{"CMD", "/usr/bin/signalbox", "health"})
		}
	}
	if !health {
		t.Error("the image's health check is not the program's own")
	}
	slices.Sort(exposed)
	var listens []string
	values := checkConfig(t, filepath.Join(top, "examples", "signalbox.yaml"))
	for key, value := range values {
		network, addr, found := strings.Cut(value, ":")
		switch {
		case strings.HasPrefix(key, "proxy.listen") && found:
			listens = append(listens, addr[strings.LastIndex(addr, ":")+1:]+"/"+network)
		case strings.HasSuffix(key, "listen") && value != "":
			listens = append(listens, value[strings.LastIndex(value, ":")+1:]+"/tcp")
		}
	}
	slices.Sort(listens)
	if !slices.Equal(exposed, listens) {
		t.Errorf("the image exposes %v, the program listens on %v", exposed, listens)
	}
}
