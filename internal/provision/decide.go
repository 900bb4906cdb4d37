package provision

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/store"
)

// target is what a request wants to be true.
type target struct {
	changes  []store.Change // of rows, in one transaction; none = all is true already
	account  *account.AccountEntry
	numbers  []*account.NumberEntry // all that the account has then
	boxes    []store.Mailbox        // that shall be at their systems, as their State says
	retire   []store.Mailbox        // that the subscriber loses
	dark     []string               // numbers that have no voicemail any more
	scope    map[string]bool        // numbers that the request is about
	profiles bool                   // the routing profile goes first: nothing is deposited in what is about to go
}

// decide says what a request means. It is pure. again allows what is no fault when a request is done a second time.
func decide(w *world, r Request, again bool, now time.Time) (*target, error) {
	d := &decision{w: w, r: r, bad: &Invalid{}, t: &target{scope: map[string]bool{}}, now: now}
	if w.account == nil && r.Action != Add && (r.Action != Remove || !again) {
		d.bad.add("/userProfile", "no user profile %s is known", r.UserProfile)
		return nil, d.bad.err()
	}
	if w.account != nil {
		copied := *w.account
		copied.Services = slices.Clone(copied.Services)
		d.account = &copied
	}
	d.numbers = map[string]*account.NumberEntry{}
	for _, row := range w.numbers {
		d.numbers[row.Key] = row.Entry.(*account.NumberEntry)
	}
	switch r.Action {
	case Add, Change:
		d.add()
	case ChangeNumber:
		d.changeNumber(again)
	case Suspend:
		d.account.State = account.Suspended
		d.everything()
	case Resume:
		d.account.State = account.Active
		d.everything()
	case Remove:
		d.remove(again)
	}
	d.boxes()
	d.darken()
	d.changes()
	if err := d.bad.err(); err != nil {
		return nil, err
	}
	return d.t, nil
}

// decision is a target in the making.
type decision struct {
	w       *world
	r       Request
	now     time.Time
	bad     *Invalid
	t       *target
	account *account.AccountEntry // nil = shall not be
	numbers map[string]*account.NumberEntry
	gone    []string // numbers that shall not be
	rules   []*account.RuleEntry
}

func (d *decision) everything() {
	for n := range d.numbers {
		d.t.scope[n] = true
	}
}

// about puts the numbers that a request names, or all there are, into the scope, and returns them.
func (d *decision) about() []string {
	if len(d.r.Numbers) == 0 {
		d.everything()
		return slices.Sorted(maps.Keys(d.numbers))
	}
	for _, n := range d.r.Numbers {
		d.t.scope[n] = true
	}
	return d.r.Numbers
}

// mine reports a number that the user has not.
func (d *decision) mine(at, n string) bool {
	if _, ok := d.numbers[n]; !ok {
		d.bad.add(at, "user profile %s has no number %s", d.r.UserProfile, n)
		return false
	}
	return true
}

// free reports a number that another user profile has.
func (d *decision) free(at, n string) {
	if owner := d.w.owner[n]; owner != "" && owner != d.r.UserProfile {
		d.bad.add(at, "%s belongs to user profile %s already", n, owner)
	}
	if d.w.foreign[n] {
		d.bad.add(at, "%s belongs to somebody else already", n)
	}
}

func (d *decision) add() {
	if d.account == nil {
		d.account = &account.AccountEntry{ID: d.r.UserProfile}
	}
	a := d.account
	a.Name, a.Language, a.TimeZone = cmp.Or(d.r.Name, a.Name), cmp.Or(d.r.Language, a.Language), cmp.Or(d.r.TimeZone, a.TimeZone)
	for _, s := range d.r.Services {
		if s.Type != Voicemail && !slices.Contains(a.Services, s.Type) {
			a.Services = append(a.Services, s.Type)
		}
	}
	for i, n := range d.r.Numbers {
		at := fmt.Sprintf("/numbers/%d", i)
		d.free(at, n)
		if d.r.Action == Change && !d.mine(at, n) {
			continue
		}
		entry := account.NumberEntry{Number: n, Account: d.r.UserProfile}
		if was := d.numbers[n]; was != nil {
			entry = *was
		}
		if len(d.r.Devices) > 0 {
			entry.Devices = d.r.Devices
		}
		d.numbers[n] = &entry
	}
	if len(d.r.Numbers) == 0 && len(d.r.Devices) > 0 {
		d.bad.add("/numbers", "name the numbers for which these devices ring")
	}
	about := d.about()
	if v, i := d.r.voicemail(); v != nil {
		if len(about) == 0 {
			d.bad.add("/numbers", "is empty, and the user profile has no number: name the one whose calls shall go to voicemail")
		}
		for _, n := range about {
			d.voicemail(n, v, fmt.Sprintf("/services/%d", i))
		}
	}
}

