package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/signalbox/signalbox/internal/vmadmin"
	"github.com/signalbox/signalbox/internal/vmadmin/vmadmintest"
)

func TestReconcileReportsAndRepairs(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	vms := vmadmintest.New()
	t.Cleanup(vms.Close)
	f.write("signalbox.yaml", settings+"\nvoicemail: {mailboxes: [{fqdn: vm.example.net, url: '"+vms.Base()+"', token: "+vmadmintest.Token+"}]}\n")
	f.write("people.yaml", `
accounts: [{id: alice}]
voicemail_systems: [{fqdn: vm.example.net}]
pilots: [{number: "*86", systems: [{fqdn: vm.example.net}]}]
numbers: [{number: "+14155550100", account: alice, voicemail: {pilot: "*86"}}]
`)
	f.good("provision", "apply", "people.yaml")
	vms.Store(vmadmin.Mailbox{ID: "stray", Number: "+14155550199", State: vmadmin.Active, Class: "basic"})

	result := f.run("", "provision", "reconcile")
	if result.status != 1 || !strings.Contains(result.out, "profile-without-mailbox  vm.example.net mailbox +14155550100 (operator, account alice)") ||
		!strings.Contains(result.out, "1 numbers with voicemail, 1 mailboxes, 0 phones: 2 differences; --repair") || !strings.Contains(result.err, "disagree") {
		t.Errorf("the report is %+v", result)
	}
	if m := vms.Mailboxes(); len(m) != 1 {
		t.Errorf("looking made %+v", m)
	}
	var report struct {
		Repaired int
		All      []struct{ Kind, Mailbox string }
	}
	if err := json.Unmarshal([]byte(f.good("provision", "reconcile", "--repair", "--format", "json")), &report); err != nil || report.Repaired != 2 || len(report.All) != 2 {
		t.Errorf("repaired: %+v, %v", report, err)
	}
	if m, _ := vms.Mailbox("+14155550100"); m.State != vmadmin.Active {
		t.Errorf("the subscriber has %+v", m)
	}
	if out := f.good("provision", "reconcile"); !strings.Contains(out, "nothing differs") {
		t.Errorf("afterwards: %s", out)
	}

	// Nobody is at the Event Socket of the configuration: that is said, and nothing is claimed of phones.
	f.write("people.yaml", "numbers: [{number: '+14155550101', account: alice, devices: [{user: '1000', host: pbx.example.net}]}]")
	f.good("provision", "apply", "people.yaml")
	if result := f.run("", "provision", "reconcile"); result.status != 1 || !strings.Contains(result.out, "NOT looked at: FreeSWITCH's directory: node fs1") ||
		strings.Contains(result.err, "disagree") || !strings.Contains(result.err, "not everything could be looked at") {
		t.Errorf("without a switch: %+v", result)
	}
}
