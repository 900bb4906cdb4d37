package provision

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/vmadmin"
)

// DifferenceKind names a way in which profiles, mailboxes and FreeSWITCH's directory can disagree.
type DifferenceKind string

// The kinds of differences.
const (
	NoMailbox    DifferenceKind = "profile-without-mailbox" // a number's calls go to a system that has no mailbox for it
	NoProfile    DifferenceKind = "mailbox-without-profile" // no number's calls lead to the mailbox
	WrongSystem  DifferenceKind = "wrong-system"            // they lead to another system: the pilot was moved
	Differs      DifferenceKind = "mailbox-differs"         // number, class or state are not the profile's, or nobody has recorded it
	Forgotten    DifferenceKind = "record-without-mailbox"  // we remember a mailbox that neither system nor profile has
	UnknownPhone DifferenceKind = "phone-without-user"      // FreeSWITCH's directory does not know a phone that rings for a number
)

// DifferenceKinds are all kinds.
var DifferenceKinds = []DifferenceKind{NoMailbox, NoProfile, WrongSystem, Differs, Forgotten, UnknownPhone}

// Difference is one of them, and what was done about it.
type Difference struct {
	Kind     DifferenceKind `json:"kind"`
	FQDN     string         `json:"fqdn,omitempty"`
	Mailbox  string         `json:"mailbox,omitempty"`
	Tenant   string         `json:"tenant,omitempty"`
	User     string         `json:"user,omitempty"` // account
	Number   string         `json:"number,omitempty"`
	Says     string         `json:"says"`
	Repaired bool           `json:"repaired,omitempty"`
	Problem  string         `json:"problem,omitempty"` // why it was not repaired, or who has to do it
}

// Reconciliation is what Reconcile looked at and found.
type Reconciliation struct {
	Numbers     int                    `json:"numbers"`   // with voicemail
	Mailboxes   int                    `json:"mailboxes"` // that the systems listed
	Phones      int                    `json:"phones"`    // that the directory was asked for
	Differences map[DifferenceKind]int `json:"differences"`
	Repaired    int                    `json:"repaired"`
	NotLooked   []string               `json:"not_looked,omitempty"` // systems that could not be asked, each with the reason
}

// Left is how many differences were found and not repaired.
func (r Reconciliation) Left() int {
	n := -r.Repaired
	for _, found := range r.Differences {
		n += found
	}
	return n
}

// ReconcileOptions of one Reconcile.
type ReconcileOptions struct {
	Repair bool
	// Each is told of every difference as it is found. May be nil.
	Each func(Difference)
	// Progress is told how many mailboxes and phones were looked at. May be nil.
	Progress func(looked int)
	// KnowsPhone asks FreeSWITCH's directory; nil = nobody asks it.
	KnowsPhone func(ctx context.Context, user, host string) (bool, error)
}

// Reconcile compares what the profiles want of mailboxes with what the voicemail systems have and what is kept of them, and repairs it
// when asked to: what is missing is made, what nobody's calls lead to is closed and deleted after the retention, as for a subscriber
// who was removed. It never takes a mailbox that is another number's for its own. A system that cannot be asked is named, and the others
// are looked at. It holds what it wants of mailboxes in memory, about 300 bytes for each.
//
// It may run beside a Provisioner that works on the same store: whoever writes a mailbox first wins, what is written after Reconcile began is
// passed over, and the difference that this leaves is found the next time.
func (s *Provisioner) Reconcile(ctx context.Context, opt ReconcileOptions) (Reconciliation, error) {
	r := &reconciler{s: s, opt: opt, now: time.Now(), wants: map[string]map[string]want{}, leads: map[string][]string{}, phones: map[phone]want{}}
	r.out.Differences = map[DifferenceKind]int{}
	if err := r.readProfiles(ctx); err != nil {
		return r.out, err
	}
	for _, fqdn := range slices.Sorted(maps.Keys(s.opt.Systems)) {
		if err := r.system(ctx, s.opt.Systems[fqdn]); err != nil {
			return r.out, err
		}
	}
	return r.out, r.directory(ctx)
}

