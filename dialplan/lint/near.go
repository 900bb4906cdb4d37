package lint

// nearest returns the one of names that s probably is, misspelt: one edit away, or two for a long name. An exact name is
// not nearest to anything.
func nearest(s string, names []string) (string, bool) {
	best, at := "", 3
	for _, n := range names {
		if n == s {
			return "", false
		}
		if d := distance(s, n, 2); d < at {
			best, at = n, d
		}
	}
	if at == 1 && len(s) >= 4 || at == 2 && len(s) >= 9 {
		return best, true
	}
	return "", false
}

// distance counts insertions, deletions, substitutions and swaps of neighbours between a and b; most+1 when there are more
// than most.
func distance(a, b string, most int) int {
	if len(a)-len(b) > most || len(b)-len(a) > most {
		return most + 1
	}
	prev2, prev, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		least := i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(prev[j]+1, row[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], prev2[j-2]+1)
			}
			least = min(least, row[j])
		}
		if least > most {
			return most + 1
		}
		prev2, prev, row = prev, row, prev2
	}
	return prev[len(b)]
}
