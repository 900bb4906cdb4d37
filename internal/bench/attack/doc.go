// Package attack plays calm callers of a carrier through the proxy while others attack it, and measures what the calm ones notice.
//
// The proxy is a process of its own with a listener for carriers and nodes and one for devices; the calm callers, and whoever
// answers them, are SIPp. Each attack has a phase of its own: first without any, then floods, half-open and silent connections,
// garbage, forged headers. Of each phase the response time (INVITE to 180), the failed calls, and the proxy's memory are kept,
// and afterwards, when all is quiet, the memory that it has given back.
//
// Invariants: traffic goes to loopback alone, each attack is bounded in count and time; whoever answers counts every call that
// reaches it, so that one that should not have is seen; every process is ended by its own process id.
//
// Concurrency: Run owns all goroutines and processes and has waited for them when it returns.
package attack
