//go:build !unix

package render

import "os"

// own does nothing where files have no owner of that kind.
func own(*os.File, string) {}

// ownFolder does nothing either.
func ownFolder(string, string) {}
