// Package packaging holds what turns the program into something an operator installs: systemd units, the Debian package, the
// images and their Compose file. Its Go files are tests only, and a module of their own, so that what the tests and nfpm
// need stays out of the product's go.mod. README.md says what was tried and how.
package packaging
