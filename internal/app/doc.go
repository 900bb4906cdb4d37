// Package app puts the product together: it alone knows every other package.
//
// New opens everything a role needs and undoes what it opened when something fails; Run works until its context ends and
// then stops in the reverse order, the Event Socket listener first, so that FreeSWITCH goes on with the operator's own
// dialplan while calls that are running end. Reload builds and checks the new configuration before it changes anything;
// an error leaves everything as it was. An App is used by one goroutine; Reload may come from another.
package app
