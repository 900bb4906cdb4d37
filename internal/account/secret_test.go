package account

import (
	"strings"
	"testing"
)

func TestPhonesKeepTheirPasswordsHash(t *testing.T) {
	hash, other := strings.Repeat("0a", 16), strings.Repeat("0b", 16)
	phone := func(user, hash string) DeviceEntry {
		return DeviceEntry{Kind: DeviceRegistered, User: user, Host: "pbx.example.net", A1Hash: hash}
	}
	before := &NumberEntry{Number: "+14155550100", Devices: []DeviceEntry{phone("1000", hash), phone("1001", "")}}
	read := WithoutSecrets(before).(*NumberEntry)
	if read.Devices[0].A1Hash != "" || before.Devices[0].A1Hash != hash {
		t.Fatalf("who reads sees %+v, kept is %+v", read.Devices, before.Devices)
	}
	for name, c := range map[string]struct {
		given string
		want  string
	}{"left out": {"", hash}, "another": {other, other}, "taken away": {NoA1Hash, ""}} {
		sent := *read
		sent.Devices = []DeviceEntry{phone("1000", c.given), phone("1001", ""), phone("1002", NoA1Hash), {Kind: DeviceURI, User: "1000", Host: "pbx.example.net"}}
		kept := KeepSecrets(&sent, before).(*NumberEntry)
		if kept.Devices[0].A1Hash != c.want || kept.Devices[1].A1Hash+kept.Devices[2].A1Hash+kept.Devices[3].A1Hash != "" {
			t.Errorf("%s: %+v", name, kept.Devices)
		}
		if sent.Devices[0].A1Hash != c.given {
			t.Errorf("%s: what was sent is changed", name)
		}
	}
	if n := KeepSecrets(&NumberEntry{Devices: []DeviceEntry{phone("1000", NoA1Hash)}}, nil).(*NumberEntry); n.Devices[0].A1Hash != "" {
		t.Errorf("of a new number is kept %q", n.Devices[0].A1Hash)
	}
}

func TestHashOfAPasswordIsChecked(t *testing.T) {
	for given, want := range map[string]string{
		"0123456789ABCDEF0123456789abcdef": "", "none": "", "": "",
		"hunter2": "32 digits", "0123456789abcdef0123456789abcdeg": "32 digits", "0123456789abcdef0123456789abcdef0": "32 digits",
	} {
		bad := &Invalid{}
		d := DeviceEntry{User: "1000", Host: "pbx.example.net", A1Hash: given}.normalize("devices[0]", bad)
		switch err := bad.Err(); {
		case want == "" && (err != nil || d.A1Hash != strings.ToLower(given)):
			t.Errorf("%q: %v, %q", given, err, d.A1Hash)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), given)):
			t.Errorf("%q: %v: want what is wrong, without what was given", given, err)
		}
	}
	bad := &Invalid{}
	DeviceEntry{Kind: DeviceURI, User: "desk", Host: "192.0.2.7", A1Hash: strings.Repeat("0a", 16)}.normalize("devices[0]", bad)
	if err := bad.Err(); err == nil || !strings.Contains(err.Error(), "does not register") {
		t.Errorf("a fixed address with a hash: %v", err)
	}
}
