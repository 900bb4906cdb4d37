package strictyaml_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/strictyaml"
)

type file struct {
	Name string   `yaml:"name"`
	List []string `yaml:"list"`
	Any  any      `yaml:"any"`
}

func TestGoodFileOverDefaults(t *testing.T) {
	f := file{Name: "default"}
	if err := strictyaml.Decode([]byte("list: ['*86', \"&x\", a*b]\nany:\n  - [1, {b: 2}]\n"), &f); err != nil {
		t.Fatal(err)
	}
	if f.Name != "default" || len(f.List) != 3 || f.List[0] != "*86" {
		t.Errorf("file is %+v", f)
	}
	for _, empty := range []string{"", "# nothing\n", "---\n"} {
		if err := strictyaml.Decode([]byte(empty), &f); err != nil || f.Name != "default" {
			t.Errorf("%q: %v, %+v", empty, err, f)
		}
	}
}

func TestManyRowsAreNotNesting(t *testing.T) {
	var f file
	text := "list: [" + strings.Repeat("x, ", 500) + "x]\nany:\n" + strings.Repeat("  - {a: [1, 2]}\n", 500)
	if err := strictyaml.Decode([]byte(text), &f); err != nil || len(f.List) != 501 {
		t.Errorf("%d entries, %v", len(f.List), err)
	}
}

func TestRefused(t *testing.T) {
	var bomb strings.Builder
	bomb.WriteString("any: &a [x,x,x,x,x,x,x,x,x,x]\n")
	for c := 'b'; c <= 'k'; c++ {
		bomb.WriteString("name: &" + string(c) + " [" + strings.Repeat("*"+string(c-1)+",", 9) + "*" + string(c-1) + "]\n")
	}
	for name, text := range map[string]string{
		"alias bomb":    bomb.String(),
		"alias":         "name: x\nlist: [*a]",
		"anchor":        "name: &a x",
		"merge":         "any: {<<: *a}",
		"tag":           "name: !!binary aGk=",
		"tag on a map":  "any:\n ! #0\n0 \n  -0\n8:\n   !0 0",
		"deep list":     "any: " + strings.Repeat("[", 100_000),
		"deep map":      "any: " + strings.Repeat("{a: ", 20_000),
		"deep entries":  "any:\n  " + strings.Repeat("- ", 100_000) + "x",
		"complex keys":  strings.Repeat("? ", 100_000) + "x",
		"size":          "name: " + strings.Repeat("x", strictyaml.MaxBytes),
		"mixed nesting": "any:\n  " + strings.Repeat("- ", 20) + strings.Repeat("[", 20) + strings.Repeat("]", 20),
	} {
		var f file
		if err := strictyaml.Decode([]byte(text), &f); !errors.Is(err, strictyaml.ErrRefused) {
			t.Errorf("%s: %.200v, want ErrRefused", name, err)
		}
	}
	var f file
	if err := strictyaml.Decode([]byte("name: x\nlist: [*86]"), &f); err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("error does not name the line: %v", err)
	}
	for name, text := range map[string]string{"unknown key": "nam: x", "twice": "name: x\nname: y", "type": "list: {a: b}"} {
		if err := strictyaml.Decode([]byte(text), &f); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{"name: x", "list: [a, b]", "any: {a: [1, {b: c}]}", "any: &a [*a]", "- - -", "? a", "a: |\n  x", "\"", "%", "--- !t"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(_ *testing.T, text []byte) {
		if len(text) > 1<<16 {
			return
		}
		var v file
		_ = strictyaml.Decode(text, &v)
	})
}

type all struct {
	Wait  time.Duration `yaml:"wait"`
	Share float64       `yaml:"share"`
	Port  uint16        `yaml:"port"`
	When  *time.Time    `yaml:"when,omitempty"`
	Below []struct {
		Yes bool   `yaml:"yes"`
		Key secret `yaml:"key"`
	} `yaml:"below"`
}

type secret string

func (s *secret) UnmarshalText(text []byte) error {
	if *s = secret(text); len(text) > 8 {
		return errors.New("longer than 8")
	}
	return nil
}

func TestADurationOfNothingNeedsNoUnit(t *testing.T) {
	for text, want := range map[string]time.Duration{"wait: 0": 0, "wait: '0'": 0, "wait: 90s # so long": 90 * time.Second, "wait: \"1h\"": time.Hour, "share: 1": 7} {
		a := all{Wait: 7}
		if err := strictyaml.Decode([]byte(text), &a); err != nil || a.Wait != want {
			t.Errorf("%q: %s, %v", text, a.Wait, err)
		}
	}
}

// TestEveryFaultIsToldWithItsLine: and no line of the file is, in which a password may stand.
func TestEveryFaultIsToldWithItsLine(t *testing.T) {
	const text = `wait: 5
share: much
port: 70000
when: tomorrow
below:
  - yes: [a]
    key: hidden
    kee: hidden
  - {key: much-too-long, yes: true, no: true}
  - hidden
`
	var a all
	err := strictyaml.Decode([]byte(text), &a)
	const want = `line 1: wait: "5": write a duration, such as 30s, 5m or 2h
line 2: share: "much": write a number
line 3: port: "70000": write a whole number from 0 to 65535
line 4: when: "tomorrow": write a time, such as 2026-12-01T09:00:00Z
line 6: below[0].yes: a list, or keys: write one value
line 8: below[0].kee: no such key; there are yes, key
line 9: below[1].key: longer than 8
line 9: below[1].no: no such key
line 10: below[2]: one value: here stand keys with theirs, of yes, key`
	if err == nil || err.Error() != want {
		t.Errorf("error is\n%v\nwant\n%s", err, want)
	}
	var faults strictyaml.Faults
	if !errors.As(err, &faults) || faults[5].Line != 8 || faults[5].Key != "below[0].kee" {
		t.Errorf("faults are %+v", faults)
	}
	for text, want := range map[string]string{
		"below:\n\t- yes: true":             "line 2: indented by a tab: write blanks",
		"wait: 1s\nwait: 2s\nkey: hidden\n": `line 2: mapping key "wait" already defined at [1:1]`,
		strings.Repeat("k: 1\n", 1) + "- x": "line 2",
	} {
		if err := strictyaml.Decode([]byte(text), &a); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}
