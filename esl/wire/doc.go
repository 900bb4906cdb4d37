// Package wire is the codec of the FreeSWITCH Event Socket, in both directions.
//
// The side of a client: a [Reader] cuts the byte stream of FreeSWITCH into
// messages, [ParseEvent] looks into the message of an event, and [Check] with
// [AppendCommand] guard and frame what goes out. The side of FreeSWITCH, for
// simulators and tests: [ReadCommand] reads what a client sends the way
// mod_event_socket reads it, and the Append functions write replies, events and
// notices byte for byte as FreeSWITCH 1.10 writes them.
//
// Invariants:
//   - Header names keep their case. variable_sip_h_X-Foo and variable_sip_h_x-foo
//     are two headers, so every look-up is by the exact name, first match.
//   - Nothing is decoded before it is asked for: a message holds the bytes as
//     they came, and [Event.Get] finds and decodes one value.
//   - Every length that comes from the network is bounded by [Limits] before
//     memory is taken for it, and every way a stream can be wrong is a named
//     error. After an error a stream is out of step and must be closed.
//   - Whatever [Check] lets pass is read by FreeSWITCH, and by [ReadCommand], as
//     exactly one message.
//
// Concurrency: a [Reader] belongs to one goroutine. [Message], [Header] and
// [Event] are immutable once read and may be shared freely. The functions keep
// no state.
package wire
