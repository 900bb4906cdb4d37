package app

import (
	"bytes"
	"fmt"
	"os"
	"testing"
)

// TestStartCodeIsGivenBack: the program's pages leave its resident memory, and it goes on.
func TestStartCodeIsGivenBack(t *testing.T) {
	resident := func() (kB int) {
		status, err := os.ReadFile("/proc/self/status")
		if err != nil {
			t.Skip(err)
		}
		_, rest, _ := bytes.Cut(status, []byte("RssFile:"))
		if _, err := fmt.Sscan(string(rest), &kB); err != nil {
			t.Fatalf("%v in %s", err, status)
		}
		return kB
	}
	before := resident()
	dropStartCode()
	if after := resident(); after > before*3/4 {
		t.Errorf("%d kB of files are resident, %d before", after, before)
	}
}
