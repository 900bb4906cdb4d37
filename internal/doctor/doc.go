// Package doctor looks at a running FreeSWITCH, and where it may at its conf tree and at our own configuration, and says
// what Signalbox lacks there: each thing as ok, warn or fail, with the lines to add.
//
// Invariants. It only asks: no command of it changes anything on the switch, no call is placed, and nothing is written. What
// it may not ask (a directory user's rights) or cannot know (no configuration was given) it says so instead of guessing.
// Every question has a bound. The checks come in one order, each by a name of its own, so that two reports can be compared.
// No password is ever part of a report.
//
// Concurrency. Examine uses one connection and the caller's goroutine; a Report belongs to its caller.
package doctor
