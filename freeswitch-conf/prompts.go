package freeswitchconf

import (
	"path"
	"slices"
	"strconv"
	"strings"
)

// Prompt is one recorded sentence of a conference, by the name of its file. Each is there in every language of Languages; its
// words are what Text says, spoken by a free voice (sounds/README.md).
type Prompt string

// What a caller hears before he is in a room.
const (
	PromptReached    Prompt = "reached"         // before a name or number: whom he has reached
	PromptNeutral    Prompt = "reached-neutral" // in the place of that, where neither may be told
	PromptOffer      Prompt = "offer"           // the whole offer, for the keys 1, 2 and 9
	PromptToJoin     Prompt = "to-join"         // the offer in pieces, for other keys: before the key
	PromptToMessage  Prompt = "to-message"      // before the key
	PromptToRepeat   Prompt = "to-repeat"       // before the key
	PromptInvalid    Prompt = "invalid"         // a key that means nothing
	PromptPIN        Prompt = "pin"             // asks for it
	PromptPINWrong   Prompt = "pin-wrong"       // and it was not this one
	PromptPleaseWait Prompt = "please-wait"     // while the host is called
	PromptAlone      Prompt = "alone"           // nobody else is there yet
	PromptLocked     Prompt = "locked"          // the room takes nobody, or takes nobody from now on
	PromptFull       Prompt = "full"
	PromptEnded      Prompt = "ended"     // the conference is over
	PromptNoAnswer   Prompt = "no-answer" // the host could not be reached
	PromptGoodbye    Prompt = "goodbye"
)

// What the people in a room hear, and the host.
const (
	PromptJoined     Prompt = "joined"      // behind a name
	PromptLeft       Prompt = "left"        // behind a name
	PromptIsBack     Prompt = "is-back"     // behind a name
	PromptHaveJoined Prompt = "have-joined" // behind "NAME and 9 others"
	PromptHaveLeft   Prompt = "have-left"   // behind "NAME and 9 others"
	PromptGuest      Prompt = "guest"       // in the place of a name
	PromptSomeone    Prompt = "someone"     // before a name that many share: "someone from ACME"
	PromptAnd        Prompt = "and"
	PromptOther      Prompt = "other"       // behind "and one"
	PromptOthers     Prompt = "others"      // behind "and 9"
	PromptHostAccept Prompt = "host-accept" // asks the host whom we have called
	PromptMuted      Prompt = "muted"       // to one member
	PromptUnmuted    Prompt = "unmuted"     // to one member
	PromptAllMuted   Prompt = "all-muted"
	PromptAllUnmuted Prompt = "all-unmuted"
	PromptUnlocked   Prompt = "unlocked"
	PromptRecording  Prompt = "recording"     // the notice that goes with a recording
	PromptNotRecord  Prompt = "not-recording" // and its end
	PromptRemoved    Prompt = "removed"       // to a member who is sent out
	PromptPeople     Prompt = "people"        // before a number: how many are there
	PromptInvited    Prompt = "invited"       // asks somebody whom the host has called
)

// What a host hears alone who calls somebody of his address book by keys.
const (
	PromptDial        Prompt = "dial"         // asks for a number, or the end of one
	PromptDialMore    Prompt = "dial-more"    // of too few digits, and behind PromptAmbiguous
	PromptAmbiguous   Prompt = "ambiguous"    // the digits are the end of several numbers
	PromptNotInBook   Prompt = "not-in-book"  // the digits are nobody's
	PromptWillCall    Prompt = "will-call"    // before a name, or the digits of a number
	PromptDialConfirm Prompt = "dial-confirm" // behind it
	PromptCalling     Prompt = "calling"
	PromptCancelled   Prompt = "cancelled"
	PromptNotPossible Prompt = "not-possible"
)

// MaxNumber is the largest number that is there as a prompt.
const MaxNumber = 12

