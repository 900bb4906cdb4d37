package encode

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// UUID checks a channel's UUID: 1 to 64 letters, digits and hyphens. FreeSWITCH lets an operator choose a channel's
// UUID freely (origination_uuid), so more than RFC 9562 is taken, but nothing that parts or quotes a command.
func UUID(s string) (string, error) {
	ok := s != "" && len(s) <= 64 && s[0] != '-'
	for i := range len(s) {
		ok = ok && (isAlnum(s[i]) || s[i] == '-')
	}
	if !ok {
		return "", fmt.Errorf("channel UUID %s: %w", show(s), ErrInvalid)
	}
	return s, nil
}

// Cause checks a hangup cause by FreeSWITCH's name, such as USER_BUSY. The name is not looked up: FreeSWITCH takes one
// it does not know for NORMAL_CLEARING.
func Cause(s string) (string, error) {
	ok := s != "" && len(s) <= 48 && s[0] >= 'A' && s[0] <= 'Z'
	for i := range len(s) {
		ok = ok && (s[i] >= 'A' && s[i] <= 'Z' || isDigit(s[i]) || s[i] == '_')
	}
	if !ok {
		return "", fmt.Errorf("hangup cause %s has to be a name such as USER_BUSY: %w", show(s), ErrInvalid)
	}
	return s, nil
}

// Respond returns the argument of the application respond: a final SIP status from 300 to 699 and its phrase, which
// may be empty. A phrase is printable ASCII.
func Respond(code int, phrase string) (string, error) {
	if code < 300 || code > 699 {
		return "", fmt.Errorf("respond: %d is no SIP status from 300 to 699: %w", code, ErrInvalid)
	}
	for i := range len(phrase) {
		if c := phrase[i]; c < ' ' || c > '~' || strings.IndexByte(`$\'"`, c) >= 0 {
			return "", fmt.Errorf("respond: phrase %s: %w", show(phrase), ErrUnsafe)
		}
	}
	if len(phrase) > 128 {
		return "", fmt.Errorf("respond: phrase of %d bytes: %w", len(phrase), ErrInvalid)
	}
	return strings.TrimSpace(fmt.Sprintf("%d %s", code, phrase)), nil
}

// SetVar returns the API command "uuid_setvar UUID NAME VALUE" (without "api "). It is the way to carry free text:
// FreeSWITCH does not expand it, only un-quotes it once, and this is undone here, so apostrophes and unbalanced
// brackets arrive. A dollar sign is refused all the same, because whatever reads the variable later in an argument
// expands its value. An empty value unsets the variable.
func SetVar(uuid, name, value string) (string, error) {
	if _, err := UUID(uuid); err != nil {
		return "", fmt.Errorf("uuid_setvar: %w", err)
	}
	if err := checkVarName(name); err != nil {
		return "", fmt.Errorf("uuid_setvar: %w", err)
	}
	if err := safe(value); err != nil {
		return "", fmt.Errorf("uuid_setvar: variable %s: value %s: %w", name, show(value), err)
	}
	if err := checkCallerID(name, value); err != nil {
		return "", fmt.Errorf("uuid_setvar: %w", err)
	}
	if strings.HasPrefix(value, arrayMark) {
		return "", fmt.Errorf("uuid_setvar: variable %s would become a list: %w", name, ErrUnsafe)
	}
	if value == "" {
		return "uuid_setvar " + uuid + " " + name, nil
	}
	value = strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(value)
	s := "uuid_setvar " + uuid + " " + name + " " + keepSpaces(value)
	if len(s) > MaxArg {
		return "", fmt.Errorf("uuid_setvar: variable %s of %d bytes: %w", name, len(value), ErrInvalid)
	}
	return s, nil
}

// maxSetVars is how many variables one uuid_setvar_multi takes; FreeSWITCH drops the rest (source).
const maxSetVars = 64

// maxSimple is the longest value in bytes that goes with others in one command.
const maxSimple = 128

