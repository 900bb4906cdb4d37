package sipproxy

import "strings"

// harmlessRefer says whether a node may be given a REFER of a peer. FreeSWITCH takes the user part of Refer-To for a destination number
// as it stands, and its dialplan and its call records expand that: "${system(...)}" runs. A Refer-To with Replaces that names no dialog of its own has it
// call whatever host stands there. (Both measured on 1.10.12.) So the target is plain text, and only devices, whose users have
// passwords, name a dialog.
func harmlessRefer(req *message, from *Peer) bool {
	targets := req.all("refer-to")
	if len(targets) != 1 || strings.ContainsAny(targets[0], "${}`") || from.Kind != Device && strings.Contains(targets[0], "?") {
		return false
	}
	to, err := parseAddress(targets[0])
	if err != nil || to.Scheme != "sip" && to.Scheme != "sips" && to.Scheme != "tel" {
		return false
	}
	return strings.Trim(to.URI, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.!~*()%&=+;?/:@#[]") == ""
}
