package packaging

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
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
