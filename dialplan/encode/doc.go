// Package encode is the one place where text becomes a FreeSWITCH application argument, a dial string or an API
// command. Everything that a caller, an address book or an operator's data can influence passes through here before
// it is sent over the Event Socket.
//
// FreeSWITCH expands ${...} in every argument that the Event Socket hands to an application, and has no escape for
// it: "\${system(x)}" runs as well. It expands a variable's value again when the value itself names a variable. So
// nothing that leaves this package contains a dollar sign, a line break, a NUL or another control character. Text
// that holds them is refused with [ErrUnsafe] by the encoders, and rewritten by the two functions that never fail,
// [Text] for display names and [Header] for SIP header values.
//
// What FreeSWITCH can un-quote is quoted, the way it un-quotes it: a leg's variables pass five rounds of un-quoting
// (expansion, alternatives, legs, variables, name and value), the variables of a whole dial string pass three. A
// backslash in a leg's variable leaves as thirty-two. Brackets are the exception: FreeSWITCH counts them without regard
// to quotes, so one without its partner is refused. A caller's name and number are a case of their own, because
// FreeSWITCH decodes percent escapes in them and cuts them. The rules were read from FreeSWITCH 1.10.12 and measured
// on it; testdata/measured.json keeps the inputs and what arrived.
//
// Dial strings are built from typed targets only ([RegisteredUser], [SIPURI], [Voicemail], [Gateway]); there is no
// way to pass loopback/, user/, error/ or any free text where FreeSWITCH expects a target.
//
// All functions are pure and safe for concurrent use.
package encode
