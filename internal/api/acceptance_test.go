package api

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/vmadmin"
)

// crm is the request of the page's worked example.
const crm = `{"requestId":"crm-88121","userProfile":"u-1001","numbers":["+14155550100"],
  "services":[{"type":"voicemail","class":"basic","noAnswerSeconds":20,"conditions":["busy","no-answer","not-reachable"]},{"type":"sms"}]}`

// TestOneRequestMakesEverything is VM-A1: profile with pilot, mailbox at the mapped voicemail system, done in under two seconds.
func TestOneRequestMakesEverything(t *testing.T) {
	o := newOffice(t, nil)
	c := o.whole("acme")
	began := time.Now()
	status := c.want(200, "POST", "/provisioning/requests", crm)
	if took := time.Since(began); took > 2*time.Second || status["status"] != "done" {
		t.Errorf("after %s: %v", took, status)
	}
	if m, ok := o.west.Mailbox(alice); !ok || m.State != vmadmin.Active || m.Number != alice || m.Class != "basic" {
		t.Errorf("mailbox at the mapped voicemail system: %+v, %v", m, ok)
	}
	if _, ok := o.east.Mailbox(alice); !ok {
		t.Error("no mailbox at the system that is next when the first is down")
	}
	for _, profile := range []object{at(c.want(200, "GET", "/provisioning/requests/crm-88121", ""), "profile").(object), c.want(200, "GET", "/provisioning/profiles/u-1001", "")} {
		want := fmt.Sprint(object{"userProfile": "u-1001", "numbers": []any{alice}, "state": "active", "services": []any{"voicemail", "sms"}, "pilot": pilot, "class": "basic", "deposit": true,
			"conditions": object{"busy": true, "noAnswer": 20.0, "notRegistered": true, "notReachable": true, "rejected": false}, "version": 1.0})
		if got := fmt.Sprint(profile); got != want {
			t.Errorf("profile\n%s, want\n%s", got, want)
		}
	}
	p := o.profile(alice)
	if p == nil || p.Account.ID != "u-1001" || p.Voicemail.Pilot != pilot || p.Voicemail.Conditions != (account.Conditions{NoAnswer: true, Busy: true, NotRegistered: true, Unreachable: true}) || len(p.Systems) != 2 {
		t.Errorf("what a call reads: %+v", p)
	}
	if text := c.do("GET", "/numbers/"+alice, "").text; strings.Contains(text, "vms-") {
		t.Errorf("a user's row names a voicemail system: %s", text)
	}
}