type reconciler struct {
	s      *Provisioner
	opt    ReconcileOptions
	now    time.Time
	looked int
	out    Reconciliation

	wants  map[string]map[string]want // by FQDN and mailbox
	leads  map[string][]string        // by mailbox: the systems to which calls lead
	phones map[phone]want             // that ring, and one number of each
}

type phone struct{ user, host string }

// want is a mailbox that a profile wants.
type want struct {
	tenant, user, number, class string
	suspended                   bool
	ifThere                     bool // it may stay, and is not made: the system drains, or its row is over
}

// table is one tenant's pilots and systems.
type table struct {
	pilots  map[string]*account.PilotEntry
	systems map[string]*account.SystemEntry
}

// readProfiles reads what the profiles of all tenants want, the operator's first, for its pilots serve the others.
func (r *reconciler) readProfiles(ctx context.Context) error {
	tenants, err := r.s.opt.Rows.Tenants(ctx)
	if err != nil {
		return err
	}
	tenants = slices.DeleteFunc(tenants, func(t string) bool { return t == account.OperatorTenant })
	var operators table
	for _, tenant := range append([]string{account.OperatorTenant}, tenants...) {
		own := table{map[string]*account.PilotEntry{}, map[string]*account.SystemEntry{}}
		suspended := map[string]bool{}
		err := r.s.opt.Rows.Each(ctx, tenant, func(row store.Row) error {
			switch e := row.Entry.(type) {
			case *account.AccountEntry:
				if e.State == account.Suspended {
					suspended[e.ID] = true
				}
			case *account.SystemEntry:
				own.systems[e.FQDN] = e
			case *account.PilotEntry:
				own.pilots[e.Number] = e
			case *account.NumberEntry:
				r.number(tenant, e, suspended[e.Account], own, operators)
			}
			return ctx.Err()
		})
		if err != nil {
			return err
		}
		if tenant == account.OperatorTenant {
			operators = own
		}
	}
	return nil
}

func (r *reconciler) number(tenant string, n *account.NumberEntry, suspended bool, own, operators table) {
	w := want{tenant: tenant, user: n.Account, number: n.Number, class: "basic", suspended: suspended}
	for _, d := range n.Devices {
		if d.Kind == account.DeviceRegistered && r.opt.KnowsPhone != nil {
			r.phones[phone{d.User, d.Host}] = w
		}
	}
	v := n.Voicemail
	if v == nil {
		return
	}
	r.out.Numbers++
	if v.Class == account.Visual {
		w.class = "visual"
	}
	pilot, systems := own.pilots[v.Pilot], own.systems
	if pilot == nil {
		pilot, systems = operators.pilots[v.Pilot], operators.systems
	}
	if pilot == nil {
		return
	}
	id := cmp.Or(v.Mailbox, n.Number)
	for _, row := range pilot.Systems {
		system := systems[row.FQDN]
		if system == nil {
			system = operators.systems[row.FQDN]
		}
		if system == nil || r.s.opt.Systems[row.FQDN] == nil {
			continue
		}
		r.leads[id] = append(r.leads[id], row.FQDN)
		wanted := r.wants[row.FQDN]
		if wanted == nil {
			wanted = map[string]want{}
			r.wants[row.FQDN] = wanted
		}
		if _, shared := wanted[id]; shared {
			continue // several lines of one mailbox
		}
		w.ifThere = row.Until != nil && !row.Until.After(r.now) || system.Drain || v.Class == account.Visual && !system.Visual
		wanted[id] = w
	}
}

