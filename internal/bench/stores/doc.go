// Package stores measures what a look-up of a profile costs with a thousand, a hundred thousand and a million users, on both stores.
//
// Each size has a store of its own, filled through the port that API and bulk use. Then the stores take turns, round by round, so
// that the weather of the machine is the same for all of them: look-ups of numbers in memory, through the cache as calls make them,
// and look-ups of random numbers that nobody has asked for. At last each store is opened anew. One goroutine measures; nothing is kept.
package stores
