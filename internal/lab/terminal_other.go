//go:build !unix

package lab

import "os"

// TerminalWidth is 0 here: everything is printed as into a file.
func TerminalWidth(*os.File) int { return 0 }
