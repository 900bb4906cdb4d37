// Package lab plays telephone calls from end to end and tells each of them as a story.
//
// It starts a switch (the simulator, or it uses a real FreeSWITCH), a store, the proxy and the sidecar as processes of
// their own, and plays everybody else itself: callers, phones, the operator's own extension, two voicemail targets behind
// a test DNS, all over real SIP and RTP on loopback. A story is a function on a Rig; it asserts what a user would notice:
// who rang, who talked with whom (proved by voice packets that arrived on both sides), which answer the caller got and
// when, what is in the call record. The same stories are the end-to-end tests.
//
// Invariants: a story that cannot prove its claim fails; every message an agent sends or receives is in the story's trace,
// byte for byte; a process is ended by its own process id and its output is shown when something fails; nothing leaves
// loopback. The user agents speak through sipgo's parser and write their own messages, so that a message can be as wrong as
// a story needs it.
//
// Concurrency: an Agent has one goroutine that owns its calls; every method posts to it and waits. A Trace and a Rig may
// be used from several goroutines, because stories of different numbers run at the same time. Stories that kill or stop the
// sidecar run alone. Run owns all goroutines and has waited for them when it returns; an Agent's Close waits for its own.
package lab
