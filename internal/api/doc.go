// Package api is the HTTP API for integrators: what a tenant provisioned, provisioning requests, call records, and what would happen
// to a call.
//
// One table (routes) says what there is: the server, the OpenAPI document and the rendered pages are made from it, so they cannot
// differ. Every route but the documentation asks for a bearer token with a scope. A token belongs to one tenant, and every read and
// write is of that tenant's rows alone: what another tenant has answers as if it did not exist, except that a number can be taken.
// Only a token of the operator with scope admin may say which tenant it means.
//
// Everything from outside is bounded: connections, requests at one time and per token and address, headers, bodies, nesting. A body is
// read strictly: a field that is not known, stands twice or has another type is named by its JSON pointer. Errors are problems
// (RFC 9457). Versions are entity tags: a write may say with If-Match what it was decided on.
//
// The Server is safe for concurrent use; its goroutines belong to Run. Depends on ports of package store alone.
package api
