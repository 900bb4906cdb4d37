package e2e

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/signalbox/signalbox/esl"
	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/config"
	"github.com/signalbox/signalbox/internal/doctor"
	"github.com/signalbox/signalbox/internal/lab"
)

// TestRealDirectory has a real FreeSWITCH ask Signalbox for phones; the simulator has no mod_xml_curl.
func TestRealDirectory(t *testing.T) { onFreeSWITCH(t, directory(t)) }

const (
	phonePassword     = "of-the-phone:%41&\"<>"
	directoryPassword = "0123456789abcdef-lab"
	directoryWait     = time.Second // mod_xml_curl's timeout
)

// ours is the user that only Signalbox knows as the phone of a number.
func ours(s *lab.Stage) string { return "ours" + s.Number[len(s.Number)-3:] }

func a1Hash(user, domain, password string) string {
	sum := md5.Sum([]byte(user + ":" + domain + ":" + password))
	return hex.EncodeToString(sum[:])
}

// hostileName is what FreeSWITCH would obey, were it written into an answer as it stands.
const hostileName = `<X-PRE-PROCESS cmd="set" data="obeyed=1"/><!--#set obeyed=1-->$${domain} ${system(touch /obeyed)} O'Brien & Söhne`

func directory(t *testing.T) chapter {
	addr, err := lab.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	accounts := map[string]string{}
	line := lab.Line{Phone: lab.PhoneRegistered}
	return chapter{
		acts: []act{
			{
				{Name: "directory-registers", Title: "A phone that only Signalbox knows registers with its password, and with no other; a call reaches it.", Line: line, Play: playDirectory},
				{Name: "directory-hostile-name", Title: "A subscriber's name that FreeSWITCH would obey stays a name.", Line: line, Play: playHostileName},
				{Name: "directory-new-password", Title: "A password that is changed counts from the next look-up.", Line: line,
					Play: func(ctx context.Context, s *lab.Stage) { playNewPassword(ctx, s, accounts[s.Number]) }},
				{Name: "directory-own-files", Title: "Users of FreeSWITCH's own files register as ever.", Line: line, Play: playOwnFiles},
			},
			{{Name: "directory-store-gone", Title: "The database is gone: phones that registered before register again.", Alone: true, Line: line, Play: playStoreGone}},
			{{Name: "directory-sidecar-frozen", Title: "Signalbox is frozen, and killed: FreeSWITCH goes on with what it kept, and with its own files.", Alone: true, Line: line, Play: playSidecarFrozen}},
		},
		configure: func(yaml string) string {
			return yaml + fmt.Sprintf("directory: {listen: %q, password: %s, freeswitch_cache: 10m}\n", addr, directoryPassword)
		},
		files: func(files lab.Dropins, _ map[string]*lab.Stage) {
			files["autoload_configs/post_load_modules.conf.xml"] = `<configuration name="post_load_modules.conf"><modules><load module="mod_xml_curl"/></modules></configuration>`
			files["autoload_configs/xml_curl.conf.xml"] = fmt.Sprintf(`<configuration name="xml_curl.conf"><bindings><binding name="signalbox">
<param name="gateway-url" value="http://%s/directory" bindings="directory"/>
<param name="gateway-credentials" value="freeswitch:%s"/>
<param name="auth-scheme" value="basic"/>
<param name="timeout" value="%d"/>
</binding></bindings></configuration>
`, addr, directoryPassword, int(directoryWait.Seconds()))
		},
		after: func(ctx context.Context, t *testing.T, rig *lab.Rig) {
			c, err := config.Load(rig.Config(), nil)
			if err != nil {
				t.Fatal(err)
			}
			at := rig.At()
			report := doctor.Examine(ctx, doctor.Options{Target: doctor.Target{Addr: at.EventSocket, Password: at.Password, SIP: at.External}, Config: c})
			if !slices.ContainsFunc(report.Checks, func(c doctor.Check) bool { return c.Name == "directory" && c.Status == doctor.OK }) {
				t.Errorf("the doctor does not see that phones are asked for: %+v", report.Checks)
			}
		},
		provision: func(d *account.Document, stages map[string]*lab.Stage) {
			for name, s := range stages {
				for i := range d.Numbers {
					if n := &d.Numbers[i]; n.Number == s.Number && name != "directory-own-files" {
						accounts[n.Number] = n.Account
						n.Devices[0].User = ours(s)
						n.Devices[0].A1Hash = a1Hash(ours(s), n.Devices[0].Host, phonePassword)
						if name == "directory-hostile-name" {
							d.Accounts[i].Name = hostileName
						}
					}
				}
			}
		},
	}
}

