package bulk

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/tel"
)

// Columns are those that a CSV file may have.
var Columns = []string{
	"op", "account", "name", "state", "language", "timezone", "services",
	"number", "no_answer", "devices", "a1_hash", "pilot", "class", "mailbox", "conditions", "first_diverter",
}

// ofRejects are the columns that a file of rejected lines has more. They are not read.
var ofRejects = []string{"line", "problem"}

// ofAccount are the columns that belong to the account. With any of them in the file, each line writes its account; without, the
// account has to be there.
var ofAccount = []string{"name", "state", "language", "timezone", "services"}

// table is a CSV file's header.
type table struct {
	comma        rune
	header       string
	columns      map[string]int
	width        int
	writeAccount bool
}

// newTable reads the header. Columns are parted by commas, or by semicolons or tabs where the header has no comma.
func newTable(header []byte) (*table, error) {
	t := &table{comma: ',', header: string(header), columns: map[string]int{}}
	for _, c := range []rune{';', '\t'} {
		if !strings.ContainsRune(t.header, ',') && strings.ContainsRune(t.header, c) {
			t.comma = c
		}
	}
	names, err := t.split(header)
	if err != nil {
		return nil, fmt.Errorf("line 1: %w", err)
	}
	for i, name := range names {
		name = strings.ToLower(strings.TrimSpace(name))
		if slices.Contains(ofRejects, name) {
			continue
		}
		if !slices.Contains(Columns, name) {
			return nil, fmt.Errorf("line 1: column %.40q is none of %s", name, strings.Join(Columns, ", "))
		}
		if _, twice := t.columns[name]; twice {
			return nil, fmt.Errorf("line 1: column %s stands twice", name)
		}
		t.columns[name] = i
		t.writeAccount = t.writeAccount || slices.Contains(ofAccount, name)
	}
	if _, ok := t.columns["account"]; !ok {
		return nil, fmt.Errorf("line 1: column account is missing; the first line names the columns, such as account,name,number,devices,pilot")
	}
	t.width = len(names)
	return t, nil
}

// split takes one line apart. A value has no line break, so that a quote that was never closed costs one line.
func (t *table) split(text []byte) ([]string, error) {
	r := csv.NewReader(bytes.NewReader(text))
	r.Comma = t.comma
	fields, err := r.Read()
	if err != nil {
		var at *csv.ParseError
		if errors.As(err, &at) {
			return nil, fmt.Errorf("no CSV: column %d: %w; quotes inside a quoted value are written twice", at.Column, at.Err)
		}
		return nil, fmt.Errorf("no CSV: %w", err)
	}
	return fields, nil
}

// parse finds out what a line wants.
func (t *table) parse(l *line) {
	fields, err := t.split(l.text)
	if err != nil {
		l.reject("%v", err)
		return
	}
	if len(fields) != t.width {
		l.reject("%d columns, and the first line names %d", len(fields), t.width)
		return
	}
	get := func(column string) string {
		if i, ok := t.columns[column]; ok {
			return strings.TrimSpace(fields[i])
		}
		return ""
	}
	switch op := strings.ToLower(get("op")); op {
	case "", string(store.Put):
		t.put(l, get)
	case string(store.Delete):
		t.remove(l, get)
	default:
		l.reject("op: %.40q is neither put nor delete", op)
	}
}

// remove deletes the number that a line names, or its account where it names none.
func (t *table) remove(l *line, get func(string) string) {
	raw := get("number")
	if raw == "" {
		l.changes = []store.Change{{Op: store.Delete, Kind: account.KindAccount, Key: get("account")}}
		return
	}
	number, err := tel.ParseNumber(raw, "")
	if err != nil {
		l.reject("number: %.80q is no telephone number in E.164, such as +14155550100", raw)
		return
	}
	l.changes = []store.Change{{Op: store.Delete, Kind: account.KindNumber, Key: string(number)}}
}

