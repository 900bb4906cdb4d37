// Package provision does provisioning requests: one request names a subscriber and one or more messaging services, and all of it
// becomes true or nothing does.
//
// A request is checked before it is kept, so that a fault is said at once and nothing is written. It is then done step by step:
// the mailboxes are made at their voicemail systems, then the routing profile and the index of numbers are written in one
// transaction, then what a call would read is looked at. When a step fails the steps before it are undone. Every step may be
// repeated, and what was done is kept with the request before the next step, so that another process, or this one after a crash, goes on
// where it stopped. Requests of one user are done one after the other, in the order they came. Somebody who is removed keeps
// the mailboxes for the retention; then they are deleted.
//
//	open: queued -> running -> done                 -> webhook, until it is taken or given up
//	                        -> undo -> failed       -> webhook
//
// What a request means for the rows is decided by one pure function (decide); the rest is reading and writing. Provisioner is safe for
// concurrent use; its goroutines belong to Run.
package provision
