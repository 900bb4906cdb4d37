// Package vmadmin creates, suspends, lists and deletes mailboxes at voicemail systems, over HTTP.
//
// A voicemail system that wants to be told of its mailboxes offers four requests below one URL:
//
//	PUT    {url}/mailboxes/{id}      makes the mailbox, or makes it as the body says; 200, 201 or 204
//	GET    {url}/mailboxes/{id}      200 with the mailbox, or 404
//	DELETE {url}/mailboxes/{id}      200, 202, 204, or 404: it is gone
//	GET    {url}/mailboxes?after=ID&limit=N    200 with {"mailboxes": [...]}, by id, those after one of them
//
// Bodies are a Mailbox in JSON, requests carry "Authorization: Bearer" when a token is configured. Every request may be
// repeated. Systems that are not configured make their mailboxes by themselves.
//
// Where requests go is decided by the configuration alone: redirects are not followed, and nothing that a tenant says
// becomes part of a URL but the escaped id of a mailbox. Answers are bounded. All types are safe for concurrent use.
package vmadmin
