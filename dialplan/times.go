package dialplan

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// timeAttrs are the attributes of a condition that speak of time.
var timeAttrs = [...]string{"date-time", "year", "yday", "mon", "mday", "week", "mweek", "wday", "hour", "minute", "minute-of-day", "time-of-day"}

// timeMatch is the result of a condition's time attributes.
type timeMatch int

const (
	timeNone timeMatch = iota // it has none
	timePass
	timeFail
)

// zoneOf returns the time zone that a call's variables ask for: tod_tz_offset (hours) goes before timezone (a name).
// An unknown name means the local zone here; FreeSWITCH takes whatever its memory holds then.
func (h *hunter) zoneOf() (loc *time.Location, known bool) {
	if off, ok := h.resolve.Variable("tod_tz_offset"); ok && isNumber(off) {
		return time.FixedZone("", atoi(off)*3600), true
	}
	local := h.call.Now.Location()
	name, ok := h.resolve.Variable("timezone")
	if !ok || name == "" {
		return local, true
	}
	if loc, known := h.tree.zone(name); known {
		return loc, true
	}
	return local, false
}

// hasTime reports whether e speaks of time at all.
func hasTime(e *Element) bool {
	for i := range e.Attrs {
		switch e.Attrs[i].Name {
		case "tz-offset", "dst", "date-time", "year", "yday", "mon", "mday", "week", "mweek", "wday", "hour", "minute", "minute-of-day", "time-of-day":
			return true
		}
	}
	return false
}

// checkTime evaluates the time attributes of e at now, which carries the switch's own zone; loc is the zone of the
// call. All of them have to hold.
func checkTime(e *Element, now time.Time, loc *time.Location) timeMatch {
	at := now.In(loc)
	result := timeNone
	check := func(ok bool) {
		if result == timeFail {
			return
		}
		result = timeFail
		if ok {
			result = timePass
		}
	}
	if v, ok := e.Attr("tz-offset"); ok {
		_, seconds := at.Zone()
		want := seconds / 3600
		if v != "" && isNumber(v) {
			want = atoi(v)
		}
		check(want == seconds/3600)
	}
	if v := e.Soft("dst"); v != "" {
		check(isTrue(v) && now.IsDST())
	}
	for _, name := range timeAttrs {
		if v, ok := e.Attr(name); ok {
			check(timeHolds(name, v, at, now))
		}
	}
	return result
}

func timeHolds(name, v string, at, now time.Time) bool {
	switch name {
	case "date-time":
		return dateRange(v, now)
	case "year":
		return numberIn(v, at.Year())
	case "yday":
		return numberIn(v, at.YearDay())
	case "mon":
		return numberIn(v, int(at.Month()))
	case "mday":
		return numberIn(v, at.Day())
	case "week":
		return numberIn(v, (at.YearDay()-1)/7+1)
	case "mweek":
		first := (7 - (at.Day()-(int(at.Weekday())+1))%7) % 7
		return numberIn(v, int(math.Ceil(float64(at.Day()+first)/7)))
	case "wday":
		return dayIn(v, int(at.Weekday())+1)
	case "hour":
		return numberIn(v, at.Hour())
	case "minute":
		return numberIn(v, at.Minute())
	case "minute-of-day":
		return numberIn(v, at.Hour()*60+at.Minute()+1)
	case "time-of-day":
		return timeOfDay(v, at.Hour()*3600+at.Minute()*60+at.Second())
	}
	return false
}

// numberIn reports whether v is in a list such as 1,3,5-9. A range whose first number is the larger one wraps.
func numberIn(list string, v int) bool {
	for {
		a, rest := leadingInt(list)
		if strings.HasPrefix(rest, "-") {
			b, after := leadingInt(rest[1:])
			rest = after
			if a <= b && v >= a && v <= b || a > b && (v >= a || v <= b) {
				return true
			}
		} else if a == v {
			return true
		}
		if !strings.HasPrefix(rest, ",") {
			return false
		}
		list = rest[1:]
	}
}

// leadingInt reads an integer as strtol does and returns what stands behind it. Without one it is 0.
func leadingInt(s string) (int, string) {
	t := strings.TrimLeft(s, " \t\n\v\f\r")
	i := 0
	if i < len(t) && (t[i] == '+' || t[i] == '-') {
		i++
	}
	digits := i
	for i < len(t) && t[i] >= '0' && t[i] <= '9' {
		i++
	}
	if i == digits {
		return 0, s
	}
	n, err := strconv.Atoi(t[:i])
	if err != nil {
		n = math.MaxInt32
	}
	return n, t[i:]
}

