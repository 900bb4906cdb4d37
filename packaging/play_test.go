package packaging

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
)

// inside marks the test binary that runs in the network namespace.
const inside = "SIGNALBOX_PLAY_INSIDE"

// TestComposeFileIsPlayed does what an engine would: it starts the services of docker-compose.yml with the commands, addresses
// and files that stand there, in a network namespace of its own that has all the addresses, and a real FreeSWITCH with the
// vanilla configuration in place of the image's. The callers have to come through, also when the first voicemail system is
// gone. What it cannot try is the images themselves, and that each container has a network of its own.
func TestComposeFileIsPlayed(t *testing.T) {
	if os.Getenv(inside) != "" {
		play(t)
		return
	}
	if os.Getenv("SIGNALBOX_FREESWITCH") == "" || os.Getuid() != 0 {
		t.Skip("needs SIGNALBOX_FREESWITCH and root")
	}
	for _, name := range []string{"unshare", "ip", "sipp", "dnsmasq", "setpriv"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skip(err)
		}
	}
	program(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), "unshare", "--net", self, "-test.run=^TestComposeFileIsPlayed$", "-test.v")
	c.Env = append(os.Environ(), inside+"=1")
	out, err := c.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Error(err)
	}
}

// stage is the machine on which the services are started.
type stage struct {
	t       *testing.T
	project *types.Project
	dir     string
	running map[string]*exec.Cmd
}

func play(t *testing.T) {
	s := &stage{t, compose(t), t.TempDir(), map[string]*exec.Cmd{}}
	s.volumes()
	output(t, "ip", "link", "set", "lo", "up")
	for _, service := range s.project.Services {
		if n := service.Networks["lab"]; n != nil && n.Ipv4Address != "" {
			output(t, "ip", "address", "add", n.Ipv4Address+"/32", "dev", "lo")
		}
	}
	t.Cleanup(s.stopAll)
	s.run("provision")
	s.freeswitch()
	s.start("sidecar")
	s.start("proxy")
	s.healthy("sidecar")
	s.healthy("proxy")
	s.start("dns")
	s.healthy("dns")
	for _, name := range []string{"phone", "voicemail-west", "voicemail-east"} {
		s.start(name)
	}
	s.run("denied-caller")
	s.run("caller", "-m", "1")
	s.stop("voicemail-west")
	s.run("caller", "-m", "1")

	var records string
	s.until("records", func() error { // they are written behind the call's back
		if records = s.exec("sidecar", "records", "--limit", "2"); strings.Contains(records, "still open") {
			return errors.New(records)
		}
		return nil
	})
	t.Logf("records, the newest first:\n%s", records)
	answered := regexp.MustCompile(`(10\.57\.0\.\d+):5060/udp +answered`).FindAllStringSubmatch(records, -1)
	if len(answered) != 2 || answered[0][1] != "10.57.0.42" || answered[1][1] != "10.57.0.41" {
		t.Errorf("not answered by the west and then, when that was gone, by the east")
	}
}

// nobody of Debian, and who runs Signalbox's image.
const sippUser, signalboxUser = "65534", "65532"

// volumes makes what the services share: the program, which every user may read, and the folder of the store, which is the image's user's.
func (s *stage) volumes() {
	s.t.Helper()
	text, err := os.ReadFile(program(s.t))
	if err != nil {
		s.t.Fatal(err)
	}
	output(s.t, "chmod", "0711", filepath.Dir(s.dir))
	output(s.t, "install", "-d", "-o", signalboxUser, "-g", signalboxUser, filepath.Join(s.dir, "store"))
	output(s.t, "install", "-d", "-o", sippUser, "-g", sippUser, filepath.Join(s.dir, "tmp"))
	if err := os.WriteFile(filepath.Join(s.dir, "signalbox"), text, 0o755); err != nil {
		s.t.Fatal(err)
	}
}