// voicemail gives a number the voicemail that a request describes. What a request leaves out stays as it was.
func (d *decision) voicemail(n string, s *Service, at string) {
	was := d.numbers[n]
	if was == nil {
		return // reported already
	}
	entry, v := *was, account.VoicemailEntry{}
	if was.Voicemail != nil {
		v = *was.Voicemail
	}
	if s.Class != "" {
		v.Class = account.Class(strings.TrimPrefix(s.Class, "basic"))
	}
	if v.Pilot = cmp.Or(s.Pilot, v.Pilot); v.Pilot == "" {
		v.Pilot = d.choosePilot(v.Class, at)
	}
	v.Mailbox = cmp.Or(s.Mailbox, v.Mailbox)
	if s.Mailbox != "" {
		d.mayUse(s.Mailbox, v.Pilot, at+"/mailbox")
	}
	for i := 2; v.Mailbox == "" && d.w.taken[n] || v.Mailbox != "" && d.w.taken[v.Mailbox]; i++ {
		if s.Mailbox != "" {
			d.bad.add(at+"/mailbox", "%.40q is another subscriber's: name another one, or none", s.Mailbox)
			break
		}
		v.Mailbox = fmt.Sprintf("%s-%d", n, i)
	}
	if c := s.conditions(); c != nil {
		v.Conditions = c
	}
	if s.NoAnswerSeconds != 0 {
		entry.NoAnswer = account.Duration(time.Duration(s.NoAnswerSeconds) * time.Second)
	}
	if v.Pilot != "" {
		p, known := d.w.pilots[v.Pilot]
		switch {
		case !known:
			d.bad.add(at+"/pilot", "no pilot %s is in the table", v.Pilot)
		case !p.serves(v.Class):
			d.bad.add(at+"/class", "no VMS supports visual: of the voicemail systems behind pilot %s none has visual: true and takes deposits", v.Pilot)
		}
	}
	entry.Voicemail = &v
	d.numbers[n] = &entry
}

// choosePilot finds the pilot of a request that names none: the tenant's only one that serves the class, the configured one, the
// operator's only one.
func (d *decision) choosePilot(class account.Class, at string) string {
	var own, operators []string
	for _, name := range slices.Sorted(maps.Keys(d.w.pilots)) {
		p := d.w.pilots[name]
		switch {
		case !p.serves(class):
		case p.own && d.w.tenant != account.OperatorTenant:
			own = append(own, name)
		default:
			operators = append(operators, name)
		}
	}
	switch {
	case len(own) == 1:
		return own[0]
	case len(own) == 0 && slices.Contains(operators, d.w.fallback):
		return d.w.fallback
	case len(own) == 0 && len(operators) == 1:
		return operators[0]
	case len(own)+len(operators) > 0:
		d.bad.add(at+"/pilot", "name one, there are several: %s", strings.Join(append(own, operators...), ", "))
	case class == account.Visual:
		d.bad.add(at+"/class", "no VMS supports visual")
	default:
		d.bad.add(at+"/pilot", "there is no pilot in the table yet")
	}
	return ""
}

// serves reports whether one of the systems takes deposits of a class.
func (p pilot) serves(class account.Class) bool {
	for _, s := range p.systems {
		if !s.Drain && (class == account.Basic || s.Visual) {
			return true
		}
	}
	return false
}

