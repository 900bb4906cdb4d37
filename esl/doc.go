// Package esl speaks the Event Socket of FreeSWITCH, in both of its directions.
//
// A [Conn] is one connection: commands out, replies and events in. [Dial] opens
// an inbound one (we connect to FreeSWITCH and log in); a [Link] keeps an inbound one up for
// the life of a process. A [Server] takes the outbound ones that the dialplan's
// application "socket" opens towards us; each is a [Session], one call under our
// control, driven by one goroutine with straight-line code.
//
//	srv, err := esl.NewServer(esl.ServerOptions{
//		Addr: "127.0.0.1:8084",
//		Handler: func(ctx context.Context, s *esl.Session) {
//			if err := s.Linger(ctx, 5*time.Second); err != nil {
//				return // closing hands the call back to the dialplan
//			}
//			done, err := s.Execute(ctx, "playback", "silence_stream://1000")
//			...
//		},
//	})
//	err = srv.Run(ctx)
//
// # Invariants
//
//   - FreeSWITCH answers the commands of a connection strictly in order and its
//     replies carry no id, so a waiter is queued before its command is written and
//     replies are handed out first in, first out. A reply never reaches the wrong
//     caller: a caller who gave up leaves its place in the queue behind.
//   - A timeout closes the connection: FreeSWITCH was silent for
//     CommandTimeout, or a caller's deadline passed while it waited for
//     a reply. A caller whose context is merely cancelled leaves, and the
//     connection lives on; so it does on a Link, which many share, when the
//     deadline of one passes.
//   - Every outgoing message passes [wire.Check]; what would be read as two is
//     refused before it is sent.
//   - Events are delivered in the order they arrived. The reader never waits for
//     a consumer: a full event queue sheds our own work (see Overflow), because
//     FreeSWITCH drops a listener that reads slowly and pays for it in memory.
//     Completions of executed applications, the hangup and the results of background jobs are
//     taken out before the queue and are never shed.
//   - A stream that is not understood (a message cut off, an unknown content
//     type, a reply nobody asked for) closes the connection with a named error.
//
// # What FreeSWITCH 1.10.12 does, measured
//
//   - The Event-UUID of a "sendmsg execute" is the Application-UUID of its
//     CHANNEL_EXECUTE and CHANNEL_EXECUTE_COMPLETE, also when it fails at once, and
//     applications it executes in turn have UUIDs of their own. With "loops" above 1
//     each round completes under the same UUID: Session never sends loops.
//   - When the channel hangs up, the running application completes before
//     CHANNEL_HANGUP_COMPLETE; of those queued behind it some still run ("set") and the others never
//     complete. CHANNEL_HANGUP_COMPLETE is the last word.
//   - "sendmsg hangup" waits for the end of a running application, with
//     event-lock-pri too; "api uuid_kill" acts within 20 ms.
//   - The reply to "userauth" is cut at 512 bytes: with a long esl-allowed-api its end is
//     missing and the login never completes.
//   - "getvar" answers with the bare value; one with a blank line in it is read as
//     another message. Check refuses getvar.
//
// # Concurrency
//
// A Conn owns two goroutines, a reader and a writer, and Close waits for both. All
// methods of Conn, Session, Link and Server may be called from any goroutine.
// No lock is held across I/O, a channel send or a callback.
package esl
