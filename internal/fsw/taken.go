package fsw

// TakenBack reports whether the guard had given the call to the operator's own dialplan before it ended: a sidecar that was
// frozen learns so only from the last event of the leg. It is meant to be asked after Over.
func (l *Leg) TakenBack() bool {
	last := l.session.FinalEvent()
	return last != nil && last.Var("signalbox_handed_back") != ""
}
