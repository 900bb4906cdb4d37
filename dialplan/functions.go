package dialplan

import (
	"crypto/md5" //nolint:gosec // the function md5 is FreeSWITCH's
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Functions carries out API functions inside ${...}. The simulator has its own; nil means the offline ones.
type Functions func(name, args string) (string, error)

// offline carries out the functions that only look at their arguments, at the call, at the configuration tree or at the
// clock of the call. Any other function is ErrUnknownFunction.
func (r *resolver) offline(name, args string) (string, error) {
	if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_-.") != "" || name == "" {
		return "", nil // no function has such a name: FreeSWITCH puts nothing in its place
	}
	switch name {
	case "cond":
		return cond(args), nil
	case "regex":
		return r.regexFunction(args)
	case "expr":
		return arithmetic(args)
	}
	if text, ok := textFunction(name, args); ok {
		return text, nil
	}
	if text, err := r.timeFunction(name, args); err == nil || !errors.Is(err, ErrUnknownFunction) {
		return text, err
	}
	return r.treeFunction(name, args)
}

// textFunction carries out functions of their arguments alone.
func textFunction(name, args string) (string, bool) {
	switch name {
	case "url_encode":
		return urlEncode(args), true
	case "url_decode":
		return urlDecode(args), true
	case "toupper":
		return mapASCII(args, 'a', 'z'), true
	case "tolower":
		return mapASCII(args, 'A', 'Z'), true
	case "md5":
		if args == "" {
			return "!err!", true
		}
		return fmt.Sprintf("%x", md5.Sum([]byte(args))), true //nolint:gosec // what FreeSWITCH answers, not a secret
	case "replace":
		delim, rest := delimiter(args)
		f := separate(rest, delim, 3)
		if len(f) < 3 {
			return badArgs, true
		}
		if f[1] == "" {
			return f[0], true
		}
		return strings.ReplaceAll(f[0], f[1], f[2]), true
	case "coalesce":
		delim := byte(',')
		if strings.HasPrefix(args, "^^") && len(args) > 2 {
			delim, args = args[2], args[3:]
		}
		for _, v := range separate(args, delim, 256) {
			if v != "" {
				return v, true
			}
		}
		return "", args != ""
	case "echo":
		return args, true
	case "escape":
		return escapes.Replace(args), true
	case "sql_escape":
		return strings.ReplaceAll(args, "'", "''"), true
	case "is_lan_addr":
		return strconv.FormatBool(isLAN(args)), true
	case "eval":
		return args, !strings.ContainsAny(args, `$\`) // what is left to expand would be expanded without the call
	}
	return "", false
}

var escapes = strings.NewReplacer("\n", `\n`, "\r", `\r`, "\t", `\t`, " ", `\s`, "$", `\$`)

// timeFunction carries out what asks the clock; the clock is the call's.
func (r *resolver) timeFunction(name, args string) (string, error) {
	at := r.call.Now
	switch name {
	case "strepoch":
		if args != "" {
			t, _ := date(args, at)
			if t.IsZero() {
				return "0", nil
			}
			at = t
		}
		return strconv.FormatUint(uint64(uint32(at.Unix())), 10), nil
	case "strftime":
		if epoch, format, ok := strings.Cut(args, "|"); ok {
			at = time.Unix(int64(atoi(epoch)), 0).In(at.Location())
			// FreeSWITCH skips the first character of the format.
			args = ""
			if format != "" {
				args = format[1:]
			}
		}
		if args == "" {
			text, _ := strftime("%Y-%m-%d %T", at)
			return text, nil
		}
		if text, ok := strftimeChecked(args, at); ok {
			return text, nil
		}
	case "strftime_tz":
		zone, format, _ := strings.Cut(args, " ")
		if epoch, rest, ok := strings.Cut(format, "|"); ok {
			if n := atoi(epoch); n != 0 {
				at = time.Unix(int64(n), 0)
			}
			format = rest
		}
		if format == "" {
			format = "%Y-%m-%d %T"
		}
		loc, known := time.UTC, true
		if zone != "" {
			loc, known = r.tree.zone(zone)
		}
		if !known {
			return "-ERR Invalid timezone/format\n", nil
		}
		if text, ok := strftime(format, at.In(loc)); ok {
			return text, nil
		}
	}
	return "", ErrUnknownFunction
}

// treeFunction carries out what looks into the configuration: the directory, the modules that it loads, its address
// lists, and the store of hash as far as this call wrote it.
func (r *resolver) treeFunction(name, args string) (string, error) {
	switch name {
	case "global_getvar":
		if args != "" {
			if v, ok := r.call.globals[strings.ToLower(args)]; ok {
				return v, nil
			}
			if v, ok := r.tree.Global(args); ok || !setsItself(strings.ToLower(args)) {
				return v, nil
			}
		}
	case "module_exists":
		if loaded, known := r.tree.loads(args); known {
			return strconv.FormatBool(loaded), nil
		}
	case "acl":
		f := separate(args, ' ', 3)
		if len(f) < 2 {
			return "false", nil
		}
		if in, err := r.tree.inList(f[0], f[1]); err == nil {
			return strconv.FormatBool(in), nil
		}
	case "hash":
		f := separate(args, '/', 4)
		if len(f) < 3 {
			return "-ERR Usage: hash insert|insert_ifempty|select|delete|delete_ifmatch/realm/key[/value]\n", nil
		}
		if strings.EqualFold(f[0], "select") {
			if v, ok := r.call.store[f[1]+"_"+f[2]]; ok {
				return v, nil
			}
		}
	case "user_data", "user_exists", "domain_exists", "domain_data", "in_group":
		if r.tree.hasDirectory() {
			return r.directory(name, args), nil
		}
	}
	return "", ErrUnknownFunction
}

func (r *resolver) directory(name, args string) string {
	own, _ := r.tree.Global("domain")
	at := func(s string) (user, domain string) {
		user, domain, ok := strings.Cut(s, "@")
		if !ok {
			domain = own
		}
		return user, domain
	}
	switch name {
	case "user_data":
		if f := separate(args, ' ', 3); len(f) == 3 {
			id, domain := at(f[0])
			if u := r.tree.user([]string{"id", "number-alias"}, id, domain); u != nil {
				return lookup(u, f[1], f[2])
			}
		}
		return ""
	case "domain_data":
		if f := separate(args, ' ', 3); len(f) == 3 {
			if d := r.tree.domain(f[0]); d != nil {
				return lookup(d, f[1], f[2])
			}
		}
		return ""
	case "user_exists":
		f := separate(args, ' ', 3)
		return strconv.FormatBool(len(f) == 3 && r.tree.user(strings.Split(f[0], ":"), f[1], f[2]) != nil)
	case "domain_exists":
		if args == "" {
			return ""
		}
		return strconv.FormatBool(r.tree.domain(args) != nil)
	}
	// in_group USER@DOMAIN,GROUP
	f := separate(args, ',', 2)
	if len(f) < 2 {
		return "false"
	}
	id, domain := at(f[0])
	d := r.tree.domain(domain)
	if d == nil || d.Child("groups") == nil {
		return "false"
	}
	group := named(d.Child("groups"), "group", f[1])
	if group == nil || group.Child("users") == nil {
		return "false"
	}
	for _, u := range group.Child("users").All("user") {
		if strings.EqualFold(u.Soft("id"), id) {
			return "true"
		}
	}
	return "false"
}

// urlEncode encodes what FreeSWITCH takes for unsafe in a URL.
func urlEncode(s string) string {
	const unsafe = "\r\n #%&+:;<=>?@[\\]^`{|}\""
	var b strings.Builder
	for i := range len(s) {
		if s[i] == '%' && i+2 < len(s) && strings.IndexByte(hexDigits, s[i+1]) >= 0 && strings.IndexByte(hexDigits, s[i+2]) >= 0 {
			b.WriteByte('%') // is encoded already
			continue
		}
		if c := s[i]; c < ' ' || c > '~' || strings.IndexByte(unsafe, c) >= 0 {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

const hexDigits = "0123456789ABCDEF"

// urlDecode decodes %XX; what is no hexadecimal number stays.
func urlDecode(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			// FreeSWITCH reads up to two digits and skips two characters whatever it read.
			digits := s[i+1 : i+3]
			if n := len(digits) - len(strings.TrimLeft(digits, "0123456789abcdefABCDEF")); n > 0 {
				v, _ := strconv.ParseUint(digits[:n], 16, 8)
				b.WriteByte(byte(v))
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// mapASCII changes the case of the letters from low to high.
func mapASCII(s string, low, high byte) string {
	b := []byte(s)
	for i, c := range b {
		if c >= low && c <= high {
			b[i] ^= 0x20
		}
	}
	return string(b)
}

// delimiter takes m:x off an argument; x is one of | ~ /.
func delimiter(args string) (byte, string) {
	if len(args) > 2 && args[:2] == "m:" && strings.IndexByte("|~/", args[2]) >= 0 {
		return args[2], args[3:]
	}
	return '|', args
}

const badArgs = "-ERR" // what FreeSWITCH's own functions say about arguments they cannot read

// cond is ${cond(A OP B ? X : Y)}: numbers are compared as numbers, two texts as texts, a number and a text by the
// text's length.
func cond(args string) string {
	a, aQuoted, rest, ok := operand(args)
	if !ok {
		return badArgs
	}
	rest = strings.TrimLeft(rest, xmlSpace)
	op := ""
	for _, o := range [...]string{"==", "!=", ">=", "<=", ">", "<"} {
		if strings.HasPrefix(rest, o) {
			op = o
			break
		}
	}
	// FreeSWITCH skips the character behind the operator, which has to be a blank for that reason.
	if op == "" || len(rest) <= len(op) {
		return badArgs
	}
	b, bQuoted, rest, ok := operand(strings.TrimLeft(rest[len(op)+1:], xmlSpace))
	rest = strings.TrimLeft(rest, xmlSpace)
	if !ok || !strings.HasPrefix(rest, "?") {
		return badArgs
	}
	answers := separate(":"+rest[1:], ':', 3)
	if len(answers) < 2 {
		return badArgs
	}
	switch {
	case compare(a, b, op, aQuoted, bQuoted):
		return answers[1]
	case len(answers) == 3:
		return answers[2]
	}
	return ""
}

// operand reads one side of a comparison: 'quoted', or up to a blank.
func operand(s string) (value string, quoted bool, rest string, ok bool) {
	if inner, q := strings.CutPrefix(s, "'"); q {
		for i := 0; i < len(inner); i++ {
			if inner[i] == '\\' && i+1 < len(inner) && (inner[i+1] == '\\' || inner[i+1] == '\'') {
				i++
			} else if inner[i] == '\'' {
				rest = inner[i+1:]
				return inner[:i], true, rest, rest != "" && strings.IndexByte(xmlSpace, rest[0]) >= 0
			}
		}
		return "", true, "", false
	}
	value, rest, ok = strings.Cut(s, " ")
	return value, false, rest, ok
}

func compare(a, b, op string, aQuoted, bQuoted bool) bool {
	aNum, bNum := isNumber(a) && !aQuoted, isNumber(b) && !bQuoted
	size := func(s string, num bool) float64 {
		if !num {
			return float64(len(s))
		}
		f, err := strconv.ParseFloat(s, 64)
		if err != nil {
			return 0
		}
		return f
	}
	x, y := size(a, aNum), size(b, bNum)
	switch op {
	case "==", "!=":
		same := x == y
		if !aNum && !bNum {
			same = a == b
		}
		return same == (op == "==")
	case ">":
		return x > y
	case ">=":
		return x >= y
	case "<":
		return x < y
	}
	return x <= y
}

// regexFunction is ${regex(SUBJECT|PATTERN|%1|flags)}.
func (r *resolver) regexFunction(args string) (string, error) {
	delim, args := delimiter(args)
	f := separate(args, delim, 4)
	if len(f) < 2 {
		return badArgs, nil
	}
	m, err := r.perform(f[0], f[1]) // a pattern that does not compile, or takes too long, does not match
	switch {
	case r.worn():
		return "", err
	case len(f) == 2:
		return strconv.FormatBool(m.count > 0), nil
	case m.count > 0:
		return m.substitute(strings.ReplaceAll(f[2], "%", "$"), f[0]), nil
	case len(f) > 3 && strings.Contains(f[3], "n"):
		return "", nil
	case len(f) > 3 && strings.Contains(f[3], "b"):
		return "false", nil
	}
	return f[0], nil
}
