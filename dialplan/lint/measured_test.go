package lint

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/signalbox/signalbox/dialplan/internal/realswitch"
)

// claim is what a finding says happens, tried on a FreeSWITCH: a call to a number, and the marks that its actions leave.
type claim struct {
	rule, number string
	dialplan     string // of context public
	behind       string // further contexts
	marks        []string
	cause        string // of the failed call, or the status line it ends with on SIP; "" = not looked at
}

func mark(name string) string { return do("log", "NOTICE M-"+name) }

func on(number string) string {
	return `<condition field="destination_number" expression="^` + number + `$">`
}

// claims: the extensions of one do not take the calls of another. The last ends every hunt.
var claims = []claim{
	{"actions-after-end", "101", `<extension name="x101">` + on("101") + mark("a") + hangup + mark("b") + `</condition></extension>`, "", []string{"a"}, ""},
	{"actions-after-end", "102", `<extension name="x102">` + on("102") + mark("a") + do("transfer", "elsewhere XML other") + mark("b") + `</condition></extension>`, "", []string{"a", "other"}, ""},
	{"actions-after-end", "103", `<extension name="x103">` + on("103") + mark("a") + do("respond", "404") + mark("b") + `</condition></extension>`, "", []string{"a"}, "SIP/2.0 404"},
	{"actions-after-end", "104", `<extension name="x104">` + on("104") + mark("a") + do("redirect", "sip:a@192.0.2.1") + mark("b") + `</condition></extension>`, "", []string{"a"}, "SIP/2.0 302"},
	{"continue-useless", "105", `<extension name="x105" continue="true">` + on("105") + hangup + `</condition></extension><extension name="y105">` + on("105") + mark("b") + `</condition></extension>`, "", nil, ""},
	{"application-misspelt", "107", `<extension name="x107">` + on("107") + do("anwser", "") + mark("b") + `</condition></extension>`, "", nil, "DESTINATION_OUT_OF_ORDER"},
	{"bridge-fallback", "108", `<extension name="x108">` + on("108") + do("bridge", "error/user_busy") + mark("b") + `</condition></extension>`, "", nil, "USER_BUSY"},
	{"bridge-fallback", "109", `<extension name="x109">` + on("109") + do("set", "continue_on_fail=true") + do("bridge", "error/user_busy") + mark("b") + hangup + `</condition></extension>`, "", []string{"b"}, ""},
	{"capture-missing", "110", `<extension name="x110">` + on("110") + mark("<$1>") + hangup + `</condition></extension>`, "", []string{"<$1>"}, ""},
	{"capture-missing", "111", `<extension name="x111"><condition field="destination_number" expression="^(1)11$">` + mark("<$2>") + hangup + `</condition></extension>`, "", []string{"<>"}, ""},
	{"capture-missing", "112", `<extension name="x112">` + on("112") + `</condition><condition field="caller_id_name" expression="^(nobody)$"><anti-action application="log" data="NOTICE M-$1"/><anti-action application="hangup"/></condition></extension>`, "", []string{"$1"}, ""},
	{"condition-without-field", "113", `<extension name="x113">` + on("113") + `</condition><condition expression="^never$">` + mark("a") + hangup + `</condition></extension>`, "", []string{"a"}, ""},
	{"conditions-exclude", "114", `<extension name="x114">` + on("114") + mark("a") + `</condition><condition field="destination_number" expression="^115$">` + mark("b") + `</condition></extension>`, "", []string{"a"}, ""},
	{"context-missing", "116", `<extension name="x116">` + on("116") + do("transfer", "1 XML nowhere") + `</condition></extension>`, "", nil, "NO_ROUTE_DESTINATION"},
	{"escaped-quote", "117", `<extension name="x117">` + on("117") + do("log", `NOTICE M-it\'s`) + mark("b") + hangup + `</condition></extension>`, "", []string{"b"}, ""},
	{"extension-unreachable", "118", `<extension name="x118"><condition field="destination_number" expression="^11[8]$"/></extension><extension name="y118">` + on("118") + mark("b") + `</condition></extension>`, "", nil, ""},
	{"extension-without-condition", "119", `<extension name="x119">` + mark("a") + `</extension><extension name="y119">` + on("119") + mark("b") + hangup + `</condition></extension>`, "", []string{"b"}, ""},
	{"field-unknown", "120", `<extension name="x120">` + on("120") + do("set", "mine=1") + `</condition><condition field="sip_from_user" expression="^$">` + mark("empty") + hangup + `</condition></extension>`, "", []string{"empty"}, ""},
	{"group-limit", "121", `<extension name="x121"><condition field="destination_number" expression="^(1)(2)(1)()()()()()()()$">` + mark("a") + hangup + `</condition></extension><extension name="y121">` + on("121") + mark("b") + hangup + `</condition></extension>`, "", []string{"b"}, ""},
	{"inline-refused", "122", `<extension name="x122">` + on("122") + `<action application="hangup" inline="true"/>` + mark("b") + hangup + `</condition></extension>`, "", []string{"b"}, ""},
	{"pattern-invalid", "123", `<extension name="x123"><condition field="destination_number" expression="^+123$">` + mark("a") + `</condition></extension><extension name="y123">` + on("123") + mark("b") + hangup + `</condition></extension>`, "", []string{"b"}, ""},
	{"stray-element", "124", `<extension name="x124">` + on("124") + `<acton application="log" data="NOTICE M-a"/>` + mark("b") + hangup + `</condition></extension>`, "", []string{"b"}, ""},
	{"variable-too-early", "125", `<extension name="x125" continue="true">` + on("125") + do("set", "night=true") + `</condition></extension><extension name="y125">` + on("125") + `</condition><condition field="${night}" expression="^true$">` + mark("a") + `</condition></extension><extension name="z125">` + on("125") + mark("<${night}>") + hangup + `</condition></extension>`, "", []string{"<true>"}, ""},
	{"unknown-attribute", "126", `<extension name="x126">` + on("126") + `</condition><condition field="caller_id_name" expression="^nobody$" break="false">` + mark("a") + `</condition><condition>` + mark("c") + `</condition></extension><extension name="y126">` + on("126") + mark("b") + hangup + `</condition></extension>`, "", []string{"b"}, ""},
	{"pattern-unanchored", "9912799", `<extension name="x127"><condition field="destination_number" expression="127">` + mark("a") + hangup + `</condition></extension>`, "", []string{"a"}, ""},
	{"dropped-line", "128", "\n<include><extension name=\"x128\">" + on("128") + mark("a") + hangup + "</condition></extension></include>\n<extension name=\"y128\">" + on("128") + mark("b") + hangup + `</condition></extension>`, "", []string{"b"}, ""},
	{"preprocess-in-comment", "129", "\n<!-- <X-PRE-PROCESS cmd=\"set\" data=\"lint_global=set\"/> -->\n<extension name=\"x129\">" + on("129") + mark("<$${lint_global}>") + hangup + `</condition></extension>`, "", []string{"<set>"}, ""},
	{"global-undefined", "130", "\n<extension name=\"x130\">" + on("130") + mark("<$${lint_nobody}>") + hangup + `</condition></extension>`, "", []string{"<>"}, ""},
	{"context-duplicate", "131", `<extension name="x131">` + on("131") + mark("first") + hangup + `</condition></extension>`, `<context name="public"><extension name="y131">` + on("131") + mark("second") + hangup + `</condition></extension></context>`, []string{"first"}, ""},
	{"anti-action-ends-hunt", "106", `<extension name="x106"><condition field="destination_number" expression="^(?!106$)"><anti-action application="log" data="NOTICE M-anti"/></condition></extension><extension name="y106">` + on("106") + mark("b") + `</condition></extension>`, "", []string{"anti"}, ""},
}