// mayUse refuses the name of a mailbox that may be somebody else's: as Provisioner.mayUse does.
func (d *decision) mayUse(mailbox, pilotNumber, at string) {
	if d.w.tenant == account.OperatorTenant || d.numbers[mailbox] != nil || d.w.pilots[pilotNumber].private {
		return
	}
	for _, m := range d.w.mailboxes {
		if m.ID == mailbox {
			return
		}
	}
	d.bad.add(at, "%.40q may be somebody else's: name a number of this user profile, or nothing", mailbox)
}

func (d *decision) changeNumber(again bool) {
	old, now := d.r.Numbers[0], d.r.NewNumber
	d.t.scope[old], d.t.scope[now] = true, true
	if was := d.numbers[old]; was == nil && again && d.numbers[now] != nil {
		return
	}
	d.free("/newNumber", now)
	if d.numbers[now] != nil {
		d.bad.add("/newNumber", "%s is a number of the user profile already", now)
	}
	if !d.mine("/numbers/0", old) {
		return
	}
	entry := *d.numbers[old]
	entry.Number = now
	if entry.Voicemail != nil {
		v := *entry.Voicemail
		v.Mailbox = cmp.Or(v.Mailbox, old)
		entry.Voicemail = &v
	}
	delete(d.numbers, old)
	d.numbers[now] = &entry
	d.gone = append(d.gone, old)
	for _, row := range d.w.rules {
		if rule := *row.Entry.(*account.RuleEntry); rule.For == old {
			rule.For = now
			d.rules = append(d.rules, &rule)
		}
	}
}

func (d *decision) remove(again bool) {
	d.t.profiles = true
	for i, n := range d.r.Numbers {
		if !again {
			d.mine(fmt.Sprintf("/numbers/%d", i), n)
		}
	}
	about := d.about()
	switch {
	case len(d.r.Services) > 0:
		for _, s := range d.r.Services {
			if s.Type != Voicemail && d.account != nil {
				d.account.Services = slices.DeleteFunc(d.account.Services, func(have string) bool { return have == s.Type })
			}
		}
		if v, _ := d.r.voicemail(); v == nil {
			clear(d.t.scope)
			return
		}
		for _, n := range about {
			if was := d.numbers[n]; was != nil {
				entry := *was
				entry.Voicemail = nil
				d.numbers[n] = &entry
			}
		}
	default:
		for _, n := range about {
			if d.numbers[n] != nil {
				delete(d.numbers, n)
				d.gone = append(d.gone, n)
			}
		}
		if len(d.r.Numbers) == 0 {
			d.account = nil
			for _, m := range d.w.mailboxes {
				d.t.scope[m.Number] = true
			}
		}
	}
}

// boxes finds the mailboxes that the numbers in scope shall have at the systems that are told of theirs, and those that they lose.
func (d *decision) boxes() {
	type key struct{ fqdn, id string }
	have := map[key]store.Mailbox{}
	for _, m := range d.w.mailboxes {
		have[key{m.FQDN, m.ID}] = m
	}
	state := store.MailboxActive
	if d.account != nil && d.account.State == account.Suspended {
		state = store.MailboxSuspended
	}
	wanted := map[key]bool{}
	for _, n := range slices.Sorted(maps.Keys(d.numbers)) {
		v := d.numbers[n].Voicemail
		if v == nil {
			continue
		}
		p, known := d.w.pilots[v.Pilot]
		if !known {
			continue
		}
		for _, row := range p.entry.Systems {
			k, system := key{row.FQDN, cmp.Or(v.Mailbox, n)}, p.systems[row.FQDN]
			was, there := have[k]
			over := row.Until != nil && !row.Until.After(d.now)
			if !d.w.told(row.FQDN) || !there && (over || system.Drain || v.Class == account.Visual && !system.Visual) {
				continue
			}
			orphan := there && d.numbers[was.Number] == nil // it was another number's, which goes
			if first := !wanted[k]; first && (d.t.scope[n] || orphan) {
				m := store.Mailbox{FQDN: k.fqdn, ID: k.id, Tenant: d.w.tenant, User: d.r.UserProfile, Number: n, Class: "basic", State: state, Version: was.Version}
				if v.Class == account.Visual {
					m.Class = "visual"
				}
				d.t.boxes = append(d.t.boxes, m)
			}
			wanted[k] = true
		}
	}
	for _, m := range d.w.mailboxes {
		if d.t.scope[m.Number] && !wanted[key{m.FQDN, m.ID}] && m.State != store.MailboxRetained && m.State != store.MailboxDeleting {
			d.t.retire = append(d.t.retire, m)
		}
	}
}