// command is what a service runs, as the user and without the rights that its container has, with the files of its volumes in place of the container's paths.
func (s *stage) command(ctx context.Context, name string, more ...string) *exec.Cmd {
	service := s.project.Services[name]
	words := append(slices.Clone([]string(service.Entrypoint)), service.Command...)
	user, folder := sippUser, "tmp"
	switch {
	case strings.HasPrefix(service.Image, "signalbox:"):
		words = append([]string{filepath.Join(s.dir, "signalbox")}, words...)
		user, folder = signalboxUser, "store"
	case len(service.Entrypoint) == 0:
		words = append([]string{"sipp"}, words...)
	}
	words = append([]string{"setpriv", "--reuid", user, "--regid", user, "--clear-groups", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"},
		s.here(service, append(words, more...))...)
	c := exec.CommandContext(ctx, words[0], words[1:]...)
	c.Dir = filepath.Join(s.dir, folder)
	c.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"} // which is all that an engine gives
	for key, value := range service.Environment {
		c.Env = append(c.Env, key+"="+*value)
	}
	if user == signalboxUser {
		c.Env = append(c.Env, "SIGNALBOX_CONFIG="+s.here(service, []string{"/etc/signalbox/signalbox.yaml"})[0],
			"SIGNALBOX_STORE_SQLITE="+filepath.Join(s.dir, "store", "signalbox.db"))
	}
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return c
}

func (s *stage) here(service types.ServiceConfig, words []string) []string {
	out := slices.Clone(words)
	for i := range out {
		for _, v := range service.Volumes {
			if v.Type == types.VolumeTypeBind && strings.HasPrefix(out[i], v.Target) {
				out[i] = v.Source + strings.TrimPrefix(out[i], v.Target)
			}
		}
	}
	return out
}

// run runs a service to its end, which has to be a good one.
func (s *stage) run(name string, more ...string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	if out, err := s.command(ctx, name, more...).CombinedOutput(); err != nil {
		s.t.Fatalf("%s: %v: %s\n%s", name, err, out, s.logs())
	}
}

// exec is "docker compose exec SERVICE signalbox ...".
func (s *stage) exec(service string, words ...string) string {
	s.t.Helper()
	c := s.command(s.t.Context(), service)
	program := slices.Index(c.Args, filepath.Join(s.dir, "signalbox"))
	c.Args = append(slices.Clone(c.Args[:program+1]), words...)
	out, err := c.CombinedOutput()
	if err != nil {
		s.t.Fatalf("%v: %s\n%s", words, out, s.logs())
	}
	return string(out)
}

func (s *stage) start(name string) {
	s.t.Helper()
	s.spawn(name, s.command(context.Background(), name))
}

func (s *stage) spawn(name string, c *exec.Cmd) {
	s.t.Helper()
	log, err := os.Create(filepath.Join(s.dir, name+".log"))
	if err != nil {
		s.t.Fatal(err)
	}
	c.Stdout, c.Stderr = log, log
	if err := c.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.running[name] = c
}

// stop is what an engine does to stop a container: who does not end in the time that stands in the file is killed, which is said.
func (s *stage) stop(name string) {
	s.t.Helper()
	c := s.running[name]
	delete(s.running, name)
	grace := 10 * time.Second
	if configured := s.project.Services[name].StopGracePeriod; configured != nil {
		grace = time.Duration(*configured)
	}
	_ = c.Process.Signal(syscall.SIGTERM)
	kill := time.AfterFunc(grace, func() {
		s.t.Errorf("%s does not stop within %s", name, grace)
		_ = c.Process.Kill()
	})
	defer kill.Stop()
	_ = c.Wait()
}

func (s *stage) stopAll() {
	for name := range s.running {
		s.stop(name)
	}
}

func (s *stage) logs() string {
	var all bytes.Buffer
	for name := range s.running {
		text, _ := os.ReadFile(filepath.Join(s.dir, name+".log"))
		fmt.Fprintf(&all, "\n== %s\n%s", name, text[max(0, len(text)-4000):])
	}
	return all.String()
}

// healthy waits until the health check of a service is content.
func (s *stage) healthy(name string) {
	s.t.Helper()
	service := s.project.Services[name]
	test := s.here(service, service.HealthCheck.Test[1:])
	if test[0] == "/usr/bin/signalbox" {
		test[0] = filepath.Join(s.dir, "signalbox")
	}
	environment := s.command(s.t.Context(), name).Env
	s.until(name, func() error {
		c := exec.CommandContext(s.t.Context(), test[0], test[1:]...)
		c.Env = environment
		if out, err := c.CombinedOutput(); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
}

func (s *stage) until(name string, ready func() error) {
	s.t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	deadline := time.Now().Add(60 * time.Second)
	for err := ready(); err != nil; err = ready() {
		if time.Now().After(deadline) {
			s.t.Fatalf("%s: %v\n%s", name, err, s.logs())
		}
		<-tick.C
	}
}

// hookEnvironment is the environment of the image's hook.
func hookEnvironment(s *stage, service types.ServiceConfig, conf, external string) []string {
	out := []string{"FREESWITCH_CONF=" + conf, "SIGNALBOX_CONF=" + s.here(service, []string{"/signalbox/freeswitch-conf"})[0]}
	for key, value := range service.Environment {
		if key == "EXTERNAL_IP" && external != "" {
			value = &external
		}
		out = append(out, key+"="+*value)
	}
	return out
}

// freeswitch starts the real one with a copy of vanilla's configuration, which the image's hook has fitted, twice.
func (s *stage) freeswitch() {
	s.t.Helper()
	binary := os.Getenv("SIGNALBOX_FREESWITCH")
	prefix := filepath.Dir(filepath.Dir(binary))
	vanilla := ""
	for _, folder := range []string{filepath.Join(prefix, "etc", "freeswitch"), filepath.Join(prefix, "conf"), "/etc/freeswitch"} {
		if _, err := os.Stat(filepath.Join(folder, "freeswitch.xml")); err == nil && vanilla == "" {
			vanilla = folder
		}
	}
	if vanilla == "" {
		s.t.Skip("no vanilla configuration beside FreeSWITCH")
	}
	conf := filepath.Join(s.dir, "conf")
	if err := os.CopyFS(conf, os.DirFS(vanilla)); err != nil {
		s.t.Fatal(err)
	}
	service := s.project.Services["freeswitch"]
	for _, external := range []string{"192.0.2.9", ""} { // the configuration is in a volume: an address of before goes
		words := []string{"sh", s.here(service, []string{"/docker-entrypoint.d/10-signalbox.sh"})[0]}
		if busybox, err := exec.LookPath("busybox"); err == nil { // the image has no other commands than busybox's
			applets := filepath.Join(s.dir, "busybox")
			if err := os.MkdirAll(applets, 0o755); err != nil {
				s.t.Fatal(err)
			}
			output(s.t, busybox, "--install", "-s", applets)
			words = append([]string{"env", "-i", "PATH=" + applets, filepath.Join(applets, "env")}, slices.Concat(hookEnvironment(s, service, conf, external), words)...)
		} else {
			words = append(append([]string{"env"}, hookEnvironment(s, service, conf, external)...), words...)
		}
		hook := exec.CommandContext(s.t.Context(), words[0], words[1:]...)
		if out, err := hook.CombinedOutput(); err != nil {
			s.t.Fatalf("freeswitch.sh: %v: %s", err, out)
		}
	}
	for name, want := range map[string]string{
		"autoload_configs/switch.conf.xml": "\n    <param name=\"rtp-start-port\" value=\"16384\"/>\n    <param name=\"rtp-end-port\" value=\"16403\"/>\n",
		"vars.xml":                         "cmd=\"set\" data=\"external_rtp_ip=10.57.0.20\"/>",
	} {
		if text, err := os.ReadFile(filepath.Join(conf, name)); err != nil || strings.Count(string(text), want) != 1 || strings.Contains(string(text), "stun-set") {
			s.t.Errorf("freeswitch.sh left %s without %q, or with a STUN server (%v)", name, want, err)
		}
	}
	args := []string{"-nonat", "-nf", "-nc", "-np", "-conf", conf}
	for _, folder := range []string{"log", "db", "run"} {
		if err := os.MkdirAll(filepath.Join(s.dir, folder), 0o700); err != nil {
			s.t.Fatal(err)
		}
		args = append(args, "-"+folder, filepath.Join(s.dir, folder))
	}
	s.spawn("freeswitch", exec.CommandContext(context.Background(), binary, args...))
	s.until("freeswitch", func() error {
		for _, address := range []string{"127.0.0.1:8021", "10.57.0.20:5080"} {
			conn, err := net.DialTimeout("tcp", address, time.Second)
			if err != nil {
				return err
			}
			_ = conn.Close()
		}
		return nil
	})
}