// everyClaim is the dialplan of all claims.
func everyClaim() string {
	var b strings.Builder
	b.WriteString("<context name=\"other\"><extension name=\"elsewhere\"><condition field=\"destination_number\" expression=\"^elsewhere$\">" + mark("other") + hangup + "</condition></extension></context>\n<context name=\"public\">\n")
	for _, c := range claims {
		b.WriteString(c.dialplan + "\n")
	}
	b.WriteString("</context>\n")
	for _, c := range claims {
		b.WriteString(c.behind)
	}
	return b.String()
}

// What findings say happens, happens. Needs a FreeSWITCH.
func TestClaimsOnTheRealSwitch(t *testing.T) {
	fs := realswitch.Start(t, everyClaim())
	marks := regexp.MustCompile(`(?m)\] mod_dptools\.c:\d+ M-(.*)$`)
	for _, c := range claims {
		info, err := os.Stat(fs.LogFile)
		if err != nil {
			t.Fatal(err)
		}
		answer := ""
		if strings.HasPrefix(c.cause, "SIP/2.0 ") {
			answer = invite(t, fs.SIP, c.number)
			fs.API("status")
		} else {
			answer = strings.TrimSpace(fs.API("originate {originate_timeout=5}loopback/" + c.number + "/public &hangup()"))
		}
		var got []string
		for _, m := range marks.FindAllStringSubmatch(fs.Log(info.Size()), -1) {
			got = append(got, m[1])
		}
		if !slices.Equal(got, c.marks) || !strings.Contains(answer, c.cause) {
			t.Errorf("%s, %s: marks %q and %q, want %q and %q", c.rule, c.number, got, answer, c.marks, c.cause)
		}
	}
	t.Logf("FreeSWITCH %s", fs.Version())
}