// PromptNumber is a number as it is spoken; ok is false for one that is not there.
func PromptNumber(n int) (p Prompt, ok bool) {
	return Prompt("number-" + strconv.Itoa(n)), n >= 0 && n <= MaxNumber
}

// PromptKey is a key of the telephone as it is spoken: 0 to 9, * and #.
func PromptKey(key byte) (p Prompt, ok bool) {
	switch {
	case key >= '0' && key <= '9':
		return PromptNumber(int(key - '0'))
	case key == '*':
		return "key-star", true
	case key == '#':
		return "key-hash", true
	}
	return "", false
}

// Sounds is the folder of the prompts inside FreeSWITCH's conf folder, and here.
const Sounds = "sounds/signalbox"

// SoundsRevision is the number of the prompts' words and of which there are. It goes up with every change of them, and with it the name of
// RevisionFile, by which `signalbox doctor` tells on a running switch, which shows no file's content, whether its prompts are these.
const SoundsRevision = 1

// RevisionFile is a file beside the prompts, inside the conf folder, whose name has their revision.
func RevisionFile() string { return path.Join(Sounds, "revision-"+strconv.Itoa(SoundsRevision)) }

// SoundPaths are all files of the prompts: each prompt in each language, and then RevisionFile.
func SoundPaths() []string {
	var all []string
	for _, p := range Prompts() {
		for _, language := range Languages() {
			all = append(all, p.File(language))
		}
	}
	return append(all, RevisionFile())
}

// English is the language of whoever has none of Languages.
const English = "en"

// Languages are those that prompts are there in.
func Languages() []string { return []string{"de", English} }

// Language is the language of the prompts for a language tag such as de-AT (RFC 5646): its own, else English.
func Language(tag string) string {
	primary, _, _ := strings.Cut(strings.ReplaceAll(strings.ToLower(tag), "_", "-"), "-")
	if slices.Contains(Languages(), primary) {
		return primary
	}
	return English
}

// File is the prompt's file in a language of Languages, inside the conf folder, with slashes.
func (p Prompt) File(language string) string {
	return path.Join(Sounds, Language(language), string(p)+".wav")
}

// Text is what a prompt says in a language of Languages; "" for one that is not there.
func (p Prompt) Text(language string) string {
	return texts[p][slices.Index(Languages(), Language(language))]
}

// Prompts are all of them, by name.
func Prompts() []Prompt {
	all := make([]Prompt, 0, len(texts))
	for p := range texts {
		all = append(all, p)
	}
	slices.Sort(all)
	return all
}

