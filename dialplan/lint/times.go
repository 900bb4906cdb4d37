package lint

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/signalbox/signalbox/dialplan"
)

// timeRanges are the lowest and highest value of the time attributes that are numbers.
var timeRanges = map[string][2]int{"yday": {1, 366}, "mon": {1, 12}, "mday": {1, 31}, "week": {1, 53}, "mweek": {1, 6}, "wday": {1, 7}, "hour": {0, 23}, "minute": {0, 59}, "minute-of-day": {1, 1440}}

var weekdays = "sun mon tue wed thu fri sat"

// times reports time attributes that never hold.
func (l *linter) times(x *extension, el *dialplan.Element) {
	for _, a := range el.Attrs {
		bounds, ok := timeRanges[a.Name]
		if !ok || !literal(a.Value) {
			continue
		}
		for part := range strings.SplitSeq(a.Value, ",") {
			low, high, _ := strings.Cut(part, "-")
			for _, text := range []string{low, high} {
				if text == "" {
					continue
				}
				n, err := strconv.Atoi(strings.TrimSpace(text))
				if err != nil && a.Name == "wday" && strings.Contains(weekdays, strings.ToLower(text)) {
					continue
				}
				if err != nil || n < bounds[0] || n > bounds[1] {
					l.found("time-invalid", a.Pos, x, fmt.Sprintf("%s=%q: %s is not from %d to %d", a.Name, a.Value, text, bounds[0], bounds[1]), timeHint(a.Name))
				}
			}
		}
	}
	for _, r := range el.All("regex") {
		l.times(x, r)
	}
}

func timeHint(name string) string {
	if name == "wday" {
		return "days count from Sunday = 1 to Saturday = 7"
	}
	return "write a number, a range 1-5, or several with commas"
}