// invite calls a number and returns the final response's status line, after having acknowledged it.
func invite(t *testing.T, addr, number string) string {
	t.Helper()
	conn, err := net.Dial("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	here := conn.LocalAddr().(*net.UDPAddr)
	sdp := fmt.Sprintf("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio %d RTP/AVP 0\r\n", here.Port+1)
	head := func(method, to string) string {
		return fmt.Sprintf("%[1]s sip:%[2]s@%[3]s SIP/2.0\r\nVia: SIP/2.0/UDP %[4]s;branch=z9hG4bK%[2]s\r\nMax-Forwards: 70\r\nFrom: <sip:caller@%[4]s>;tag=1\r\nTo: %[5]s\r\n"+
			"Call-ID: lint-%[2]s@%[4]s\r\nCSeq: 1 %[1]s\r\nContact: <sip:caller@%[4]s>\r\n", method, number, addr, here, to)
	}
	if _, err := fmt.Fprintf(conn, "%sContent-Type: application/sdp\r\nContent-Length: %d\r\n\r\n%s", head("INVITE", fmt.Sprintf("<sip:%s@%s>", number, addr)), len(sdp), sdp); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 65536)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		status, rest, _ := strings.Cut(string(buf[:n]), "\r\n")
		if strings.HasPrefix(status, "SIP/2.0 1") {
			continue
		}
		_, to, _ := strings.Cut(rest, "\r\nTo: ")
		to, _, _ = strings.Cut(to, "\r\n")
		_, _ = fmt.Fprintf(conn, "%sContent-Length: 0\r\n\r\n", head("ACK", to))
		return status
	}
}

// A comment with "--" inside: the tree is refused, and what was loaded before stays.
func TestRefusedXMLOnTheRealSwitch(t *testing.T) {
	fs := realswitch.Start(t, `<context name="public"><extension name="a"><condition>`+hangup+`</condition></extension></context>`)
	dir := strings.TrimSpace(fs.API("global_getvar conf_dir"))
	path := filepath.Join(dir, "freeswitch.xml")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	broken := strings.Replace(string(text), `<context name="public">`, "<!-- a -- b -->\n<context name=\"replaced\">", 1)
	if err := os.WriteFile(path, []byte(broken), 0o600); err != nil {
		t.Fatal(err)
	}
	if answer := fs.API("reloadxml"); !strings.Contains(answer, "unclosed <!--") {
		t.Errorf("reloadxml: %s", answer)
	}
	if answer := fs.API("xml_locate dialplan context name public"); !strings.Contains(answer, `<extension name="a">`) {
		t.Errorf("the old tree is gone: %s", answer)
	}
}

// Every claim on the real switch is one that lint makes of the same dialplan, so that neither goes without the other.
func TestLintSaysWhatIsClaimed(t *testing.T) {
	for _, c := range claims {
		r := check(t, "<document>\n<section name=\"dialplan\">\n<context name=\"other\"/>\n<context name=\"public\">\n"+c.dialplan+"\n</context>\n"+c.behind+"</section>\n</document>\n")
		found := slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Rule == c.rule })
		if right := c.number == "109"; found == right { // the one that shows how it is done
			t.Errorf("%s, %s: found %v in %s", c.rule, c.number, found, fmt.Sprint(ids(r)))
		}
	}
}

// Vanilla, as it is installed with a FreeSWITCH: one action of it is an error (the conference of "conf mod" is called
// $1-DOMAIN), and nothing in context public is even a warning.
func TestVanillaHasOneRealFault(t *testing.T) {
	binary := os.Getenv("SIGNALBOX_FREESWITCH")
	if binary == "" {
		t.Skip("SIGNALBOX_FREESWITCH names no FreeSWITCH binary")
	}
	conf := filepath.Join(filepath.Dir(filepath.Dir(binary)), "etc", "freeswitch")
	if _, err := os.Stat(filepath.Join(conf, "vars.xml")); err != nil {
		t.Skipf("no vanilla tree at %s", conf)
	}
	r, err := Check(conf, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var errs []string
	for _, f := range r.Findings {
		if f.Severity == Error {
			errs = append(errs, f.Rule+" in "+f.Extension)
		}
		if f.Context == "public" {
			t.Errorf("%s: %s %s", f.Pos, f.Rule, f.What)
		}
	}
	if !slices.Equal(errs, []string{"capture-missing in conf mod"}) {
		t.Errorf("errors %q", errs)
	}
	if r.Extensions < 80 {
		t.Errorf("only %d extensions", r.Extensions)
	}
}