// dayIn reports whether day (1 = Sunday) is in a list of days, numbers or names of at least three letters.
func dayIn(list string, day int) bool {
	prev, start := 0, 0
	for list != "" {
		var cur int
		switch {
		case list[0] == '-':
			start, prev, list = prev, 0, list[1:]
			continue
		case list[0] == ',':
			prev, list = 0, list[1:]
			continue
		case list[0] >= '1' && list[0] <= '7':
			cur, list = int(list[0]-'0'), list[1:]
		case len(list) >= 3:
			i := indexFold("sunmontuewedthufrisat", list[:3])
			if i < 0 || i%3 != 0 {
				return false
			}
			cur, list = i/3+1, list[3:]
		default:
			return false
		}
		if start != 0 {
			if start <= cur && day >= start && day <= cur || start > cur && (day >= start || day <= cur) {
				return true
			}
			start = 0
		} else if day == cur {
			return true
		}
		prev = cur
	}
	return false
}

// timeOfDay reports whether a second of the day lies in one of the ranges such as 08:00-12:30,22:00:00-06:00:00.
func timeOfDay(list string, second int) bool {
	for r := range strings.SplitSeq(list, ",") {
		low, high, ok := strings.Cut(r, "-")
		a, okA := clock(low)
		b, okB := clock(high)
		if !ok || !okA || !okB {
			continue
		}
		if a <= b && second >= a && second <= b || a > b && (second >= a || second <= b) {
			return true
		}
	}
	return false
}

func clock(s string) (int, bool) {
	h, rest, ok := strings.Cut(s, ":")
	m, sec, _ := strings.Cut(rest, ":")
	return atoi(h)*3600 + atoi(m)*60 + atoi(sec), ok
}

// dateRange reports whether now lies in one of the ranges such as "2026-01-01 00:00:00~2026-12-31 23:59:59". The
// times are those of the switch's own zone, whatever zone the call has; the end does not belong to the range.
func dateRange(list string, now time.Time) bool {
	for r := range strings.SplitSeq(list, ",") {
		low, high, ok := strings.Cut(r, "~")
		if !ok {
			continue
		}
		from, okFrom := date(low, now)
		to, okTo := date(high, now)
		if !okFrom || !okTo {
			return false
		}
		if !from.After(now) && to.After(now) {
			return true
		}
	}
	return false
}

var (
	timeOnly  = regexp.MustCompile(`^(\d*):{0,1}(\d*):{0,1}(\d*)$`)
	dashed    = regexp.MustCompile(`^(\d+)-(\d+)-(\d+)\s*(\d*):{0,1}(\d*):{0,1}(\d*)`)
	undivided = regexp.MustCompile(`^(\d{4})(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})`)
)

// date reads a time of today, YYYY-MM-DD with an optional time, or YYYYMMDDhhmmss with something behind it. Fourteen
// digits alone are an absurd number of hours of today: FreeSWITCH tries that form first.
func date(s string, now time.Time) (time.Time, bool) {
	if m := timeOnly.FindStringSubmatch(s); m != nil && len(s) < 200 {
		return time.Date(now.Year(), now.Month(), now.Day(), int(int32(atoi64(m[1]))), int(int32(atoi64(m[2]))), int(int32(atoi64(m[3]))), 0, now.Location()), true
	}
	m := dashed.FindStringSubmatch(s)
	if m == nil {
		m = undivided.FindStringSubmatch(s)
	}
	if m == nil {
		return time.Time{}, false
	}
	var n [7]int
	for i := range 6 {
		n[i] = min(atoi(m[i+1]), 100_000)
	}
	return time.Date(n[0], time.Month(n[1]), n[2], n[3], n[4], n[5], 0, now.Location()), true
}

// atoi64 reads digits as strtol does: too large a number is the largest one.
func atoi64(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil && s != "" {
		return math.MaxInt64
	}
	return n
}

func atoi(s string) int { n, _ := leadingInt(s); return n }

// isNumber reports whether FreeSWITCH takes s for a number: digits with at most a sign and a dot.
func isNumber(s string) bool {
	t := strings.TrimLeft(s, "+-")
	return len(s)-len(t) <= 1 && t != "" && strings.Trim(t, "0123456789.") == "" && strings.Count(t, ".") <= 1
}

// isTrue reports whether FreeSWITCH takes s for true.
func isTrue(s string) bool {
	for _, word := range [...]string{"yes", "on", "true", "t", "enabled", "active", "allow"} {
		if strings.EqualFold(s, word) {
			return true
		}
	}
	return isNumber(s) && atoi(s) != 0
}

// isFalse reports whether FreeSWITCH takes s for false.
func isFalse(s string) bool {
	for _, word := range [...]string{"no", "off", "false", "f", "disabled", "inactive", "disallow"} {
		if strings.EqualFold(s, word) {
			return true
		}
	}
	return isNumber(s) && atoi(s) == 0
}
