package encode

import (
	"fmt"
	"strings"
)

// Var is a channel variable of a leg to be created. The value is the text that the variable shall hold.
type Var struct{ Name, Value string }

const (
	// enterprise makes FreeSWITCH place separate calls wherever it stands in a dial string, quoted or not.
	enterprise = ":_:"
	// arrayMark in front of a value makes FreeSWITCH split it into a list.
	arrayMark = "ARRAY::"
	// nestedVars=true anywhere in a dial string switches FreeSWITCH's own check of variable values off.
	nestedVars = "origination_nested_vars"
	// separators are tried in this order.
	separators = "#~!;:*+"
	// maxVars is how many variables one bracket takes; FreeSWITCH reads 1,024.
	maxVars = 256
	// maxVarName is the longest variable name in bytes.
	maxVarName = 128
)

// checkVarName refuses what is no variable name: letters, digits, "_", "-" and "." beginning with a letter.
// sip_h_X-Foo is one; "a[1]", "_body" and origination_nested_vars, which mean something else to FreeSWITCH, are not.
func checkVarName(name string) error {
	ok := name != "" && len(name) <= maxVarName && isAlpha(name[0])
	for i := range len(name) {
		ok = ok && (isAlnum(name[i]) || strings.IndexByte("_-.", name[i]) >= 0)
	}
	if !ok || strings.EqualFold(name, nestedVars) {
		return fmt.Errorf("variable name %s: %w", show(name), ErrInvalid)
	}
	return nil
}

// callerIDs are the variables that FreeSWITCH writes into From, P-Asserted-Identity and Remote-Party-ID. It decodes
// percent escapes there, control characters included, and cuts the value at "/", ":" and "@".
var callerIDs = [...]string{
	"origination_caller_id_name", "origination_caller_id_number", "effective_caller_id_name", "effective_caller_id_number",
	"origination_callee_id_name", "origination_callee_id_number", "effective_callee_id_name", "effective_callee_id_number",
	"sip_from_display", "sip_to_display", "caller_id_name", "caller_id_number",
}

// checkCallerID refuses a caller's name or number that FreeSWITCH would decode or cut.
func checkCallerID(name, value string) error {
	for _, id := range callerIDs {
		if strings.EqualFold(name, id) && strings.ContainsAny(value, `%/:@"<>`) {
			return fmt.Errorf("variable %s: value %s holds one of %%/:@\"<>, which FreeSWITCH decodes or cuts there (use Text): %w", name, show(value), ErrUnsafe)
		}
	}
	return nil
}

// bracket encodes vars between open and end; rounds are how often FreeSWITCH un-quotes the list as a whole before it
// looks for this bracket's separator, outermost first, each with its delimiter.
func bracket(vars []Var, open, end byte, rounds string) (string, error) {
	if len(vars) == 0 {
		return "", nil
	}
	if len(vars) > maxVars {
		return "", fmt.Errorf("%d variables, at most %d: %w", len(vars), maxVars, ErrInvalid)
	}
	for _, v := range vars {
		if err := checkVar(v, open, end); err != nil {
			return "", err
		}
	}
	sep := separator(vars)
	var b strings.Builder
	b.WriteByte(open)
	b.WriteString("^^")
	for _, v := range vars {
		b.WriteByte(sep)
		b.WriteString(escapeValue(v, sep, rounds))
	}
	b.WriteByte(end)
	return b.String(), nil
}

// checkVar refuses a variable that cannot be carried in a dial string.
func checkVar(v Var, open, end byte) error {
	if err := checkVarName(v.Name); err != nil {
		return err
	}
	if v.Value == "" {
		return fmt.Errorf("variable %s is empty, which FreeSWITCH skips in a dial string: leave it out: %w", v.Name, ErrInvalid)
	}
	if err := safe(v.Value); err != nil {
		return fmt.Errorf("variable %s: value %s: %w", v.Name, show(v.Value), err)
	}
	if err := checkCallerID(v.Name, v.Value); err != nil {
		return err
	}
	var why string
	switch {
	case !balanced(v.Value, open, end):
		why = fmt.Sprintf("holds %c or %c without its partner", open, end)
	case strings.HasPrefix(v.Value, arrayMark):
		why = "would be read as a list"
	default:
		return nil
	}
	return fmt.Errorf("variable %s: value %s %s (use Header or Text for free text): %w", v.Name, show(v.Value), why, ErrUnsafe)
}

// separator returns a byte that stands in no value. When each of them does, the first is used and escaped. A value
// with ":_:" in it takes the colon, which is then escaped and so broken.
func separator(vars []Var) byte {
	for _, v := range vars {
		if strings.Contains(v.Value, enterprise) {
			return ':'
		}
	}
next:
	for i := range len(separators) {
		for _, v := range vars {
			if strings.IndexByte(v.Value, separators[i]) >= 0 {
				continue next
			}
		}
		return separators[i]
	}
	return separators[0]
}

// escapeValue writes name=value so that it survives the rounds of un-quoting: first that of name and value, whose
// delimiter is "=", then that of the list, then the rounds around the bracket, from the inside out. In each round a
// backslash, an apostrophe and the delimiter get a backslash. The round of expansion is left to the whole string.
func escapeValue(v Var, sep byte, rounds string) string {
	value := strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(v.Value)
	if strings.Contains(strings.ToLower(value), nestedVars) {
		value = strings.ReplaceAll(value, "=", `\=`)
	}
	s := v.Name + "=" + keepSpaces(value)
	s = escapeRound(s, sep)
	for i := len(rounds) - 1; i >= 0; i-- {
		s = escapeRound(s, rounds[i])
	}
	return s
}

// escapeRound quotes s for one round of un-quoting with the given delimiter.
func escapeRound(s string, delim byte) string {
	d := string(delim)
	return strings.NewReplacer(`\`, `\\`, `'`, `\'`, d, `\`+d).Replace(s)
}

// escapeExpansion doubles backslashes: expansion makes one of two.
func escapeExpansion(s string) string { return strings.ReplaceAll(s, `\`, `\\`) }

// keepSpaces writes the spaces at both ends of s as \s, because FreeSWITCH trims them.
func keepSpaces(s string) string {
	core := strings.Trim(s, " ")
	if len(core) == len(s) {
		return s
	}
	if core == "" {
		return strings.Repeat(`\s`, len(s))
	}
	head := strings.Index(s, core)
	return strings.Repeat(`\s`, head) + core + strings.Repeat(`\s`, len(s)-head-len(core))
}

func isAlpha(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
func isDigit(c byte) bool { return c >= '0' && c <= '9' }
func isAlnum(c byte) bool { return isAlpha(c) || isDigit(c) }
