// Package bulk loads provisioning rows from files of any length, line by line, and writes them so.
//
// A file is CSV, one subscriber a line, or JSON Lines, one row of any kind a line. Lines are written to the store in
// batches, each one transaction. A line that cannot be taken costs only itself: it goes, with the reason, to a file of
// rejected lines that can be corrected and loaded in turn. How far a load has come stands in a journal beside the file,
// written behind each batch, so that after any death the same load goes on from there; the batch under way is then
// written again, which changes nothing, because rows have keys of their own. What depends on earlier lines (the same key twice)
// is found from the file alone, so that an interrupted load ends as one that was not.
//
// Memory does not grow with the store; with the file, by some 50 bytes a line. A Load is one goroutine's.
package bulk