// TestHashesOfPasswordsAreTakenAndNeverGivenBack sets a phone's hash by each way there is, and looks for it in every answer.
func TestHashesOfPasswordsAreTakenAndNeverGivenBack(t *testing.T) {
	o := newOffice(t, nil)
	c := o.whole("acme")
	first, second := strings.Repeat("0a", 16), strings.Repeat("0b", 16)
	keeps := func(want string) {
		t.Helper()
		u, err := o.store.DirectoryUser(t.Context(), "1000", "pbx.example.net")
		if err != nil && !errors.Is(err, store.ErrNotFound) || u.Device.A1Hash != want {
			t.Errorf("kept is %q, %v, want %q", u.Device.A1Hash, err, want)
		}
	}
	quiet := func(status int, method, path, body string) string {
		t.Helper()
		a := c.do(method, path, body)
		if a.status != status || strings.Contains(a.text, first) || strings.Contains(a.text, second) {
			t.Errorf("%s %s: %d %s", method, path, a.status, a.text)
		}
		return a.text
	}
	request := func(id, devices string) string {
		return `{"requestId":"` + id + `","userProfile":"u-1","numbers":["` + alice + `"],"services":[{"type":"sms"}],"devices":[` + devices + `]}`
	}
	phone := func(hash string) string { return `{"user":"1000","host":"PBX.example.net"` + hash + `}` }
	quiet(200, "POST", "/provisioning/requests", request("r-1", phone(`,"a1_hash":"`+first+`"`)))
	keeps(first)
	quiet(200, "GET", "/provisioning/requests/r-1", "")
	quiet(200, "GET", "/provisioning/requests", "")
	quiet(409, "POST", "/provisioning/requests", request("r-1", phone(`,"a1_hash":"`+second+`"`)))
	read := quiet(200, "GET", "/numbers/"+alice, "")
	quiet(200, "PUT", "/numbers/"+alice, read) // what was read is sent back
	keeps(first)
	quiet(200, "POST", "/provisioning/requests", request("r-2", phone("")+`,{"user":"1001","host":"pbx.example.net"}`))
	keeps(first)
	if row, err := o.store.Get(t.Context(), "acme", account.KindNumber, alice); err != nil || len(row.Entry.(*account.NumberEntry).Devices) != 2 {
		t.Errorf("the second phone: %+v, %v", row.Entry, err)
	}
	quiet(200, "PUT", "/numbers/"+alice, `{"account":"u-1","devices":[`+phone(`,"a1_hash":"`+second+`"`)+`]}`)
	keeps(second)
	quiet(422, "PUT", "/numbers/"+alice, `{"account":"u-1","devices":[`+phone(`,"a1_hash":"`+second+`0"`)+`]}`)
	quiet(422, "POST", "/provisioning/requests", request("r-3", phone(`,"a1_hash":"`+second+`0"`)))
	quiet(200, "GET", "/numbers", "")
	quiet(200, "PUT", "/numbers/"+alice, `{"account":"u-1","devices":[`+phone(`,"a1_hash":"none"`)+`]}`)
	keeps("")
}

// TestTheSameRequestAgainIsNoNewOne is VM-A2.
func TestTheSameRequestAgainIsNoNewOne(t *testing.T) {
	o := newOffice(t, nil)
	c := o.whole("acme")
	first := c.do("POST", "/provisioning/requests", crm)
	spaced := strings.ReplaceAll(crm, ",", " , ")
	for _, body := range []string{crm, spaced} {
		if again := c.do("POST", "/provisioning/requests", body); again.status != 200 || again.text != first.text {
			t.Errorf("again %d: %s, want %s", again.status, again.text, first.text)
		}
	}
	if o.west.Made(alice) != 1 || len(o.west.Requests()) != 1 {
		t.Errorf("the voicemail system was asked %v", o.west.Requests())
	}
	c.want(409, "POST", "/provisioning/requests", strings.Replace(crm, "busy", "declined", 1))
	// The header stands in for the field, and must not say something else.
	body := strings.Replace(crm, `"requestId":"crm-88121",`, "", 1)
	if again := c.do("POST", "/provisioning/requests", body, "Idempotency-Key", "crm-88121"); again.text != first.text {
		t.Errorf("by the header: %s", again.text)
	}
	c.want(422, "POST", "/provisioning/requests", crm, "Idempotency-Key", "other")
	// Another tenant's request of the same id is another one.
	other := o.whole("other")
	other.want(404, "GET", "/provisioning/requests/crm-88121", "")
	other.want(200, "POST", "/provisioning/requests", strings.Replace(crm, alice, bob, 1))
	// Twenty at once are one, too.
	body = strings.NewReplacer("crm-88121", "crm-2", "u-1001", "u-2", alice, "+14155550102").Replace(crm)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() { c.do("POST", "/provisioning/requests", body) })
	}
	all.Wait()
	if o.west.Made("+14155550102") != 1 {
		t.Errorf("twenty at once made %d mailboxes", o.west.Made("+14155550102"))
	}
}

