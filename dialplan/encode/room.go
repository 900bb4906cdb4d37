package encode

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// RoomName checks the name of a conference: letters, digits, "-" and "_", so that none of FreeSWITCH's marks ("@", "+", ":") is in it.
func RoomName(s string) (string, error) {
	return s, checkAlphabet("conference", s, "-_", 64)
}

// roomVerbs are the commands of mod_conference that [Room] makes, with how many words may follow.
var roomVerbs = map[string]int{
	"json_list": 0, "lock": 0, "unlock": 0, "count": 0,
	"mute": 2, "unmute": 2, "kick": 1, "hup": 1, "play": 2, "stop": 2, "record": 1, "norecord": 1,
}

// Room returns an API command about a conference: "conference NAME VERB WORD...". A word is the number of a member, "all",
// "non_moderator" and the like, or the path of a file on the switch.
func Room(name, verb string, words ...string) (string, error) {
	name, err := RoomName(name)
	if err != nil {
		return "", err
	}
	most, known := roomVerbs[verb]
	if !known || len(words) > most {
		return "", fmt.Errorf("conference command %s with %d words: %w", show(verb), len(words), ErrInvalid)
	}
	for _, w := range words {
		if err := checkAlphabet("word of a conference command", w, "/._-", 512); err != nil {
			return "", err
		}
	}
	return strings.Join(append([]string{"conference", name, verb}, words...), " "), nil
}

// maxSpoken is the longest text that is spoken, in runes.
const maxSpoken = 64

// Spoken makes a text of free text that a voice can speak and nothing can take for anything else: letters, digits and single spaces, at
// most 64 of them. What else is there becomes a space; the result may be empty.
func Spoken(s string) string {
	var b strings.Builder
	n := 0
	for _, r := range strings.ToValidUTF8(s, " ") {
		if n >= 4*maxSpoken {
			break
		}
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.Is(unicode.Mn, r) {
			r = ' '
		}
		b.WriteRune(r)
		n++
	}
	out := strings.Join(strings.Fields(b.String()), " ")
	for utf8.RuneCountInString(out) > maxSpoken {
		_, last := utf8.DecodeLastRuneInString(out)
		out = strings.TrimRight(out[:len(out)-last], " ")
	}
	return out
}

// SpeakInto returns the argument of originate that has a voice speak a text into a file, on a channel of its own that nobody is on, which
// has the given UUID and ends by itself. The text is made fit by [Spoken]; one of which nothing is left is refused.
func SpeakInto(file, uuid, engine, voice, text string) (string, error) {
	file, err := onChannel(file, uuid)
	if err != nil {
		return "", err
	}
	for _, word := range []string{engine, voice} {
		if err := checkAlphabet("voice", word, "-_", 64); err != nil {
			return "", err
		}
	}
	if text = Spoken(text); text == "" {
		return "", fmt.Errorf("nothing to be spoken: %w", ErrInvalid)
	}
	return fmt.Sprintf("{origination_uuid=%s,RECORD_WRITE_ONLY=true}null/voice 'm:^:record_session:%s^speak:%s|%s|%s' inline", uuid, file, engine, voice, text), nil
}

// Discard returns the argument of originate that has FreeSWITCH remove a file of sound, without a shell: a channel with the given UUID, which nobody is on, records
// into it for no time at all, and a recording that is too short is removed. Whoever wants to know looks afterwards whether the file is there. The
// channel ends by itself.
func Discard(file, uuid string) (string, error) {
	file, err := onChannel(file, uuid)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("{origination_uuid=%s,RECORD_MIN_SEC=86400,RECORD_WRITE_ONLY=true}null/voice 'm:^:record_session:%s' inline", uuid, file), nil
}

// onChannel checks the file and the UUID of a channel that records into it.
func onChannel(file, uuid string) (string, error) {
	file, err := Path(file)
	if err != nil {
		return "", err
	}
	if err := checkAlphabet("uuid", uuid, "-_", 64); err != nil {
		return "", err
	}
	if strings.ContainsAny(file, "^' ") { // they part the list of applications
		return "", fmt.Errorf("file %s: %w", show(file), ErrUnsafe)
	}
	return file, nil
}

// IntoRoom returns the argument of originate that calls a dial string and, when it is answered, puts the leg into a conference.
// The dial string must not have a blank: originate would part it there.
func IntoRoom(dial string, room Conference) (string, error) {
	if err := whole(dial); err != nil {
		return "", err
	}
	arg, err := room.Arg()
	if err != nil {
		return "", err
	}
	return dial + " &conference(" + arg + ")", nil
}

// whole refuses a dial string that originate would not read as one word.
func whole(dial string) error {
	if strings.ContainsFunc(dial, func(r rune) bool { return r <= ' ' || r == '\'' || r == '"' }) {
		return fmt.Errorf("dial string %s: originate would part it: %w", show(dial), ErrUnsafe)
	}
	return nil
}
