package dialplan

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/signalbox/signalbox/dialplan/internal/realswitch"
)

const vanillaCases = "testdata/vanilla/cases.json.gz"

// vanillaConf finds the configuration that came with an installed FreeSWITCH, or skips the test.
func vanillaConf(t testing.TB) string {
	t.Helper()
	binary := os.Getenv("SIGNALBOX_FREESWITCH")
	if binary == "" {
		t.Skip("SIGNALBOX_FREESWITCH names no FreeSWITCH, whose own configuration this test reads")
	}
	prefix := filepath.Dir(filepath.Dir(binary))
	for _, dir := range []string{filepath.Join(prefix, "etc", "freeswitch"), filepath.Join(prefix, "conf"), "/etc/freeswitch"} {
		if _, err := os.Stat(filepath.Join(dir, "freeswitch.xml")); err == nil {
			return dir
		}
	}
	t.Skipf("no configuration beside %s", binary)
	return ""
}

// vanillaTree copies that configuration and changes what a test cannot have: the default password, which makes each call
// wait ten seconds; questions to the network; modules that are not built everywhere; SIP profiles.
func vanillaTree(t testing.TB) string {
	t.Helper()
	conf := filepath.Join(t.TempDir(), "conf")
	if err := os.CopyFS(conf, os.DirFS(vanillaConf(t))); err != nil {
		t.Fatal(err)
	}
	vars, err := os.ReadFile(filepath.Join(conf, "vars.xml"))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer("default_password=1234", "default_password=another", "domain=$${local_ip_v4}", "domain=example.test", "hold_music=local_stream://moh", "hold_music=silence_stream://-1",
		`cmd="stun-set" data="external_rtp_ip=stun:stun.freeswitch.org"`, `cmd="set" data="external_rtp_ip=127.0.0.1"`,
		`cmd="stun-set" data="external_sip_ip=stun:stun.freeswitch.org"`, `cmd="set" data="external_sip_ip=127.0.0.1"`).Replace(string(vars))
	modules := "<configuration name=\"modules.conf\"><modules>\n"
	for name := range strings.FieldsSeq("logfile event_socket commands dptools expr hash db loopback dialplan_xml conference fifo valet_parking voicemail " +
		"spandsp sndfile tone_stream native_file local_stream say_en httapi esf sofia fsv") {
		modules += "<load module=\"mod_" + name + "\"/>\n"
	}
	modules += "</modules></configuration>\n"
	for name, text := range map[string]string{"vars.xml": text, "autoload_configs/modules.conf.xml": modules,
		"autoload_configs/sofia.conf.xml": "<configuration name=\"sofia.conf\"><profiles/></configuration>\n",
		"autoload_configs/switch.conf.xml": "<configuration name=\"switch.conf\"><settings><param name=\"loglevel\" value=\"debug\"/><param name=\"max-sessions\" value=\"1000\"/>" +
			"<param name=\"sessions-per-second\" value=\"1000\"/></settings></configuration>\n"} {
		if err := os.WriteFile(filepath.Join(conf, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return conf
}

// treeHash tells one edition of the configuration from another by what a hunt depends on.
func treeHash(t testing.TB, conf string) string {
	t.Helper()
	sum := sha256.New()
	for _, part := range []string{"vars.xml", "dialplan", "directory"} {
		err := filepath.WalkDir(filepath.Join(conf, part), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			data, err := os.ReadFile(path)
			name, _ := filepath.Rel(conf, path)
			fmt.Fprintf(sum, "%s %d\n%s\n", filepath.ToSlash(name), len(data), data)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return fmt.Sprintf("%x", sum.Sum(nil)[:16])
}

// vanillaCalls are destinations in vanilla's contexts.
var vanillaCalls = []struct {
	context, destinations string
	vars                  map[string]string
}{
	{"default", "886 *8 **1001 redial 870 779 881001 *01001 *69 lcr", nil}, // before others have left something to pick up
	{"public", "5551212 1001 1019 1020 3500 3810 18005551212 nobody", nil},
	{"public", "1000 9999", map[string]string{"call_debug": "true"}},
	{"public", "1000", map[string]string{"sip_looped_call": "true"}},
	{"default", "1000 1010 1105 2000 2001 2002 operator 0 vmain 4000 *98 " +
		"8001 8101 8201 8301 81001 9000 9001 3000 3101 3201 3301 3501 3601 3701 3801 3501-screen 3501-canvas-1 6070-moderator 0911 0912 0913", nil},
	{"default", "5000 5001 pagegroup 7243 5900 5901 6001 6050 callpark park+123 parking pickup wait 9180 9181 9182 9183 9184 " +
		"9191 9192 9195 9196 9197 9664 9386 ruri 7004 15551234567 911 nobody", nil},
	{"default", "9196", map[string]string{"call_debug": "true", "rtp_has_crypto": "AES_CM_128_HMAC_SHA1_80", "endpoint_disposition": "DELAYED NEGOTIATION"}},
	{"features", "dx cf 1000 is_transfer att_xfer", nil},
	{"skinny-patterns", "1000 20 911 nobody", nil},
}

// TestVanillaEqualsRealFreeSWITCH holds Walk to what FreeSWITCH did with its own configuration. The configuration is
// FreeSWITCH's and is not kept here; the test runs where one is found that equals the measured one.
func TestVanillaEqualsRealFreeSWITCH(t *testing.T) {
	m := readMeasured(t, vanillaCases)
	conf := vanillaTree(t)
	if hash := treeHash(t, conf); hash != m.Tree {
		t.Skipf("the configuration beside %s is another edition (%s) than the one that was measured on %s", os.Getenv("SIGNALBOX_FREESWITCH"), hash, m.Version)
	}
	m.compare(t, load(t, conf, LoadOptions{Globals: m.Globals}), 80)
}

// TestVanillaOnRealFreeSWITCH asks the real one, and with -update keeps the answers.
func TestVanillaOnRealFreeSWITCH(t *testing.T) {
	conf := vanillaTree(t)
	m := measured{Tree: treeHash(t, conf)}
	for _, group := range vanillaCalls {
		for destination := range strings.FieldsSeq(group.destinations) {
			m.Cases = append(m.Cases, measuredCase{oracleCase: oracleCase{Context: group.context, Destination: destination,
				CallerIDName: "Ada Lovelace", CallerIDNumber: "1007"}, Vars: group.vars})
		}
	}
	m.measure(t, realswitch.StartTree(t, conf, func(string) {}), conf)
	if *update {
		m.write(t, vanillaCases)
	}
	m.compare(t, load(t, conf, LoadOptions{Globals: m.Globals}), 80)
}

// TestVanillaTreeLoads reads the whole configuration as it came.
func TestVanillaTreeLoads(t *testing.T) {
	dir := vanillaConf(t)
	begun := time.Now()
	tree := load(t, dir, LoadOptions{})
	t.Logf("%d files, %d contexts, in %v", len(tree.Files()), len(tree.Contexts()), time.Since(begun))
	for _, n := range tree.Notices() {
		t.Logf("%s %s", n.Kind, n)
		if strings.HasPrefix(n.Pos.File, filepath.Join(dir, "dialplan")) || strings.HasPrefix(n.Pos.File, filepath.Join(dir, "directory")) {
			t.Errorf("notice about vanilla's dialplan: %s", n)
		}
	}
}
