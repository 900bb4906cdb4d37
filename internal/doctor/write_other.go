//go:build !linux

package doctor

import (
	"context"
	"errors"
)

// mayWrite is known on Linux alone.
func (d *doctor) mayWrite(context.Context, place, string) (bool, error) {
	return false, errors.New("not known on this system")
}
