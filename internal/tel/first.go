package tel

// FirstDiverter is the number that a diverted call was placed to first: the oldest Diversion (RFC 5806), else the oldest
// History-Info (RFC 7044); "" = the call was not diverted, or nobody says from where. region is where national numbers are read.
func FirstDiverter(diversions []Diversion, history []HistoryEntry, region string) Number {
	if n := len(diversions); n > 0 {
		return diversions[n-1].Number
	}
	if len(history) > 1 { // the only entry of a history is whom the call is for
		number, _ := ParsePresented(history[0].URI, region)
		return number
	}
	return ""
}