// system compares one voicemail system.
func (r *reconciler) system(ctx context.Context, system *vmadmin.System) error {
	fqdn := system.FQDN()
	kept, err := r.kept(ctx, fqdn)
	if err != nil {
		return err
	}
	wanted, there := r.wants[fqdn], map[string]bool{}
	for box, err := range system.All(ctx) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			r.out.NotLooked = append(r.out.NotLooked, err.Error())
			return nil // what was not listed is not missing
		}
		r.out.Mailboxes++
		r.look()
		there[box.ID] = true
		k, known := kept[box.ID]
		w, wants := wanted[box.ID]
		r.box(ctx, fqdn, box, k, known, w, wants)
	}
	for _, id := range slices.Sorted(maps.Keys(wanted)) {
		if w := wanted[id]; !there[id] && !w.ifThere && !r.changed(kept[id]) {
			d := Difference{Kind: NoMailbox, FQDN: fqdn, Mailbox: id, Tenant: w.tenant, User: w.user, Number: w.number,
				Says: "calls of the number go there, and the system has no mailbox for it"}
			r.found(d, func() error { return r.make(ctx, fqdn, id, w, kept[id], false) })
		}
	}
	for _, id := range slices.Sorted(maps.Keys(kept)) {
		k := kept[id]
		_, wants := wanted[id]
		if there[id] || wants || k.State != store.MailboxActive && k.State != store.MailboxSuspended {
			continue // what is being made or deleted is somebody's work already
		}
		d := difference(Forgotten, k, "it is recorded here, and neither system nor profile has it")
		r.found(d, func() error { return r.s.opt.Mailboxes.DeleteMailbox(ctx, k) })
	}
	return nil
}

// box compares one mailbox that a system has.
func (r *reconciler) box(ctx context.Context, fqdn string, box vmadmin.Mailbox, k store.Mailbox, known bool, w want, wanted bool) {
	closing := known && (k.State == store.MailboxRetained || k.State == store.MailboxDeleting)
	if r.changed(k) {
		return // after the profiles were read: what they want now is not known
	}
	if !wanted {
		if closing {
			return // it is kept for the retention
		}
		if is, err := r.s.opt.Mailboxes.Mailbox(ctx, fqdn, box.ID); err == nil && r.changed(is) {
			return
		}
		if !known {
			k = store.Mailbox{FQDN: fqdn, ID: box.ID, Tenant: account.OperatorTenant, Number: box.Number, Class: cmp.Or(box.Class, "basic")}
		}
		d := difference(NoProfile, k, "no number's calls lead to it")
		if elsewhere := r.leads[box.ID]; len(elsewhere) > 0 {
			d.Kind, d.Says = WrongSystem, fmt.Sprintf("calls lead to %s now", elsewhere[0])
		}
		r.found(d, func() error { return r.close(ctx, k) })
		return
	}
	d := Difference{Kind: Differs, FQDN: fqdn, Mailbox: box.ID, Tenant: w.tenant, User: w.user, Number: w.number}
	switch {
	case !known && box.Number != "" && box.Number != w.number:
		d.Says = fmt.Sprintf("the system has it for %s, and nobody has recorded it here", box.Number)
		r.found(d, func() error {
			return errors.New("its messages may be somebody else's: give the number another mailbox, or delete it at the system")
		})
		return
	case !known:
		d.Says = "nobody has recorded it here"
	case closing:
		d.Says = "it is about to be deleted, and calls of the number go there"
	case k.State == store.MailboxCreating || !k.Due.IsZero():
		return // somebody is at it
	case box.Number != "" && box.Number != w.number:
		d.Says = fmt.Sprintf("the system has it for %s", box.Number)
	case cmp.Or(box.Class, w.class) != w.class:
		d.Says = fmt.Sprintf("the system has class %.20q, the profile %s", box.Class, w.class)
	case cmp.Or(box.State, w.state()) != w.state():
		d.Says = fmt.Sprintf("the system has state %.20q, the profile wants %s", box.State, w.state())
	case k.User != w.user || k.Tenant != w.tenant:
		d.Says = fmt.Sprintf("it is recorded as that of account %s", k.User)
	default:
		return
	}
	r.found(d, func() error { return r.make(ctx, fqdn, box.ID, w, k, true) })
}

// changed reports whether a mailbox's row was written after the profiles were read, by somebody who knows better then.
func (r *reconciler) changed(m store.Mailbox) bool { return m.Updated.After(r.now) }

func (w want) state() vmadmin.State {
	if w.suspended {
		return vmadmin.Suspended
	}
	return vmadmin.Active
}

func difference(kind DifferenceKind, m store.Mailbox, says string) Difference {
	return Difference{Kind: kind, FQDN: m.FQDN, Mailbox: m.ID, Tenant: m.Tenant, User: m.User, Number: m.Number, Says: says}
}

