package sidecar

import (
	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/fsw"
)

// SetVerbs puts something between the plans and the legs they are run on.
func (s *Sidecar) SetVerbs(f func(*fsw.Leg) call.Leg) { s.verbs = f }