// forgets has the switch forget what it kept of the story's phone.
func forgets(ctx context.Context, s *lab.Stage) {
	_, err := s.Rig.API(ctx, fmt.Sprintf("xml_flush_cache id %s %s", ours(s), s.Rig.At().Domain))
	s.Must(err)
}

func refused(ctx context.Context, s *lab.Stage, user, password string) {
	err := s.RegisterAs(ctx, user, password, 300)
	s.Check(err != nil && strings.Contains(err.Error(), " 403 "), "registering as %s: %v, want 403", user, err)
}

func playDirectory(ctx context.Context, s *lab.Stage) {
	refused(ctx, s, ours(s), "1234")
	refused(ctx, s, ours(s), "")
	refused(ctx, s, "nobody-knows", phonePassword)
	s.Tell("with another password, or as somebody else, the phone is refused")
	s.Must(s.RegisterAs(ctx, ours(s), phonePassword, 300))
	s.Tell("the phone registers as %s, whom FreeSWITCH's files do not know", ours(s))
	s.Phone.Behave(lab.Answers(200 * time.Millisecond))
	c := s.Call()
	in := s.Rings(ctx, s.Phone, 1)
	s.WaitAnswered(ctx, c)
	s.Talk(ctx, c, in)
	c.Hangup()
	s.Ended(ctx, in, "them")
	s.Steps(s.Record(ctx, 1), "ring answered")
	_, err := s.Rig.API(ctx, fmt.Sprintf("originate user/%s@%s &hangup", ours(s), s.Rig.At().Domain))
	s.Must(err)
	s.Rings(ctx, s.Phone, 2)
	s.Tell("an extension of the operator's own calls it as user/%s", ours(s))
	for name, want := range map[string]string{"user_context": "default", "effective_caller_id_number": s.Number, "effective_caller_id_name": "Subscriber of the lab"} {
		isVariable(ctx, s, name, want)
	}
	s.Must(s.RegisterAs(ctx, ours(s), phonePassword, 0))
}

// isVariable looks at a variable that a call of the story's phone would have.
func isVariable(ctx context.Context, s *lab.Stage, name, want string) {
	got, err := s.Rig.API(ctx, fmt.Sprintf("user_data %s@%s var %s", ours(s), s.Rig.At().Domain, name))
	s.Must(err)
	s.Check(got == want, "%s is %q, want %q", name, got, want)
}

func playHostileName(ctx context.Context, s *lab.Stage) {
	s.Must(s.RegisterAs(ctx, ours(s), phonePassword, 300))
	isVariable(ctx, s, "effective_caller_id_name", "X-PRE-PROCESS cmd set data obeyed 1 / !-- set obeyed 1-- SS domain S system(touch /obeyed) OBrien & Söhne")
	obeyed, err := s.Rig.API(ctx, "global_getvar obeyed")
	s.Check(errors.Is(err, esl.ErrNoReply), "FreeSWITCH obeyed the name: %q, %v", obeyed, err)
	_, err = os.Stat("/obeyed")
	s.Check(errors.Is(err, os.ErrNotExist), "FreeSWITCH obeyed the name: %v", err)
	s.Tell("the phone registers, and its subscriber's name is text")
}

