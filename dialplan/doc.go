// Package dialplan reads FreeSWITCH's XML dialplan as FreeSWITCH reads it and hunts in it offline.
//
// [Load] reads one XML file or a whole configuration tree (freeswitch.xml with its X-PRE-PROCESS directives) and keeps
// the file, line and column of every element. [Tree.Hunt] does what mod_dialplan_xml does with one call and returns the
// actions it would queue together with the lines FreeSWITCH would log. [Tree.Walk] goes on from there: it executes
// set, export, set_user, transfer, execute_extension and their like on paper, and yields the hunts and executed
// applications of the whole call. [Expand] expands variables and function calls in an application's argument.
// [ReadDump] makes a call of what uuid_dump prints.
//
// The judge is a real FreeSWITCH 1.10.12: its traces are in testdata, those of its own configuration among them. That
// includes behaviour nobody would design: nested actions run after the outer ones below them, a time condition that
// holds outweighs a failing pattern, a pattern with more than nine groups never matches, a "regex=all" condition that
// failed late still ends the hunt, and a date of fourteen digits is a time of today.
//
// Invariants. Nothing in a configuration tree is executed: the directives exec, exec-set and stun-set are refused
// with a notice, and a function call inside ${...} is evaluated only when it has no side effect; any other is left
// standing as it was written and reported, never guessed. Everything that a hostile tree can make large is bounded
// (see [Limits]), patterns have a time limit, and every error names file and line.
//
// Concurrency. A Tree is safe for use by any number of goroutines once Load returned. A [Call] and its [Variables]
// belong to one goroutine.
//
//	tree, err := dialplan.Load("/etc/freeswitch", dialplan.LoadOptions{})
//	call := &dialplan.Call{Context: "public", Destination: "+14155550100", Vars: dialplan.NewVars(nil), Now: time.Now()}
//	result, err := tree.Hunt(ctx, call)
package dialplan
