// Package trace shows what package dialplan finds: one call for people, the same call in two trees, and a file of test
// calls. It also makes calls of an INVITE. It is what "signalbox dialplan trace" prints.
//
// Invariants. FreeSWITCH's own lines are printed as they are; what was assumed or could not be evaluated is said and never
// mixed into them. Control characters of callers and of files do not reach a terminal. What is read is bounded: an INVITE
// at 64 KiB, a file of test calls at 8 MiB and 100,000 calls.
//
// Concurrency. Nothing here keeps state; functions may be called from any goroutine.
//
//	tree, err := dialplan.Load("/etc/freeswitch", dialplan.LoadOptions{})
//	walk, err := tree.Walk(ctx, call, dialplan.WalkOptions{})
//	err = trace.WriteText(os.Stdout, walk, trace.Options{Root: "/etc/freeswitch"})
package trace