func playNewPassword(ctx context.Context, s *lab.Stage, id string) {
	s.Must(s.RegisterAs(ctx, ours(s), phonePassword, 300))
	d := account.Document{Numbers: []account.NumberEntry{{Number: s.Number, Account: id,
		Devices: []account.DeviceEntry{{User: ours(s), Host: s.Rig.At().Domain, A1Hash: a1Hash(ours(s), s.Rig.At().Domain, "another")}}}}}
	s.Apply(ctx, d)
	s.Must(s.RegisterAs(ctx, ours(s), phonePassword, 300))
	s.Tell("FreeSWITCH keeps its answer for a while: the old password counts")
	forgets(ctx, s)
	refused(ctx, s, ours(s), phonePassword)
	s.Must(s.RegisterAs(ctx, ours(s), "another", 300))
	s.Tell("asked again, the new one does, and the old one no more")
	d.Numbers[0].Devices[0].A1Hash = account.NoA1Hash
	s.Apply(ctx, d)
	forgets(ctx, s)
	refused(ctx, s, ours(s), "another")
	refused(ctx, s, ours(s), "")
	s.Tell("without one nobody gets in by any")
}

func playOwnFiles(ctx context.Context, s *lab.Stage) {
	s.Register(ctx, 300)
	s.Phone.Behave(lab.Answers(200 * time.Millisecond))
	c := s.Call()
	in := s.Rings(ctx, s.Phone, 1)
	s.WaitAnswered(ctx, c)
	s.Talk(ctx, c, in)
	in.Hangup()
	s.Ended(ctx, c, "them")
	s.Register(ctx, 0)
}

func playStoreGone(ctx context.Context, s *lab.Stage) {
	s.Must(s.RegisterAs(ctx, ours(s), phonePassword, 300))
	database := filepath.Join(s.Rig.Dir(), "lab.db")
	for _, end := range []string{"", "-wal", "-shm"} {
		_ = os.Rename(database+end, database+end+".away")
	}
	s.Deed(lab.ColSidecar, "its database is gone")
	for range 3 {
		forgets(ctx, s)
		began := time.Now()
		s.Must(s.RegisterAs(ctx, ours(s), phonePassword, 300))
		s.Check(time.Since(began) < time.Second, "registering took %s", time.Since(began))
	}
	refused(ctx, s, ours(s), "1234")
	refused(ctx, s, "nobody-knows", phonePassword)
	s.Register(ctx, 300)
	logged(ctx, s, "sidecar", 1, "store does not answer; phones are known by what it said last")
	s.Tell("phones register by what it said last, and by FreeSWITCH's own files")
	for _, end := range []string{"-wal", "-shm", ""} {
		_ = os.Rename(database+end+".away", database+end)
	}
	logged(ctx, s, "sidecar", 1, "the database file")
	forgets(ctx, s)
	s.Must(s.RegisterAs(ctx, ours(s), phonePassword, 0))
}

func playSidecarFrozen(ctx context.Context, s *lab.Stage) {
	s.Must(s.RegisterAs(ctx, ours(s), phonePassword, 300))
	s.Must(s.Rig.FreezeSidecar())
	s.Deed(lab.ColSidecar, "frozen")
	began := time.Now()
	s.Must(s.RegisterAs(ctx, ours(s), phonePassword, 300))
	s.Check(time.Since(began) < directoryWait, "by what FreeSWITCH kept, registering took %s", time.Since(began))
	began = time.Now()
	s.Register(ctx, 300)
	s.Check(time.Since(began) < 3*directoryWait, "by FreeSWITCH's own files, registering took %s", time.Since(began))
	s.Must(s.Rig.ThawSidecar())
	s.Must(s.Rig.Sidecar.Kill())
	<-s.Rig.Sidecar.Done()
	s.Deed(lab.ColSidecar, "killed")
	s.Must(s.RegisterAs(ctx, ours(s), phonePassword, 300))
	s.Register(ctx, 300)
	forgets(ctx, s)
	refused(ctx, s, ours(s), phonePassword)
	s.Tell("what FreeSWITCH kept counts, and its own files; whom it has forgotten is refused")
	s.Must(s.Rig.StartSidecar(ctx))
	s.Must(s.RegisterAs(ctx, ours(s), phonePassword, 0))
	s.Register(ctx, 0)
}
