// Package render writes the include files of freeswitch-conf into a FreeSWITCH's conf folder, for an operator's settings
// instead of the shipped ones, and takes them away again.
//
// Invariants. Only a file is changed or removed that a run before wrote, by the manifest in the conf folder, and that
// nobody edited since, or that is byte for byte what is to be written or what is shipped; for any other the run changes
// nothing and says what to do. Each file is replaced in one step, what others refer to first, so that a reloadxml at any
// moment finds files that fit. The manifest is written before the files and holds what was there before: Undo brings it
// back exactly, also after a run that broke off. The default settings render the shipped files byte for byte.
//
// Concurrency. Two runs in one conf folder at one time are the operator's to avoid; each file is whole even so. A Settings
// value may be used by any number of goroutines.
package render