// SetVars returns the API commands that set several variables of a channel, as few as it takes: "uuid_setvar_multi UUID
// NAME=VALUE;NAME=VALUE" for those whose values are letters, digits or any of _,.- and so need no quotes, in their order, and
// behind it SetVar for each of the others. An empty value unsets the variable. The error tells of those that cannot be set; the
// commands are for the rest.
func SetVars(uuid string, vars []Var) (commands []string, err error) {
	if _, err := UUID(uuid); err != nil {
		return nil, fmt.Errorf("setting variables: %w", err)
	}
	var simple []string
	var others []Var
	for _, v := range vars {
		switch bad := checkVarName(v.Name); {
		case bad != nil:
			err = errors.Join(err, fmt.Errorf("uuid_setvar_multi: %w", bad))
		case isSimple(v.Value):
			simple = append(simple, v.Name+"="+v.Value)
		default:
			others = append(others, v)
		}
	}
	for part := range slices.Chunk(simple, maxSetVars) {
		commands = append(commands, "uuid_setvar_multi "+uuid+" "+strings.Join(part, ";"))
	}
	for _, v := range others {
		command, bad := SetVar(uuid, v.Name, v.Value)
		if bad != nil {
			err = errors.Join(err, bad)
			continue
		}
		commands = append(commands, command)
	}
	return commands, err
}

// isSimple reports whether a value needs no quotes wherever FreeSWITCH reads it.
func isSimple(value string) bool {
	for i := range len(value) {
		if !isAlnum(value[i]) && strings.IndexByte("_,.-", value[i]) < 0 {
			return false
		}
	}
	return len(value) <= maxSimple
}

// Guard sends a call back into the dialplan when nobody has taken the guard off in time. Destination and Context are
// where the call came from; both are held to a strict alphabet, because they stand inside a quoted inline dialplan.
type Guard struct {
	UUID        string
	Destination string        // 1 to 64 letters, digits or any of +*#_.-
	Context     string        // 1 to 64 letters, digits or any of _.-
	After       time.Duration // rounded up to whole seconds; 1 s to 24 h
}

// Command returns the API command (without "api ") that arms the guard, in a scheduler group of its own:
//
//	sched_api +3 signalbox-UUID expand uuid_transfer ${cond(${uuid_getvar(UUID signalbox_stage)} == unserved ? UUID : gone)}
//	    'execute_extension:signalbox-unserved XML signalbox,transfer:DEST XML CONTEXT' ${cond(${uuid_setvar(UUID socket_resume)} == x ? inline : inline)}
//
// socket_resume goes before the transfer: when our connection ends in that moment, as it does when a frozen switch goes on, it would cut
// what has begun and leave the caller in silence. As the first action of what has begun it comes too late (measured: 17 callers of 240).
//
// FreeSWITCH does not expand the arguments of an api command; "expand" does, when the guard fires. So it fires into a call
// that nobody serves, and never into a conversation (measured).
func (g Guard) Command() (string, error) {
	_, err := UUID(g.UUID)
	err = firstErr(err, checkAlphabet("destination", g.Destination, "+*#_.-", 64), checkAlphabet("context", g.Context, "_.-", 64))
	if err != nil {
		return "", fmt.Errorf("guard: %w", err)
	}
	seconds := int64((g.After + time.Second - 1) / time.Second)
	if g.After < 0 || seconds < 1 || seconds > 86400 {
		return "", fmt.Errorf("guard: time %v has to be 1 s to 24 h: %w", g.After, ErrInvalid)
	}
	return fmt.Sprintf("sched_api +%d signalbox-%s expand uuid_transfer ${cond(${uuid_getvar(%s signalbox_stage)} == unserved ? %s : gone)} "+
		"'execute_extension:signalbox-unserved XML signalbox,transfer:%s XML %s' ${cond(${uuid_setvar(%s socket_resume)} == x ? inline : inline)}",
		seconds, g.UUID, g.UUID, g.UUID, g.Destination, g.Context, g.UUID), nil
}

// GuardOff returns the API command (without "api ") that takes off every guard of a call and nothing else.
func GuardOff(uuid string) (string, error) {
	if _, err := UUID(uuid); err != nil {
		return "", fmt.Errorf("guard: %w", err)
	}
	return "sched_del signalbox-" + uuid, nil
}

// GuardOffByNumber returns the API command (without "api ") that takes off the guard to whose setting FreeSWITCH replied, and no later one:
// "+OK Added: 17".
func GuardOffByNumber(reply string) (string, error) {
	_, number, _ := strings.Cut(strings.TrimSpace(reply), "Added: ")
	if number == "" || len(number) > 10 || strings.Trim(number, "0123456789") != "" {
		return "", fmt.Errorf("guard: the number of a task is not in %.40q: %w", reply, ErrInvalid)
	}
	return "sched_del " + number, nil
}