func (t *table) put(l *line, get func(string) string) {
	if t.writeAccount {
		l.changes = append(l.changes, store.Change{Op: store.Put, Entry: &account.AccountEntry{
			ID: get("account"), Name: get("name"), State: account.State(get("state")), Language: get("language"),
			TimeZone: get("timezone"), Services: strings.Fields(get("services")),
		}})
	}
	if get("number") == "" {
		for _, column := range []string{"no_answer", "devices", "a1_hash", "pilot", "class", "mailbox", "conditions", "first_diverter"} {
			if get(column) != "" {
				l.reject("number: is missing, and %s is a number's", column)
			}
		}
		if !t.writeAccount {
			l.reject("number: is missing")
		}
		return
	}
	n := &account.NumberEntry{Number: get("number"), Account: get("account")}
	if v := get("no_answer"); v != "" {
		n.NoAnswer = account.Duration(seconds(v, l))
	}
	for _, v := range strings.Fields(get("devices")) {
		d, err := device(v)
		if err != nil {
			l.reject("devices: %v", err)
		}
		n.Devices = append(n.Devices, d)
	}
	for i, hash := range strings.Fields(get("a1_hash")) { // one for each device, - for one that keeps what it has
		switch {
		case i >= len(n.Devices):
			l.reject("a1_hash: there are more than devices")
		case hash != "-":
			n.Devices[i].A1Hash = hash
		}
	}
	n.Voicemail = voicemail(l, get)
	l.changes = append(l.changes, store.Change{Op: store.Put, Entry: n})
}

func voicemail(l *line, get func(string) string) *account.VoicemailEntry {
	if get("pilot") == "" {
		for _, column := range []string{"class", "mailbox", "conditions", "first_diverter"} {
			if get(column) != "" {
				l.reject("pilot: is missing, and %s is voicemail's", column)
			}
		}
		return nil
	}
	v := &account.VoicemailEntry{Pilot: get("pilot"), Class: account.Class(get("class")), Mailbox: get("mailbox")}
	if words := strings.Fields(get("conditions")); len(words) > 0 {
		list := account.ConditionList{}
		for _, word := range words {
			if word != "none" {
				list = append(list, tel.Why(word))
			}
		}
		v.Conditions = &list
	}
	if s := get("first_diverter"); s != "" {
		yes, err := strconv.ParseBool(s)
		if err != nil {
			l.reject("first_diverter: %.40q is neither true nor false", s)
		}
		v.FirstDiverter = yes
	}
	return v
}

// seconds reads "20s", or "20", which can only be meant so.
func seconds(v string, l *line) time.Duration {
	if n, err := strconv.Atoi(v); err == nil && n >= 0 && n <= 3600 {
		return time.Duration(n) * time.Second
	}
	d, err := time.ParseDuration(v)
	if err != nil {
		l.reject("no_answer: %.40q is no duration such as 20s", v)
	}
	return d
}

// device reads "1000@pbx.example.net", a user of FreeSWITCH's directory, or "sip:desk@192.0.2.7:5062;transport=tcp", a fixed
// address.
func device(v string) (account.DeviceEntry, error) {
	kind, rest := account.DeviceRegistered, v
	if uri, ok := strings.CutPrefix(v, "sip:"); ok {
		kind, rest = account.DeviceURI, uri
	}
	d := account.DeviceEntry{Kind: kind}
	rest, params, _ := strings.Cut(rest, ";")
	if params != "" {
		transport, ok := strings.CutPrefix(params, "transport=")
		if !ok {
			return d, fmt.Errorf("%.80q: ;transport=udp or ;transport=tcp is all that may stand behind an address", v)
		}
		d.Transport = transport
	}
	user, host, ok := strings.Cut(rest, "@")
	if !ok {
		return d, fmt.Errorf("%.80q is neither a user of FreeSWITCH's directory, such as 1000@pbx.example.net, nor an address, such as sip:desk@192.0.2.7:5062", v)
	}
	d.User, d.Host = user, host
	if strings.Count(host, ":") == 1 || strings.Contains(host, "]:") {
		h, port, err := net.SplitHostPort(host)
		n, portErr := strconv.ParseUint(port, 10, 16)
		if err != nil || portErr != nil {
			return d, fmt.Errorf("%.80q has no port that can be read", v)
		}
		d.Host, d.Port = h, uint16(n)
	}
	d.Host = strings.TrimSuffix(strings.TrimPrefix(d.Host, "["), "]")
	return d, nil
}