// TestVoicemailSystemThatFails is VM-A3.
func TestVoicemailSystemThatFails(t *testing.T) {
	o := newOffice(t, nil)
	c := o.whole("acme")
	o.west.FailWith(func(string, string) int { return http.StatusConflict })
	status := c.want(200, "POST", "/provisioning/requests", crm)
	if status["status"] != "failed: voicemail" || !strings.Contains(fmt.Sprint(status["reason"]), "vms-west.vm.example.net answers 409: made to fail") {
		t.Errorf("status %v", status)
	}
	if at(status, "services", 0, "status") != "failed" || at(status, "services", 1, "type") != "sms" || at(status, "services", 1, "status") != "not done" {
		t.Errorf("services %v", status["services"])
	}
	if p := o.profile(alice); p != nil {
		t.Errorf("a routing profile is left: %+v", p)
	}
	c.want(404, "GET", "/provisioning/profiles/u-1001", "")
	o.west.FailWith(nil)
	if status := c.want(200, "POST", "/provisioning/requests/crm-88121/retry", ""); status["status"] != "done" || at(status, "profile", "version") != 1.0 {
		t.Errorf("tried again: %v", status)
	}
	if p := o.profile(alice); p == nil || p.Voicemail == nil {
		t.Errorf("after the second try a call reads %+v", p)
	}
}

// TestBadInputNamesEachField is VM-A4 and the last half of VM-A22.
func TestBadInputNamesEachField(t *testing.T) {
	o := newOffice(t, nil)
	c := o.whole("acme")
	c.want(200, "POST", "/provisioning/requests", crm)
	before := c.export()
	for _, bad := range []struct {
		name, body string
		fields     []string
	}{
		{"unknown service", `{"requestId":"r","userProfile":"u","numbers":["+14155550101"],"services":[{"type":"voicmail"}]}`, []string{"/services/0/type"}},
		{"no services", `{"requestId":"r","userProfile":"u","numbers":["+14155550101"],"services":[]}`, []string{"/services"}},
		{"number 12", `{"requestId":"r","userProfile":"u","numbers":["12"],"services":[{"type":"sms"}]}`, []string{"/numbers/0"}},
		{"no number", `{"requestId":"r","userProfile":"u","services":[{"type":"voicemail"}]}`, []string{"/numbers"}},
		{"another's number", `{"requestId":"r","userProfile":"u","numbers":["+14155550100"],"services":[{"type":"sms"}]}`, []string{"/numbers/0"}},
		{"no such pilot", `{"requestId":"r","userProfile":"u","numbers":["+14155550101"],"services":[{"type":"voicemail","pilot":"+18050000000"}]}`, []string{"/services/0/pilot"}},
		{"visual, and no system has it", `{"requestId":"r","userProfile":"u","numbers":["+14155550101"],"services":[{"type":"voicemail","class":"visual"}]}`, []string{"/services/0/class"}},
		{"visual at a pilot", `{"requestId":"r","userProfile":"u","numbers":["+14155550101"],"services":[{"type":"visual-voicemail","pilot":"+18056377243"}]}`, []string{"/services/0/class"}},
		{"several", `{"requestId":"r!","userProfile":"","action":"ad","numbers":["12","x"],"services":[{"type":"voicmail"},{"type":"voicemail","noAnswerSeconds":1,"conditions":["rang"]}]}`,
			[]string{"/action", "/numbers/0", "/numbers/1", "/requestId", "/services/0/type", "/services/1/conditions/0", "/services/1/noAnswerSeconds", "/userProfile"}},
		{"unknown field", `{"requestId":"r","userProfile":"u","numbers":["+14155550101"],"services":[{"type":"sms","klass":"x"}],"Numbers":[]}`, []string{"/Numbers", "/services/0/klass"}},
		{"twice", `{"requestId":"r","userProfile":"u","userProfile":"v","services":[{"type":"sms"}]}`, []string{"/userProfile"}},
		{"wrong types", `{"requestId":1,"userProfile":null,"numbers":"+1","services":{}}`, []string{"/numbers", "/requestId", "/services", "/userProfile"}},
		{"a phone that cannot be", `{"requestId":"r","userProfile":"u","numbers":["+14155550101"],"devices":[{"user":"a b","host":"-"}],"services":[{"type":"sms"}]}`, []string{"/devices/0/host", "/devices/0/user"}},
		{"nobody to suspend", `{"requestId":"r","userProfile":"nobody","action":"suspend"}`, []string{"/userProfile"}},
		{"suspending a service", `{"requestId":"r","userProfile":"u-1001","action":"suspend","services":[{"type":"sms"}]}`, []string{"/services"}},
		{"no new number", `{"requestId":"r","userProfile":"u-1001","action":"changeNumber","numbers":["+14155550100"]}`, []string{"/newNumber"}},
		{"somebody else's mailbox", `{"requestId":"r","userProfile":"u","numbers":["+14155550101"],"services":[{"type":"voicemail","mailbox":"+14155550100"}]}`, []string{"/services/0/mailbox"}},
		{"a time zone that is none", `{"requestId":"r","userProfile":"u","timezone":"Mars","services":[{"type":"sms"}]}`, []string{"/timezone"}},
	} {
		problem := c.want(422, "POST", "/provisioning/requests", bad.body)
		if got := fieldsOf(problem); !slices.Equal(got, bad.fields) {
			t.Errorf("%s: %v, want %v: %v", bad.name, got, bad.fields, problem["errors"])
		}
		c.want(404, "GET", "/provisioning/requests/r", "")
	}
	if after := c.export(); after != before {
		t.Errorf("something was written:\n%s", after)
	}
	if made := len(o.west.Mailboxes()); made != 1 {
		t.Errorf("%d mailboxes", made)
	}
	if text := c.do("POST", "/provisioning/requests", `{"requestId":"r","userProfile":"u","numbers":["+14155550101"],"services":[{"type":"voicemail","class":"visual"}]}`).text; !strings.Contains(text, "no VMS supports visual") {
		t.Errorf("visual without a system: %s", text)
	}
}

