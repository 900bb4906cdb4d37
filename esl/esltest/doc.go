// Package esltest is the FreeSWITCH end of Event Socket connections, for tests.
//
// [Far] is the far end of one connection, scripted by a test: it reads commands as
// mod_event_socket does and writes replies and events byte for byte as FreeSWITCH
// does. [Inbound] is a small program on top of it that logs clients in and
// answers api and bgapi. [Recordings] gives what a real FreeSWITCH 1.10.12 and its client
// said, and [Replay] plays FreeSWITCH's part of one against a client under test.
//
// A Far belongs to one goroutine at a time for reading and one for writing; the
// recordings are read-only.
package esltest
