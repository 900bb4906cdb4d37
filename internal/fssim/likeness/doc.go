// Package likeness holds the simulator against the original. It has no code of its own, only tests:
//
//   - The recordings of a real FreeSWITCH 1.10.12 (esl/esltest) are played against the simulator, the client's commands in
//     their order with callers and phones on the SIP side, and what comes back is compared: the replies, and for each leg
//     the events in their order with every header and variable.
//   - A suite of small scenarios runs against the simulator and is compared with what the real switch did, which is kept
//     in testdata/switch with the version that did it. Where a FreeSWITCH is named (SIGNALBOX_FREESWITCH) the suite runs
//     against it as well, and what is kept must be what it does; with -update it is written anew.
//
// What cannot be equal (times, ports, UUIDs, sequence numbers) is normalised. Every other difference stands in
// testdata/differences.yaml with its reason: a test fails on one that is not listed, and on a listed one that is not seen
// any more.
package likeness
