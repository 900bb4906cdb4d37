package dialplan_test

import (
	"encoding/xml"
	"fmt"
	"net"
	"net/textproto"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/signalbox/signalbox/dialplan/internal/realswitch"
)

const eventSocketUser = "../freeswitch-conf/directory/default/signalbox.xml"

// The user for the Event Socket has no SIP password, and mod_sofia 1.10.12 takes a user without one at any password
// (measured: REGISTER with a made-up digest got 200). Nor may a password that everybody can read here be one.
func TestTheEventSocketUserIsNoSIPUser(t *testing.T) {
	text, err := os.ReadFile(eventSocketUser)
	if err != nil {
		t.Fatal(err)
	}
	var include struct {
		Users []struct {
			ID     string `xml:"id,attr"`
			Params []struct {
				Name  string `xml:"name,attr"`
				Value string `xml:"value,attr"`
			} `xml:"params>param"`
		} `xml:"user"`
	}
	if err := xml.Unmarshal(text, &include); err != nil {
		t.Fatal(err)
	}
	if len(include.Users) != 1 || include.Users[0].ID != "signalbox" {
		t.Fatalf("users %+v", include.Users)
	}
	params := map[string]string{}
	for _, p := range include.Users[0].Params {
		params[p.Name] = p.Value
	}
	if params["allow-empty-password"] != "false" || params["auth-acl"] != "loopback.auto" {
		t.Errorf("anybody can register as signalbox: %v", params)
	}
	for _, name := range []string{"esl-password", "password", "a1-hash", "vm-password"} {
		if value, ok := params[name]; ok {
			t.Errorf("the file ships the %s %q", name, value)
		}
	}
	if !strings.Contains(string(text), `<!-- <param name="esl-password"`) {
		t.Error("the file does not show where esl-password goes")
	}
	// What the sidecar's link asks for.
	for _, name := range []string{"HEARTBEAT", "CHANNEL_HANGUP_COMPLETE", "BACKGROUND_JOB"} {
		if !strings.Contains(params["esl-allowed-events"], name) {
			t.Errorf("the link may not subscribe to %s", name)
		}
	}
	for _, name := range []string{"status", "show", "uuid_exists", "global_getvar"} {
		if !strings.Contains(","+params["esl-allowed-api"]+",", ","+name+",") {
			t.Errorf("the link may not ask %s", name)
		}
	}
}

// The same on a real FreeSWITCH: SIP is refused, the Event Socket takes the user once a password is set, and not before.
func TestTheEventSocketUserOnTheRealSwitch(t *testing.T) {
	text, err := os.ReadFile(eventSocketUser)
	if err != nil {
		t.Fatal(err)
	}
	shipped := strings.NewReplacer("<include>", "", "</include>", "").Replace(string(text))
	const commented = `<!-- <param name="esl-password" value="A-PASSWORD-OF-YOUR-OWN"/> -->`
	if !strings.Contains(shipped, commented) {
		t.Fatal("no esl-password to take out of its comment")
	}
	used := strings.Replace(shipped, commented, `<param name="esl-password" value="mine"/>`, 1)
	bare := `<user id="bare"><params><param name="esl-password" value="x"/></params></user>` // what made the two lines necessary
	fs := realswitch.StartWith(t, "", used+strings.Replace(shipped, `id="signalbox"`, `id="shipped"`, 1)+bare)
	for user, want := range map[string]string{"signalbox": "403", "shipped": "403", "bare": "200"} {
		if got := register(t, fs.Devices, user); got != want {
			t.Errorf("REGISTER as %s with a made-up digest: %s, want %s", user, got, want)
		}
	}
	for credentials, want := range map[string]bool{
		"signalbox@127.0.0.1:mine": true, "signalbox@127.0.0.1:change-me": false, "shipped@127.0.0.1:A-PASSWORD-OF-YOUR-OWN": false, "shipped@127.0.0.1:": false,
	} {
		if got := userauth(t, fs.Socket, credentials); got != want {
			t.Errorf("userauth %s: accepted %v, want %v", credentials, got, want)
		}
	}
}

// register sends a REGISTER, answers the challenge with a digest that nobody computed, and gives the last status.
func register(t *testing.T, addr, user string) string {
	t.Helper()
	conn, err := net.Dial("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	authorization, buf := "", make([]byte, 65536)
	for try := 1; ; try++ {
		_, err := fmt.Fprintf(conn, "REGISTER sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP %[1]s;branch=z9hG4bK%[2]s%[3]d\r\nMax-Forwards: 70\r\nFrom: <sip:%[2]s@127.0.0.1>;tag=1\r\n"+
			"To: <sip:%[2]s@127.0.0.1>\r\nCall-ID: %[2]s-register\r\nCSeq: %[3]d REGISTER\r\nContact: <sip:%[2]s@%[1]s>\r\n%[4]sContent-Length: 0\r\n\r\n", conn.LocalAddr(), user, try, authorization)
		if err != nil {
			t.Fatal(err)
		}
		n, err := conn.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		status := strings.Fields(string(buf[:n]))[1]
		nonce := regexp.MustCompile(`nonce="([^"]+)"`).FindSubmatch(buf[:n])
		if try == 2 || status != "401" || nonce == nil {
			return status
		}
		authorization = fmt.Sprintf("Authorization: Digest username=%q, realm=\"127.0.0.1\", nonce=%q, uri=\"sip:127.0.0.1\", response=%q, algorithm=MD5, cnonce=\"x\", qop=auth, nc=00000001\r\n",
			user, nonce[1], strings.Repeat("0", 32))
	}
}

// userauth logs in to the Event Socket as a directory user.
func userauth(t *testing.T, addr, credentials string) bool {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	c := textproto.NewConn(conn)
	if _, err := c.ReadMIMEHeader(); err != nil { // auth/request
		t.Fatal(err)
	}
	if err := c.PrintfLine("userauth %s\r\n", credentials); err != nil {
		t.Fatal(err)
	}
	reply, err := c.ReadMIMEHeader()
	if err != nil {
		t.Fatal(err)
	}
	return strings.HasPrefix(reply.Get("Reply-Text"), "+OK")
}
