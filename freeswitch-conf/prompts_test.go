package freeswitchconf

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"flag"
	"fmt"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var speak = flag.Bool("speak", false, "make the prompts' files anew; needs flite, espeak-ng and sox")

// promptsSum is of the prompts and words of SoundsRevision.
const promptsSum = "cc7671814d109299"

// Each prompt is there in each language, and no file is there that is none.
func TestPromptsAndFilesAreTheSame(t *testing.T) {
	if *speak {
		speakAll(t)
	}
	want := map[string]bool{}
	for _, p := range Prompts() {
		for _, l := range Languages() {
			want[p.File(l)] = true
			if p.Text(l) == "" {
				t.Errorf("prompt %s says nothing in %s", p, l)
			}
		}
	}
	total, words := 0, sha256.New()
	for _, p := range Prompts() {
		fmt.Fprintln(words, p, texts[p])
	}
	if got := hex.EncodeToString(words.Sum(nil)[:8]); got != promptsSum {
		t.Errorf("prompts or their words have changed (%s, not %s): SoundsRevision and the name of its file go up by one, and this test has the new sum", got, promptsSum)
	}
	err := fs.WalkDir(SoundFiles, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		if path == RevisionFile() {
			return nil
		}
		if !want[path] {
			t.Errorf("%s is no prompt", path)
		}
		delete(want, path)
		text, err := fs.ReadFile(SoundFiles, path)
		total += len(text)
		checkSound(t, path, text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if text, err := fs.ReadFile(SoundFiles, RevisionFile()); err != nil || !strings.Contains(string(text), fmt.Sprintf("revision %d:", SoundsRevision)) {
		t.Errorf("the file of the prompts' revision: %v %q", err, text)
	}
	for path := range want {
		t.Errorf("%s is not there: go test ./freeswitch-conf -speak makes it", path)
	}
	if most := 5 << 19; total > most {
		t.Errorf("the prompts have %d bytes, at most %d: shorter sentences", total, most)
	}
}

// checkSound asks for a WAV of 8 kHz, 16 bit, one channel, in which somebody speaks at a level that is neither faint nor cut off.
func checkSound(t *testing.T, path string, wav []byte) {
	t.Helper()
	if len(wav) < 44 || string(wav[:4]) != "RIFF" || string(wav[8:16]) != "WAVEfmt " || string(wav[36:40]) != "data" {
		t.Errorf("%s: no plain WAV", path)
		return
	}
	if format, channels, rate, bits := binary.LittleEndian.Uint16(wav[20:]), binary.LittleEndian.Uint16(wav[22:]), binary.LittleEndian.Uint32(wav[24:]), binary.LittleEndian.Uint16(wav[34:]); format != 1 || channels != 1 || rate != 8000 || bits != 16 {
		t.Errorf("%s: format %d, %d channels, %d Hz, %d bits", path, format, channels, rate, bits)
	}
	if n := binary.LittleEndian.Uint32(wav[40:]); int(n) != len(wav)-44 {
		t.Errorf("%s: %d bytes of sound, the header says %d", path, len(wav)-44, n)
	}
	if d := float64(len(wav)-44) / 16000; d < 0.15 || d > 9 {
		t.Errorf("%s lasts %.2f s", path, d)
	}
	peak, power := 0.0, 0.0
	for i := 44; i+1 < len(wav); i += 2 {
		v := math.Abs(float64(int16(binary.LittleEndian.Uint16(wav[i:]))))
		peak, power = max(peak, v), power+v*v
	}
	if rms := math.Sqrt(power / float64((len(wav)-44)/2)); peak < 12000 || peak > 32000 || rms < 800 {
		t.Errorf("%s: peak %.0f, level %.0f", path, peak, rms)
	}
}

// speakAll makes the files. What each voice is, and under what terms, is in sounds/README.md.
func speakAll(t *testing.T) {
	run := func(name string, args ...string) {
		t.Helper()
		if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
	}
	raw := filepath.Join(t.TempDir(), "raw.wav")
	for _, l := range Languages() {
		if err := os.RemoveAll(filepath.Join(filepath.FromSlash(Sounds), l)); err != nil {
			t.Fatal(err)
		}
		for _, p := range Prompts() {
			file := filepath.FromSlash(p.File(l))
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			if l == "de" {
				run("espeak-ng", "-v", "de", "-s", "180", "-w", raw, p.Text(l))
			} else {
				run("flite", "-voice", "slt", "--setf", "duration_stretch=0.9", "-t", p.Text(l), "-o", raw)
			}
			// Without the silence around it, which a sentence put together of several would be full of.
			run("sox", "-R", raw, "-r", "8000", "-b", "16", "-c", "1", file, "highpass", "120", "norm", "-3",
				"silence", "1", "0.02", "0.5%", "reverse", "silence", "1", "0.02", "0.5%", "reverse", "pad", "0.03", "0.05")
		}
	}
	t.Log("the files are new: run the test again, so that it sees them")
}
