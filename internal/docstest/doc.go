// Package docstest reads the project's Markdown for the tests that hold it true: links and anchors lead somewhere, every
// snippet of configuration is loaded, every command line is parsed by the program's own parser and run, and what
// docs/architecture.md says of files and functions exists. The command lines are tried in cmd/signalbox, which has the parser.
//
// It understands as much of Markdown as the project writes: fenced blocks, code spans, links and headings. It is for tests
// only; everything in it is a pure function of the files and safe for concurrent use.
package docstest
