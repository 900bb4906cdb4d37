// Package book reads and writes address books: vCard 2.1, 3.0 and 4.0 (RFC 2426, RFC 6350), jCard (RFC 7095), and CSV as Google,
// Outlook and others export it, and brings them into an account's contacts.
//
// Read is pure: a file and a country give contacts in their one form and problems with the line where each stands. A bad entry
// costs itself alone. National numbers are read in the country of the account. People who stand in the file twice become one
// contact, by rules that do not depend on the order of the file; the ID of a contact comes from the UID of its card, or else from its
// name, so that the same file read again gives the same contacts. Import compares them with what an account has and writes the
// differences; doing it again writes nothing.
//
// A file is from outside. Its size, its lines, its entries and its numbers are bounded. A name is kept as the text it is, on one
// line and without control characters; it is up to whoever hands it to FreeSWITCH or a shell to encode it (dialplan/encode), and
// nothing here interprets it.
//
// The vCard reader is our own: the libraries that there are name no lines, bound nothing, and do not know the 2.1 that phones still
// write. Everything is safe for concurrent use, and starts no goroutines.
package book