// darken finds the numbers whose message lamp is to go out.
func (d *decision) darken() {
	for _, row := range d.w.numbers {
		now := d.numbers[row.Key]
		if row.Entry.(*account.NumberEntry).Voicemail != nil && (now == nil || now.Voicemail == nil) {
			d.t.dark = append(d.t.dark, row.Key)
		}
	}
}

// changes lists the rows to write, each with the version that this was decided on. What is wrong with a field is said in the words
// of the request.
func (d *decision) changes() {
	if len(d.bad.Problems) > 0 {
		return
	}
	bad := &account.Invalid{}
	current := map[string]store.Row{}
	for _, row := range d.w.numbers {
		current[row.Key] = row
	}
	if d.account != nil {
		d.t.account = account.NormalizeEntry(d.account, "account", bad).(*account.AccountEntry)
		if d.w.account == nil || !account.Same(d.w.account, d.t.account) {
			d.put(d.t.account, "account", d.w.version)
		}
	}
	for _, n := range slices.Sorted(maps.Keys(d.numbers)) {
		entry := d.numbers[n]
		if d.t.scope[n] {
			at := "number " + n
			row, there := current[n]
			entry = account.KeepSecrets(account.NormalizeEntry(entry, at, bad), row.Entry).(*account.NumberEntry)
			if !there || !account.Same(row.Entry, entry) {
				d.put(entry, at, row.Version)
			}
		}
		d.t.numbers = append(d.t.numbers, entry)
	}
	for _, rule := range d.rules {
		d.t.changes = append(d.t.changes, store.Change{Op: store.Put, Entry: rule, At: "rule"})
	}
	for _, n := range d.gone {
		d.drop(account.KindNumber, n, current[n].Version)
	}
	if d.account == nil && d.w.account != nil {
		d.drop(account.KindAccount, d.r.UserProfile, d.w.version)
	}
	d.bad.translate(bad, d.r)
}

func (d *decision) put(e account.Entry, at string, version int64) {
	d.t.changes = append(d.t.changes, store.Change{Op: store.Put, Entry: e, IfVersion: &version, At: at})
}

func (d *decision) drop(kind account.Kind, key string, version int64) {
	d.t.changes = append(d.t.changes, store.Change{Op: store.Delete, Kind: kind, Key: key, IfVersion: &version})
}

// translate adds the problems of rows under the fields of the request that they came from.
func (e *Invalid) translate(bad *account.Invalid, r Request) {
	_, v := r.voicemail()
	seen := map[string]bool{}
	for _, problem := range bad.Problems {
		path, detail, _ := strings.Cut(problem, ": ")
		row, field, _ := strings.Cut(path, ".")
		pointer := "/" + strings.NewReplacer("[", "/", "]", "", ".", "/").Replace(field)
		if n, ok := strings.CutPrefix(row, "number "); ok {
			switch {
			case strings.HasPrefix(field, "devices"):
			case strings.HasPrefix(field, "no_answer"):
				pointer = fmt.Sprintf("/services/%d/noAnswerSeconds", v)
			case strings.HasPrefix(field, "voicemail."):
				pointer = fmt.Sprintf("/services/%d/%s", v, strings.TrimPrefix(field, "voicemail."))
			default:
				pointer = fmt.Sprintf("/numbers/%d", max(0, slices.Index(r.Numbers, n)))
			}
		}
		if !seen[pointer] {
			e.add(pointer, "%s", detail)
		}
		seen[pointer] = true
	}
}
