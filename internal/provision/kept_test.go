package provision_test

import (
	"errors"
	"testing"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/provision"
	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/vmadmin"
)

// The voicemail systems make their mailboxes by themselves, so that nothing is recorded of the one that a subscriber kept with another number.
func TestMailboxThatSomebodyKeptIsNotTheNextSubscribers(t *testing.T) {
	t.Parallel()
	d := newDesk(t, func(o *provision.Options) {
		o.Systems, o.Names = vmadmin.Systems{}, o.Rows.(store.Store)
	})
	d.submit(add("r1", alice))
	d.submit(provision.Request{ID: "r2", Action: provision.ChangeNumber, UserProfile: "u-1001", Numbers: []string{alice}, NewNumber: bob})
	if p := d.profile(bob); p == nil || p.Voicemail.Mailbox != alice {
		t.Fatalf("the changed number has %+v", p)
	}
	d.submit(provision.Request{ID: "r3", UserProfile: "u-2", Services: []provision.Service{{Type: "sms"}}})
	row := &account.NumberEntry{Number: alice, Account: "u-2", Voicemail: &account.VoicemailEntry{Pilot: pilot}}
	var bad *provision.Invalid
	if _, err := d.Change(t.Context(), "acme", store.Change{Op: store.Put, Entry: row}); !errors.As(err, &bad) || bad.Problems[0].Pointer != "/voicemail/mailbox" {
		t.Errorf("the row of the old number with the mailbox of who had it: %v", err)
	}
	r := add("r4", alice)
	r.UserProfile = "u-2"
	if status := d.submit(r); status.Status != provision.Done {
		t.Fatalf("status %+v", status)
	}
	if p := d.profile(alice); p == nil || p.Voicemail.Mailbox != alice+"-2" {
		t.Errorf("the next subscriber of the old number has %+v", p.Voicemail)
	}
	// Again it changes nothing, and who kept the mailbox may have his number back.
	r.ID = "r5"
	if d.submit(r); d.profile(alice).Voicemail.Mailbox != alice+"-2" {
		t.Errorf("after a second request it is %+v", d.profile(alice).Voicemail)
	}
	d.submit(provision.Request{ID: "r6", Action: provision.Remove, UserProfile: "u-2"})
	if status := d.submit(add("r7", alice)); status.Status != provision.Done || d.profile(alice).Voicemail.Mailbox != "" {
		t.Errorf("who kept the mailbox has %+v; %+v", d.profile(alice), status)
	}
}
