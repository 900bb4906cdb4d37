package account

import (
	"net/netip"
	"strings"
)

// ValidFQDN reports whether name is a fully qualified host name: at least two labels of letters, digits and inner
// hyphens (RFC 1123 section 2.1), the last not all digits, at most 253 characters, no final dot.
func ValidFQDN(name string) bool {
	labels := strings.Split(name, ".")
	return len(labels) >= 2 && validHostName(name, labels)
}

// ValidHost reports whether host is a host name, of one label or more, or an IP address without brackets.
func ValidHost(host string) bool {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.Zone() == "" && !addr.IsUnspecified() && !addr.IsMulticast()
	}
	return validHostName(host, strings.Split(host, "."))
}

func validHostName(name string, labels []string) bool {
	if len(name) == 0 || len(name) > 253 {
		return false
	}
	for _, l := range labels {
		if len(l) == 0 || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' || !only(l, "-") {
			return false
		}
	}
	return strings.Trim(labels[len(labels)-1], "0123456789") != ""
}

// validKey reports whether s is a key of ours: 1 to 64 letters, digits, dots, underscores and hyphens, and no folder's "." or "..".
func validKey(s string) bool {
	return len(s) >= 1 && len(s) <= 64 && only(s, "._-") && strings.Trim(s, ".") != ""
}

// ValidKey reports whether s is a key of ours, such as the ID of an account or a contact.
func ValidKey(s string) bool { return validKey(s) }

// ValidClip reports whether s can be the file of a spoken name: a key that is no hidden file's.
func ValidClip(s string) bool { return validKey(s) && s[0] != '.' }

// validUser reports whether s can stand as the user part of a SIP URI and in a dial string without any escape.
func validUser(s string) bool { return len(s) >= 1 && len(s) <= 64 && only(s, "._-+*#") }

// maxShortDigits bounds a short code of digits alone: eight are read as a number with its country code wherever a carrier
// presents them.
const maxShortDigits = 7

// validShortCode reports whether s is a short code such as "*86" or "123". Pilots may also be E.164 numbers.
func validShortCode(s string) bool {
	if len(s) < 2 || len(s) > 15 || strings.Trim(s, "0123456789*#") != "" {
		return false
	}
	return len(s) <= maxShortDigits || strings.ContainsAny(s, "*#")
}

// only reports whether s consists of ASCII letters, digits and the given others.
func only(s, others string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && strings.IndexByte(others, c) < 0 {
			return false
		}
	}
	return true
}
