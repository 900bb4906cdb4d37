// Package export hands finished call records to others: as JSON lines in a file, and by HTTP POST with a spool on the disk.
//
// A record is exported just before the store closes it (Records stands in front of the store), and that order is the whole
// safety: whatever moment the process dies at, a record is either in the spool, or still open in the store or in the ledger's own
// spool, from where the next process closes, and so exports, it. No mark "exported" is needed in the store. The price is that a
// record may be exported twice, with the same id, which is why the id is the key that a receiver drops repetitions by.
//
// Nothing here is on the path of a call: the one who waits, for a second at most, is the ledger. The spool is bounded in bytes; what
// finds no room is counted and said, and stays in the store. An Exporter is safe for concurrent use; Run owns its goroutines:
// one writes file and spool, one posts.
package export