// texts are the words in the order of Languages.
var texts = map[Prompt][2]string{
	PromptReached:    {"Sie sind verbunden mit", "You have reached"},
	PromptNeutral:    {"Sie haben den gewählten Anschluss erreicht.", "You have reached the person you called."},
	PromptOffer:      {"Sie können einer Konferenz beitreten. Zum Beitreten drücken Sie die eins, für eine Nachricht die zwei, zum Wiederholen die neun.", "You can join a conference call. To join, press one. To leave a message, press two. To hear this again, press nine."},
	PromptToJoin:     {"Sie können einer Konferenz beitreten. Zum Beitreten drücken Sie", "You can join a conference call. To join, press"},
	PromptToMessage:  {"Für eine Nachricht drücken Sie", "To leave a message, press"},
	PromptToRepeat:   {"Zum Wiederholen drücken Sie", "To hear this again, press"},
	PromptInvalid:    {"Diese Taste ist nicht belegt.", "That is not a valid choice."},
	PromptPIN:        {"Ihre PIN bitte, danach die Rautetaste.", "Enter your PIN, then press hash."},
	PromptPINWrong:   {"Diese PIN stimmt nicht.", "That PIN is not correct."},
	PromptPleaseWait: {"Bitte warten Sie, Sie werden verbunden.", "Please wait while we connect you."},
	PromptAlone:      {"Außer Ihnen ist noch niemand da.", "You are the only one here."},
	PromptLocked:     {"Die Konferenz ist geschlossen.", "The conference is locked."},
	PromptFull:       {"Die Konferenz ist voll.", "The conference is full."},
	PromptEnded:      {"Die Konferenz ist beendet.", "The conference has ended."},
	PromptNoAnswer:   {"Der Teilnehmer ist leider nicht erreichbar.", "Sorry, nobody could be reached."},
	PromptGoodbye:    {"Auf Wiederhören.", "Goodbye."},
	PromptJoined:     {"ist beigetreten.", "has joined."},
	PromptLeft:       {"ist gegangen.", "has left."},
	PromptIsBack:     {"ist wieder da.", "is back."},
	PromptHaveJoined: {"sind beigetreten.", "have joined."},
	PromptHaveLeft:   {"sind gegangen.", "have left."},
	PromptGuest:      {"Ein Gast", "A guest"},
	PromptSomeone:    {"Jemand von", "Someone from"},
	PromptAnd:        {"und", "and"},
	PromptOther:      {"weiterer", "other"},
	PromptOthers:     {"weitere", "others"},
	PromptHostAccept: {"Ein Anrufer wartet in Ihrer Konferenz. Zum Annehmen drücken Sie die eins.", "A caller is waiting in your conference. To accept, press one."},
	PromptMuted:      {"Sie sind stumm.", "You are muted."},
	PromptUnmuted:    {"Sie sind zu hören.", "You are unmuted."},
	PromptAllMuted:   {"Alle sind stumm.", "Everyone is muted."},
	PromptAllUnmuted: {"Alle sind zu hören.", "Everyone is unmuted."},
	PromptUnlocked:   {"Die Konferenz ist offen.", "The conference is open."},
	PromptRecording:  {"Diese Konferenz wird aufgezeichnet.", "This conference is being recorded."},
	PromptNotRecord:  {"Die Aufzeichnung ist beendet.", "The recording has ended."},
	PromptRemoved:    {"Sie wurden entfernt.", "You have been removed."},
	PromptPeople:     {"Anzahl der Teilnehmer:", "Number of people:"},
	PromptInvited:    {"Sie werden in eine Konferenz gerufen. Zum Beitreten drücken Sie die eins.", "You are invited to a conference call. To join, press one."},

	PromptDial:        {"Nummer aus dem Adressbuch oder letzte Ziffern, danach die Rautetaste. Abbruch mit Stern.", "Dial a number of your address book or its last digits, then hash. Star cancels."},
	PromptDialMore:    {"Bitte mehr Ziffern.", "Please dial more digits."},
	PromptAmbiguous:   {"Mehrere Nummern enden so.", "Several numbers end like that."},
	PromptNotInBook:   {"Nicht im Adressbuch.", "Not in your address book."},
	PromptWillCall:    {"Angerufen wird", "You are calling"},
	PromptDialConfirm: {"Zum Anrufen die eins, zum Abbrechen Stern.", "Press one to call, star to cancel."},
	PromptCalling:     {"Der Anruf läuft.", "The call is on its way."},
	PromptCancelled:   {"Abgebrochen.", "Cancelled."},
	PromptNotPossible: {"Das geht jetzt nicht.", "That is not possible now."},

	"key-star":  {"die Sterntaste", "star"},
	"key-hash":  {"die Rautetaste", "hash"},
	"number-0":  {"null", "zero"},
	"number-1":  {"eins", "one"},
	"number-2":  {"zwei", "two"},
	"number-3":  {"drei", "three"},
	"number-4":  {"vier", "four"},
	"number-5":  {"fünf", "five"},
	"number-6":  {"sechs", "six"},
	"number-7":  {"sieben", "seven"},
	"number-8":  {"acht", "eight"},
	"number-9":  {"neun", "nine"},
	"number-10": {"zehn", "ten"},
	"number-11": {"elf", "eleven"},
	"number-12": {"zwölf", "twelve"},
}