func (c client) export() string {
	c.t.Helper()
	d, err := c.store.Export(c.t.Context(), "acme")
	if err != nil {
		c.t.Fatal(err)
	}
	text, err := d.YAML()
	if err != nil {
		c.t.Fatal(err)
	}
	return string(text)
}

// TestVisualVoicemail is the first half of VM-A22: class visual, at a system that supports it.
func TestVisualVoicemail(t *testing.T) {
	o := newOffice(t, nil)
	operator, c := o.client("operator", Admin), o.whole("acme")
	operator.want(200, "PUT", "/vms/"+east, `{"visual":true}`)
	status := c.want(200, "POST", "/provisioning/requests", strings.Replace(crm, `"voicemail","class":"basic"`, `"visual-voicemail"`, 1))
	if at(status, "profile", "class") != "visual" {
		t.Errorf("profile %v", status["profile"])
	}
	if p := o.profile(alice); p == nil || p.Voicemail.Class != account.Visual {
		t.Errorf("what a call reads: %+v", p)
	}
	if m, ok := o.east.Mailbox(alice); !ok || m.Class != "visual" {
		t.Errorf("the mailbox at the system that supports it: %+v", m)
	}
	if m, ok := o.west.Mailbox(alice); ok {
		t.Errorf("a mailbox at one that does not: %+v", m)
	}
}