// kept reads what is recorded of a system's mailboxes.
func (r *reconciler) kept(ctx context.Context, fqdn string) (map[string]store.Mailbox, error) {
	kept := map[string]store.Mailbox{}
	for after := ""; ; {
		page, err := r.s.opt.Mailboxes.Mailboxes(ctx, fqdn, after, store.MaxList)
		if err != nil {
			return nil, err
		}
		for _, m := range page {
			kept[m.ID], after = m, m.ID
		}
		if len(page) < store.MaxList {
			return kept, nil
		}
	}
}

// found counts and tells a difference, and repairs it when that is asked for. What fails is in the difference.
func (r *reconciler) found(d Difference, repair func() error) {
	r.out.Differences[d.Kind]++
	if r.opt.Repair {
		if err := repair(); err != nil {
			d.Problem = err.Error()
		} else {
			d.Repaired = true
			r.out.Repaired++
		}
	}
	if r.opt.Each != nil {
		r.opt.Each(d)
	}
}

// make has a mailbox be as a profile wants it. there says that the system has it.
func (r *reconciler) make(ctx context.Context, fqdn, id string, w want, k store.Mailbox, there bool) error {
	if k.Version != 0 && (k.User != w.user || k.Tenant != w.tenant) {
		if err := r.discard(ctx, k, there); err != nil {
			return err
		}
		k = store.Mailbox{}
	}
	now := time.Now()
	m := store.Mailbox{FQDN: fqdn, ID: id, Tenant: w.tenant, User: w.user, Number: w.number, Class: w.class,
		State: store.MailboxCreating, Due: now, Updated: now, Version: k.Version}
	if w.suspended {
		m.State = store.MailboxSuspended
	}
	return r.save(ctx, m)
}

// discard forgets a mailbox that was another subscriber's, and deletes it at the system that has it.
func (r *reconciler) discard(ctx context.Context, k store.Mailbox, there bool) error {
	if !there {
		return r.s.opt.Mailboxes.DeleteMailbox(ctx, k)
	}
	defer r.s.boxes.lock(k.FQDN, k.ID)()
	return r.s.discard(ctx, k)
}

// close has a mailbox take no messages any more, and be deleted after the retention.
func (r *reconciler) close(ctx context.Context, m store.Mailbox) error {
	now := time.Now()
	m.State, m.RetainUntil, m.Due, m.Attempts, m.Updated = store.MailboxRetained, now.Add(r.s.opt.Retention), now, 0, now
	return r.save(ctx, m)
}

// save keeps what a mailbox shall be before its system is told: should that fail, the sweeper of a running Signalbox goes on with it.
func (r *reconciler) save(ctx context.Context, m store.Mailbox) error {
	m, err := r.s.opt.Mailboxes.SaveMailbox(ctx, m)
	if err != nil {
		return err
	}
	return r.s.attend(ctx, m)
}

// directory asks FreeSWITCH for the phones. What is missing there is for the operator to add.
func (r *reconciler) directory(ctx context.Context) error {
	phones := slices.SortedFunc(maps.Keys(r.phones), func(a, b phone) int {
		return cmp.Or(cmp.Compare(a.host, b.host), cmp.Compare(a.user, b.user))
	})
	for _, p := range phones {
		known, err := r.opt.KnowsPhone(ctx, p.user, p.host)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			r.out.NotLooked = append(r.out.NotLooked, fmt.Sprintf("FreeSWITCH's directory: %v", err))
			return nil
		}
		r.out.Phones++
		r.look()
		if known {
			continue
		}
		w := r.phones[p]
		d := Difference{Kind: UnknownPhone, Tenant: w.tenant, User: w.user, Number: w.number,
			Says: fmt.Sprintf("it rings %s@%s, whom FreeSWITCH's directory does not know", p.user, p.host)}
		r.found(d, func() error {
			return errors.New("the directory is yours: add the user there, give the phone its a1_hash where Signalbox serves the directory, or correct the number's devices")
		})
	}
	return nil
}

func (r *reconciler) look() {
	r.looked++
	if r.opt.Progress != nil {
		r.opt.Progress(r.looked)
	}
}
