package likeness

import (
	"flag"
	"os"
	"testing"
)

// TestMain lets the stories run beside each other: they mostly wait, so it is no question of processors.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "12"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}
