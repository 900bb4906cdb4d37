package packaging

import (
	"debug/elf"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// deb is the package that packaging/deb.sh has built, for this machine.
func deb(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("dpkg-deb"); err != nil {
		t.Skip("dpkg-deb is not here")
	}
	found, err := filepath.Glob(filepath.Join(top, "dist", "signalbox_*_"+output(t, "dpkg", "--print-architecture")+".deb"))
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		t.Skip("no package in dist: make deb makes it")
	}
	slices.SortFunc(found, func(a, b string) int { // the newest last
		ia, _ := os.Stat(a)
		ib, _ := os.Stat(b)
		return ia.ModTime().Compare(ib.ModTime())
	})
	return found[len(found)-1]
}

func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

func unpacked(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	output(t, "dpkg-deb", "-x", deb(t), root)
	return root
}

func TestPackageHoldsWhatAnOperatorNeeds(t *testing.T) {
	root := unpacked(t)
	for _, path := range []string{
		"usr/bin/signalbox", "lib/systemd/system/signalbox-proxy.service", "lib/systemd/system/signalbox-sidecar.service",
		"usr/lib/sysusers.d/signalbox.conf", "usr/share/man/man1/signalbox.1.gz", "usr/share/doc/signalbox/README.Debian",
		"usr/share/doc/signalbox/copyright", "usr/share/doc/signalbox/docs/configuration.md", "usr/share/doc/signalbox/examples/provision.yaml",
		"usr/share/signalbox/freeswitch-conf/dialplan/public/05_signalbox.xml", "usr/share/signalbox/freeswitch-conf/dialplan/signalbox.xml",
	} {
		if _, err := os.Stat(filepath.Join(root, path)); err != nil {
			t.Error(err)
		}
	}
	for _, folder := range []string{"freeswitch-conf", "docs", "examples"} {
		in := filepath.Join(root, "usr/share/doc/signalbox", folder)
		if folder == "freeswitch-conf" {
			in = filepath.Join(root, "usr/share/signalbox", folder)
		}
		_ = fs.WalkDir(os.DirFS(filepath.Join(top, folder)), ".", func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || filepath.Ext(path) == ".go" {
				return err
			}
			if _, err := os.Stat(filepath.Join(in, path)); err != nil {
				t.Errorf("%s is not in the package", filepath.Join(folder, path))
			}
			return nil
		})
	}
	// The operator's edits outlive an upgrade, and nothing of ours lies in FreeSWITCH's folders.
	if got := output(t, "dpkg-deb", "--info", deb(t), "conffiles"); got != "/etc/signalbox/signalbox.yaml" {
		t.Errorf("conffiles: %q", got)
	}
	for line := range strings.Lines(output(t, "dpkg-deb", "-c", deb(t))) {
		if fields := strings.Fields(line); strings.HasPrefix(fields[5], "./etc/freeswitch") || fields[1] != "root/root" {
			t.Errorf("in the package: %s", line)
		}
	}
}

func TestPackagedProgramIsStaticAndKnowsItsConfiguration(t *testing.T) {
	root := unpacked(t)
	path := filepath.Join(root, "usr/bin/signalbox")
	file, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	if libraries, err := file.ImportedLibraries(); err != nil || len(libraries) > 0 || file.Section(".interp") != nil {
		t.Errorf("the program needs %v of the machine, %v", libraries, err)
	}
	if got := output(t, path, "version"); !strings.HasPrefix(got, "signalbox ") {
		t.Errorf("version: %s", got)
	}
	c := exec.CommandContext(t.Context(), path, "check-config", "--config", filepath.Join(root, "etc/signalbox/signalbox.yaml"))
	if out, err := c.CombinedOutput(); err == nil || !strings.Contains(string(out), "event-socket.password") {
		t.Errorf("without its secrets the packaged configuration is good, or the missing one is not named: %s", out)
	}
}

func TestPackageIsTheCommits(t *testing.T) {
	fields := output(t, "dpkg-deb", "-f", deb(t))
	version := regexp.MustCompile(`(?m)^Version: (.*)$`).FindStringSubmatch(fields)
	if version == nil || !regexp.MustCompile(`^\d[\d.]*([+~][0-9A-Za-z.~+]+)?$`).MatchString(version[1]) {
		t.Fatalf("version %q", version)
	}
	output(t, "dpkg", "--validate-version", version[1])
	dates := regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d`).FindAllString(output(t, "dpkg-deb", "-c", deb(t)), -1)
	slices.Sort(dates)
	if len(slices.Compact(dates)) != 1 {
		t.Errorf("the files have several dates, so the next build has other bytes: %v", slices.Compact(dates))
	}
	program, err := os.ReadFile(filepath.Join(unpacked(t), "usr/bin/signalbox"))
	if err != nil {
		t.Fatal(err)
	}
	here, err := filepath.Abs(top)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(program), here+"/internal") {
		t.Errorf("the program knows the path %s", here)
	}
}

// TestUnitsVerifyInThePackage has systemd read the units where the package puts them.
func TestUnitsVerifyInThePackage(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not here")
	}
	root := unpacked(t)
	for _, role := range []string{"proxy", "sidecar"} {
		text := strings.ReplaceAll(unit(t, role), "/usr/bin/signalbox", filepath.Join(root, "usr/bin/signalbox"))
		path := filepath.Join(t.TempDir(), "signalbox-"+role+".service")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), analyze, "verify", "--man=no", "--recursive-errors=no", path).CombinedOutput()
		if err != nil || strings.Contains(string(out), "signalbox") {
			t.Errorf("%s: %v: %s", role, err, out)
		}
	}
}

// TestMaintainerScriptsAreShell has a shell read the scripts of the package and of the images.
func TestMaintainerScriptsAreShell(t *testing.T) {
	for _, name := range []string{"debian/postinst", "debian/prerm", "debian/postrm", "compose/freeswitch.sh"} {
		output(t, "sh", "-n", name)
	}
}