// TestSuspendResumeRemove is VM-A13.
func TestSuspendResumeRemove(t *testing.T) {
	o := newOffice(t, nil)
	c := o.whole("acme")
	c.want(200, "POST", "/provisioning/requests", crm)
	ask := func(id, action string) object {
		t.Helper()
		status := c.want(200, "POST", "/provisioning/requests", fmt.Sprintf(`{"requestId":%q,"userProfile":"u-1001","action":%q}`, id, action))
		if status["status"] != "done" {
			t.Fatalf("%s: %v", action, status)
		}
		return status
	}
	status := ask("s1", "suspend")
	if at(status, "profile", "deposit") != false || at(status, "profile", "state") != "suspended" || at(status, "profile", "version") != 2.0 {
		t.Errorf("suspended: %v", status["profile"])
	}
	if m, _ := o.west.Mailbox(alice); m.State != vmadmin.Suspended {
		t.Errorf("suspended, the mailbox is %+v", m)
	}
	if p := o.profile(alice); p == nil || p.Account.State != account.Suspended || p.Voicemail == nil {
		t.Errorf("suspended, a call reads %+v", p)
	}
	if status = ask("s2", "resume"); at(status, "profile", "deposit") != true {
		t.Errorf("resumed: %v", status["profile"])
	}
	if m, _ := o.west.Mailbox(alice); m.State != vmadmin.Active || o.west.Made(alice) != 1 {
		t.Errorf("resumed, the mailbox is %+v", m)
	}
	ask("s3", "remove")
	if p := o.profile(alice); p != nil {
		t.Errorf("removed, a call reads %+v", p)
	}
	if lamp := <-o.lamps; lamp != alice {
		t.Errorf("the lamp of %s went out", lamp)
	}
	o.eventually("the mailbox takes no messages", func() bool { m, ok := o.west.Mailbox(alice); return ok && m.State == vmadmin.Suspended })
	kept, err := o.store.MailboxesOf(t.Context(), "acme", "u-1001")
	if err != nil || len(kept) != 2 || kept[0].State != store.MailboxRetained || time.Until(kept[0].RetainUntil) < 50*time.Minute {
		t.Errorf("kept for the retention: %+v, %v", kept, err)
	}
	c.want(404, "GET", "/accounts/u-1001", "")
	c.want(422, "POST", "/provisioning/requests", `{"requestId":"s4","userProfile":"u-1001","action":"remove"}`)
}

// TestTheNextCallUsesTheNewProfile is VM-A18: a second after a change no call is treated by the old profile.
func TestTheNextCallUsesTheNewProfile(t *testing.T) {
	o := newOffice(t, nil)
	c, operator := o.whole("acme"), o.client("operator", Admin)
	c.want(200, "POST", "/provisioning/requests", crm)
	explain := func() string {
		return fmt.Sprint(c.want(200, "POST", "/explain", `{"from":"+12125550123","to":"+14155550100"}`)["text"])
	}
	if text := explain(); !strings.Contains(text, west) {
		t.Fatalf("a call would go like this:\n%s", text)
	}
	changes := []struct {
		say    string
		change func()
		seen   func(string) bool
	}{
		{"voicemail is taken away", func() {
			c.want(200, "POST", "/provisioning/requests", `{"requestId":"r2","userProfile":"u-1001","action":"remove","services":[{"type":"voicemail"}]}`)
		}, func(text string) bool { return !strings.Contains(text, west) }},
		{"and given again", func() { c.want(200, "POST", "/provisioning/requests", strings.Replace(crm, "crm-88121", "r3", 1)) },
			func(text string) bool { return strings.Contains(text, west) }},
		{"the pilot moves", func() {
			operator.want(200, "PUT", "/pilots/"+pilot, `{"systems":[{"fqdn":"vms-east.vm.example.net"}]}`)
		},
			func(text string) bool { return !strings.Contains(text, west) && strings.Contains(text, east) }},
	}
	for _, change := range changes {
		change.change()
		changed, text := time.Now(), ""
		for text = explain(); !change.seen(text) && time.Since(changed) < time.Second; {
			text = explain()
		}
		if !change.seen(text) {
			t.Errorf("a second after %s a call would go like this:\n%s", change.say, text)
		}
		for range 20 { // and the old one never comes back
			if text := explain(); !change.seen(text) {
				t.Errorf("the old profile is back after %s:\n%s", change.say, text)
			}
		}
	}
}
