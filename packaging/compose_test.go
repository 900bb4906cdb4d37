package packaging

import (
	"context"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

// top is the checkout.
const top = ".."

// compose reads docker-compose.yml as the compose plugin does: schema, interpolation, dependencies.
func compose(t *testing.T) *types.Project {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{filepath.Join(top, "docker-compose.yml")}, cli.WithDefaultProfiles("*"), cli.WithInterpolation(true))
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return project
}

func TestComposeFileIsSound(t *testing.T) {
	p := compose(t)
	subnet := netip.MustParsePrefix(p.Networks["lab"].Ipam.Config[0].Subnet)
	addresses := map[string]string{}
	for name, s := range p.Services {
		if _, tag, _ := strings.Cut(s.Image, ":"); tag == "" || tag == "latest" {
			t.Errorf("%s: image %q has no exact tag", name, s.Image)
		}
		for _, v := range s.Volumes {
			if v.Type != types.VolumeTypeBind {
				continue
			}
			if _, err := os.Stat(v.Source); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if !v.ReadOnly {
				t.Errorf("%s: %s is not mounted read-only", name, v.Source)
			}
		}
		if s.Build != nil {
			if _, err := os.Stat(filepath.Join(s.Build.Context, s.Build.Dockerfile)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if n := s.Networks["lab"]; n != nil && n.Ipv4Address != "" {
			if !subnet.Contains(netip.MustParseAddr(n.Ipv4Address)) {
				t.Errorf("%s: %s is not in %s", name, n.Ipv4Address, subnet)
			}
			if other := addresses[n.Ipv4Address]; other != "" {
				t.Errorf("%s and %s have one address", name, other)
			}
			addresses[n.Ipv4Address] = name
		}
		for dependency, how := range s.DependsOn {
			if how.Condition == types.ServiceConditionHealthy && p.Services[dependency].HealthCheck == nil {
				t.Errorf("%s waits for %s to be healthy, which has no health check", name, dependency)
			}
		}
	}
	for _, name := range []string{"freeswitch", "proxy", "sidecar", "postgres"} {
		if p.Services[name].HealthCheck == nil {
			t.Errorf("%s has no health check", name)
		}
	}
}

// TestComposeSharesALoopback holds the rule that hosts in FreeSWITCH's socket application are local.
func TestComposeSharesALoopback(t *testing.T) {
	if got := compose(t).Services["sidecar"].NetworkMode; got != "service:freeswitch" {
		t.Errorf("the sidecar's network is %q, not FreeSWITCH's own", got)
	}
}

// TestComposeFitsItsConfiguration asks the program itself what counts, and compares addresses and ports.
func TestComposeFitsItsConfiguration(t *testing.T) {
	p := compose(t)
	values := checkConfig(t, filepath.Join("compose", "signalbox.yaml"))
	address := func(service string) string { return p.Services[service].Networks["lab"].Ipv4Address }
	for key, want := range map[string]string{
		"nodes[0].sip":               address("freeswitch") + ":5080",
		"nodes[0].event_socket.addr": "127.0.0.1:8021",
		"proxy.listen[0]":            "udp:" + address("proxy") + ":5090",
		"sidecar.listen":             "127.0.0.1:8084",
		"dns.servers":                "[" + address("dns") + ":5353]",
		"store.sqlite":               "/var/lib/signalbox/signalbox.db",
	} {
		got := values[key]
		if key == "dns.servers" {
			got = "[" + values["dns.servers[0]"] + "]"
		}
		if got != want {
			t.Errorf("%s is %q, docker-compose.yml says %q", key, got, want)
		}
	}
	callers := netip.MustParsePrefix(values["proxy.trunks[0].prefixes[0]"])
	for _, name := range []string{"caller", "denied-caller"} {
		if !callers.Contains(netip.MustParseAddr(address(name))) {
			t.Errorf("%s calls from %s, which is no trunk's", name, address(name))
		}
		if got := p.Services[name].Command[0]; got != address("proxy")+":5090" {
			t.Errorf("%s calls %s", name, got)
		}
	}
	dns := strings.Join(p.Services["dns"].Command, " ")
	for _, name := range []string{"voicemail-west", "voicemail-east"} {
		if !strings.Contains(dns, ","+address(name)) {
			t.Errorf("the DNS does not know %s", address(name))
		}
	}
	provision, err := os.ReadFile(filepath.Join("compose", "provision.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(provision), "host: "+address("phone")+",") {
		t.Errorf("provision.yaml does not know the phone's address %s", address("phone"))
	}
	environment := p.Services["freeswitch"].Environment
	if got := *environment["FREESWITCH_ADDRESS"]; got != address("freeswitch") {
		t.Errorf("FREESWITCH_ADDRESS is %s", got)
	}
	text, err := os.ReadFile(filepath.Join("compose", "signalbox.yaml"))
	if err != nil || !strings.Contains(string(text), "password: "+*environment["EVENT_SOCKET_PASSWORD"]+" ") {
		t.Errorf("FreeSWITCH and signalbox.yaml have two passwords (%v)", err)
	}
}

// TestComposeFitsImagesThatAreNotOurs: what is started in them exists there, whatever shell they name.
func TestComposeFitsImagesThatAreNotOurs(t *testing.T) {
	p := compose(t)
	for name, s := range p.Services {
		if s.HealthCheck != nil && len(s.HealthCheck.Test) > 0 && s.HealthCheck.Test[0] == "CMD-SHELL" {
			t.Errorf("%s: CMD-SHELL is run by the shell that the image names, which FreeSWITCH's has not: write CMD and the shell", name)
		}
		if shared, ok := strings.CutPrefix(s.NetworkMode, "service:"); ok && !s.DependsOn[shared].Restart {
			t.Errorf("%s lives in the network of %s and is not restarted with it: it would keep a network that nobody else has", name, shared)
		}
		if s.ReadOnly && !slices.ContainsFunc(s.Tmpfs, func(path string) bool { return path == "/tmp" }) {
			t.Errorf("%s is read-only and has no /tmp", name)
		}
		for dependency, how := range s.DependsOn {
			if len(p.Services[dependency].Profiles) > 0 && how.Required {
				t.Errorf("%s needs %s, which is in a profile and does not start by itself", name, dependency)
			}
		}
	}
}

// TestComposeHasOneStore: whoever reads or writes the store is told of PostgreSQL in one way, and reaches it.
func TestComposeHasOneStore(t *testing.T) {
	p := compose(t)
	for _, name := range []string{"sidecar", "proxy", "provision"} {
		s := p.Services[name]
		if dsn := s.Environment["SIGNALBOX_STORE_POSTGRES_DSN"]; dsn == nil || *dsn != "" {
			t.Errorf("%s has the DSN %v without one in the environment of docker compose", name, dsn)
		}
		network := s
		if shared, ok := strings.CutPrefix(s.NetworkMode, "service:"); ok {
			network = p.Services[shared]
		}
		if _, ok := network.Networks["lab"]; !ok {
			t.Errorf("%s does not reach the database", name)
		}
	}
	if values := checkConfig(t, filepath.Join("compose", "signalbox.yaml"), "SIGNALBOX_STORE_POSTGRES_DSN="); values["store.sqlite"] == "" {
		t.Error("an empty DSN is not SQLite")
	}
}

// TestComposeGivesADrainItsTime: Docker kills after stop_grace_period, systemd after TimeoutStopSec.
func TestComposeGivesADrainItsTime(t *testing.T) {
	grace := compose(t).Services["sidecar"].StopGracePeriod
	if grace == nil || grace.String() != "60s" && grace.String() != "1m0s" {
		t.Errorf("stop_grace_period of the sidecar is %v, in the unit it is 60 s", grace)
	}
	// A proxy ends what is under way, 4 s at most, before and behind its listeners.
	if grace := compose(t).Services["proxy"].StopGracePeriod; grace == nil || time.Duration(*grace) < 15*time.Second {
		t.Errorf("stop_grace_period of the proxy is %v", grace)
	}
}

// checkConfig asks the program what counts in a configuration: key -> value.
func checkConfig(t *testing.T, path string, environment ...string) map[string]string {
	t.Helper()
	c := exec.CommandContext(t.Context(), program(t), "check-config", "--config", path)
	c.Env = append(os.Environ(), environment...)
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %s", path, out)
	}
	values := map[string]string{}
	for line := range strings.Lines(string(out)) {
		if fields := strings.Fields(line); len(fields) >= 2 {
			i := slices.IndexFunc(fields, func(f string) bool { return strings.HasPrefix(f, "SIGNALBOX_") })
			switch {
			case i == 1 && len(fields) > 2:
				values[fields[0]] = strings.Join(fields[2:], " ")
			case i > 1:
				values[fields[0]] = strings.Join(fields[1:i], " ")
			}
		}
	}
	return values
}

// program is bin/signalbox, which scripts/check.sh has built.
func program(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(top, "bin", "signalbox"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Skipf("%v: make build makes it", err)
	}
	return path
}
