package strictyaml_test

import (
	"errors"
	"strings"
	"testing"

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
