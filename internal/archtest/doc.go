// Package archtest holds the house rules that a compiler does not check: who may import whom, where goroutines are
// started, that every package says what it is. It has no code of its own, only tests.
package archtest
