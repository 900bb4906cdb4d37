package packaging

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// mostExposure is what "systemd-analyze security" may find, of 10 (worst). It was 1.2 with systemd 252.
const mostExposure = 1.5

func unit(t *testing.T, role string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("systemd", "signalbox-"+role+".service"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// setting is the last value of a key in a unit.
func setting(text, key string) string {
	all := regexp.MustCompile(`(?m)^`+key+`=(.*)$`).FindAllStringSubmatch(text, -1)
	if len(all) == 0 {
		return ""
	}
	return all[len(all)-1][1]
}

func TestUnitsDifferInWhatTheyRunOnly(t *testing.T) {
	proxy := strings.Split(unit(t, "proxy"), "\n")
	sidecar := strings.Split(unit(t, "sidecar"), "\n")
	if len(proxy) != len(sidecar) {
		t.Fatalf("%d lines and %d lines", len(proxy), len(sidecar))
	}
	for i := range proxy {
		key, _, _ := strings.Cut(proxy[i], "=")
		if proxy[i] != sidecar[i] && key != "Description" && key != "After" && key != "ExecStart" {
			t.Errorf("%q and %q", proxy[i], sidecar[i])
		}
	}
}

func TestUnitsFitTheProgram(t *testing.T) {
	for _, role := range []string{"proxy", "sidecar"} {
		text := unit(t, role)
		if got, want := setting(text, "ExecStart"), "/usr/bin/signalbox serve --config /etc/signalbox/signalbox.yaml --role "+role; got != want {
			t.Errorf("ExecStart=%s, want %s", got, want)
		}
		for key, want := range map[string]string{"Type": "notify", "User": "signalbox", "StateDirectory": "signalbox", "ExecReload": `/bin/sh -c "kill -HUP $MAINPID"`, "Restart": "on-failure"} {
			if got := setting(text, key); got != want {
				t.Errorf("%s: %s=%s, want %s", role, key, got, want)
			}
		}
		if d, err := time.ParseDuration(setting(text, "WatchdogSec")); err != nil || d < 5*time.Second {
			t.Errorf("%s: WatchdogSec: %s, %v", role, d, err)
		}
		drain, err := time.ParseDuration(checkConfig(t, filepath.Join(top, "examples", "signalbox.yaml"))["sidecar.drain"])
		if err != nil {
			t.Fatal(err)
		}
		if d, err := time.ParseDuration(setting(text, "TimeoutStopSec")); err != nil || d < drain+15*time.Second {
			t.Errorf("%s: TimeoutStopSec is %s, the drain takes up to %s: %v", role, d, drain, err)
		}
	}
	// The only folder that may be written to holds the store of the packaged configuration.
	secrets := []string{"SIGNALBOX_NODES_0_EVENT_SOCKET_PASSWORD=x", "SIGNALBOX_TOKEN_KEYS_0_SECRET=" + strings.Repeat("f", 32)}
	values := checkConfig(t, filepath.Join("debian", "signalbox.yaml"), secrets...)
	if got, want := filepath.Dir(values["store.sqlite"]), "/var/lib/"+setting(unit(t, "sidecar"), "StateDirectory"); got != want {
		t.Errorf("the packaged configuration keeps its store in %s, the unit may write to %s", got, want)
	}
}

// TestUnitsAreHardened asks systemd itself, which needs no running systemd for it.
func TestUnitsAreHardened(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not here")
	}
	for _, role := range []string{"proxy", "sidecar"} {
		path := filepath.Join("systemd", "signalbox-"+role+".service")
		out, err := exec.CommandContext(t.Context(), analyze, "security", "--offline=true", "--no-pager", path).CombinedOutput()
		m := regexp.MustCompile(`Overall exposure level for \S+: ([0-9.]+)`).FindSubmatch(out)
		if err != nil && m == nil {
			t.Fatalf("%v: %s", err, out)
		}
		exposure, err := strconv.ParseFloat(string(m[1]), 64)
		if err != nil || exposure > mostExposure {
			t.Errorf("%s: exposure %s, at most %.1f is wanted (%v)", path, m[1], mostExposure, err)
		}
		t.Logf("%s: exposure %s", path, m[1])
	}
}

// TestCredentialsDropInNamesKeysOfTheConfiguration starts the program's own check with the variables of the drop-in.
func TestCredentialsDropInNamesKeysOfTheConfiguration(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("systemd", "credentials.conf"))
	if err != nil {
		t.Fatal(err)
	}
	credentials := t.TempDir()
	var environment []string
	for _, m := range regexp.MustCompile(`(?m)^LoadCredential=(\S+):/etc/signalbox/\S+$`).FindAllStringSubmatch(string(text), -1) {
		if err := os.WriteFile(filepath.Join(credentials, m[1]), []byte(strings.Repeat(m[1], 32)+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^Environment=(\S+)$`).FindAllStringSubmatch(string(text), -1) {
		environment = append(environment, strings.ReplaceAll(m[1], "%d", credentials))
	}
	if len(environment) != 2 {
		t.Fatalf("the drop-in sets %q", environment)
	}
	checkConfig(t, filepath.Join("debian", "signalbox.yaml"), environment...)
}
