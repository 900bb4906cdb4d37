// Package lint finds faults in a FreeSWITCH dialplan without a FreeSWITCH: extensions that no call comes to, patterns that
// do not compile or that a caller can make expensive, captures that do not exist, actions that never run, names that are
// probably misspelt, and the ways in which a stranger on the public side reaches a gateway or a shell.
//
// Invariants. What a finding says happens is what FreeSWITCH 1.10.12 does, measured or read in its source. Severity error is
// for what cannot be meant; FreeSWITCH's own vanilla tree has one, a real one. Whether a pattern takes all that another takes
// is decided on the automata of both, and where that cannot be decided nothing is said. The same tree gives the same
// findings in the same order. Nothing in a tree is executed, and what is read is bounded by dialplan.Limits.
//
// Concurrency. Check keeps no state; a Report belongs to its caller.
//
//	report, err := lint.Check("/etc/freeswitch", lint.Options{})
//	for _, f := range report.Findings {
//		fmt.Println(f.Pos, f.Rule, f.What, f.Instead)
//	}
package lint
