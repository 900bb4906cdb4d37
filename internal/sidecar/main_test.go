package sidecar_test

import (
	"os"
	"testing"

	"github.com/signalbox/signalbox/internal/store/postgres/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Run(m)) }
