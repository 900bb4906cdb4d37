package render

import (
	"encoding/xml"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	freeswitchconf "github.com/signalbox/signalbox/freeswitch-conf"
)

// The shipped texts that settings replace.
const (
	shippedNumbers = `^\+?\d{5,18}$`
	shippedSocket  = "127.0.0.1:8084"
	shippedSecond  = "127.0.0.1:8085"
	shippedContext = "public"
	shippedGuard   = 3
	shippedNumber  = 5
)

// Bounds of the settings.
const (
	minGuard, maxGuard = 3, 60 // the sidecar gives FreeSWITCH 2 s to answer "connect" before it gives up on a call
	maxSockets         = 8
	maxContexts        = 16
	maxPattern         = 200 // bytes of the numbers' pattern
)

// Settings are what an operator may choose. The zero value of a field is what is shipped.
type Settings struct {
	Contexts []string `json:"contexts,omitempty"` // dialplan contexts, each of whose folder gets a file; public
	Numbers  string   `json:"numbers,omitempty"`  // pattern of the numbers that are handed to the sidecar
	Prefixes []string `json:"prefixes,omitempty"` // or: numbers that begin so, with or without a plus in front
	Sockets  []string `json:"sockets,omitempty"`  // sidecars as host:port, tried in order; 127.0.0.1:8084
	Guard    int      `json:"guard,omitempty"`    // seconds after which a call is taken back from a sidecar that hangs; 3
	File     *int     `json:"file,omitempty"`     // number in the file's name, which decides its place among yours; 5
	Last     bool     `json:"last,omitempty"`     // with zz_signalbox.xml, the last word of the context
	Profile  bool     `json:"profile,omitempty"`  // with sip_profiles/signalbox.xml
	Phones   bool     `json:"phones,omitempty"`   // with dialplan/default/00_signalbox_voicemail.xml
	User     bool     `json:"user,omitempty"`     // with directory/default/signalbox.xml
	Sounds   bool     `json:"sounds,omitempty"`   // with the prompts of conferences, sounds/signalbox
}

// File is one rendered file.
type File struct {
	Path string // inside the conf folder, with slashes
	Text []byte
}

func (s Settings) withDefaults() Settings {
	if len(s.Contexts) == 0 {
		s.Contexts = []string{shippedContext}
	}
	if len(s.Sockets) == 0 {
		s.Sockets = []string{shippedSocket}
	}
	if s.Guard == 0 {
		s.Guard = shippedGuard
	}
	if s.File == nil {
		number := shippedNumber
		s.File = &number
	}
	return s
}

// Files renders the files in the order in which they are written: what others refer to comes first.
func (s Settings) Files() ([]File, error) {
	s = s.withDefaults()
	pattern, err := s.check()
	if err != nil {
		return nil, err
	}
	var files []File
	add := func(from, to string, replace ...replacement) {
		if err != nil {
			return
		}
		var text []byte
		if text, err = fs.ReadFile(freeswitchconf.Files, from); err == nil {
			text, err = edited(string(text), from, replace)
		}
		files = append(files, File{to, text})
	}
	numbers := replacement{`expression="` + shippedNumbers + `"`, `expression="` + escape(pattern) + `"`}
	guard := replacement{fmt.Sprintf("${sched_api(+%d ", shippedGuard), fmt.Sprintf("${sched_api(+%d ", s.Guard)}
	said := replacement{fmt.Sprintf("answers within %d s ", shippedGuard), fmt.Sprintf("answers within %d s ", s.Guard)}
	socket := replacement{`application="socket" data="` + shippedSocket + " ", `application="socket" data="` + hosts(s.Sockets) + " "}
	if s.Sounds {
		for _, path := range freeswitchconf.SoundPaths() {
			text, err := fs.ReadFile(freeswitchconf.SoundFiles, path)
			if err != nil {
				return nil, fmt.Errorf("rendering: %w", err)
			}
			files = append(files, File{path, text})
		}
	}
	add("dialplan/signalbox.xml", "dialplan/signalbox.xml")
	if s.Profile {
		add("sip_profiles/signalbox.xml", "sip_profiles/signalbox.xml")
	}
	if s.Phones {
		add("dialplan/default/00_signalbox_voicemail.xml", "dialplan/default/00_signalbox_voicemail.xml", guard, socket)
	}
	if s.User {
		add("directory/default/signalbox.xml", "directory/default/signalbox.xml")
	}
	for _, context := range s.Contexts {
		folder := "dialplan/" + context
		if s.Last {
			add("dialplan/public/zz_signalbox.xml", folder+"/zz_signalbox.xml", numbers,
				replacement{"dialplan/" + shippedContext + "/*.xml", folder + "/*.xml"}, replacement{"in public.xml", "in " + context + ".xml"})
		}
		add("dialplan/public/05_signalbox.xml", fmt.Sprintf("%s/%02d_signalbox.xml", folder, *s.File), numbers, guard, said, socket)
		if len(s.Sockets) > 1 { // for calls that the guard takes back from the first one
			second := replacement{`application="socket" data="` + shippedSecond + " ", `application="socket" data="` + hosts(s.Sockets[1:]) + " "}
			add("two-sidecars/05_signalbox_second.xml", fmt.Sprintf("%s/%02d_signalbox_second.xml", folder, *s.File), numbers, guard, second)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("rendering: %w", err)
	}
	return files, nil
}

// replacement is one text of a shipped file that must stand there exactly once.
type replacement struct{ old, new string }

func edited(text, name string, replace []replacement) ([]byte, error) {
	for _, r := range replace {
		if n := strings.Count(text, r.old); n != 1 {
			return nil, fmt.Errorf("%s holds %q %d times, once was expected", name, r.old, n)
		}
		text = strings.Replace(text, r.old, r.new, 1)
	}
	return []byte(text), nil
}

func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s))
	return b.String()
}

var contextName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$`)

// check validates the settings and returns the pattern of the numbers.
func (s Settings) check() (string, error) {
	if len(s.Contexts) > maxContexts {
		return "", fmt.Errorf("%d contexts, at most %d", len(s.Contexts), maxContexts)
	}
	for i, c := range s.Contexts {
		switch {
		case !contextName.MatchString(c):
			return "", fmt.Errorf("context %q: a context here is a folder of dialplan/ too: letters, digits, dots, dashes and underscores", c)
		case c == "signalbox":
			return "", fmt.Errorf("context signalbox is ours already: name the context where calls arrive")
		case slices.Contains(s.Contexts[:i], c):
			return "", fmt.Errorf("context %s is given twice", c)
		}
	}
	if len(s.Sockets) > maxSockets {
		return "", fmt.Errorf("%d sidecars, at most %d", len(s.Sockets), maxSockets)
	}
	for _, a := range s.Sockets {
		if err := local(a); err != nil {
			return "", err
		}
	}
	if s.Guard < minGuard || s.Guard > maxGuard {
		return "", fmt.Errorf("guard of %d s: %d to %d. A shorter one takes calls away from a sidecar that is only slow, a longer one makes callers wait", s.Guard, minGuard, maxGuard)
	}
	if *s.File < 0 || *s.File > 99 {
		return "", fmt.Errorf("file number %d: 0 to 99; files are read in the order of their names", *s.File)
	}
	return s.pattern()
}

// local refuses what FreeSWITCH would connect to without a timeout.
func local(addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("sidecar %q: write HOST:PORT, for example %s", addr, shippedSocket)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("sidecar %q: the port is a number from 1 to 65535", addr)
	}
	if ip, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !ip.IsLoopback()) {
		return fmt.Errorf("sidecar %q is not on this machine: FreeSWITCH connects without a timeout, and a host that swallows packets holds every call for two minutes. "+
			"Run a sidecar beside FreeSWITCH, or something local that refuses at once and relays", addr)
	}
	return nil
}

// hosts writes addresses as the application socket reads them: the last colon is the one before the port, brackets are unknown.
func hosts(addrs []string) string {
	return strings.NewReplacer("[", "", "]", "").Replace(strings.Join(addrs, "|"))
}

var prefixForm = regexp.MustCompile(`^\+?[0-9]{1,15}$`)

// pattern is what destination_number has to match.
func (s Settings) pattern() (string, error) {
	if len(s.Prefixes) == 0 {
		if s.Numbers == "" {
			return shippedNumbers, nil
		}
		if len(s.Numbers) > maxPattern || strings.ContainsFunc(s.Numbers, func(r rune) bool { return r < ' ' || r > '~' }) {
			return "", fmt.Errorf("pattern of the numbers %q: at most %d printable ASCII characters", s.Numbers, maxPattern)
		}
		if strings.Contains(s.Numbers, "${") {
			return "", fmt.Errorf("pattern of the numbers %q: FreeSWITCH would put a variable in the place of ${", s.Numbers)
		}
		if !strings.HasPrefix(s.Numbers, "^") || !strings.HasSuffix(s.Numbers, "$") {
			return "", fmt.Errorf("pattern of the numbers %q: begin it with ^ and end it with $, or it takes whatever holds such a number inside", s.Numbers)
		}
		return s.Numbers, nil
	}
	if s.Numbers != "" {
		return "", fmt.Errorf("numbers are given by a pattern or by prefixes, not both")
	}
	var alternatives []string
	for _, p := range s.Prefixes {
		if !prefixForm.MatchString(p) {
			return "", fmt.Errorf("prefix %q: 1 to 15 digits, with or without a plus", p)
		}
		alternatives = append(alternatives, strings.TrimPrefix(p, "+"))
	}
	slices.Sort(alternatives)
	alternatives = slices.Compact(alternatives)
	pattern := `^(?=\+?\d{5,18}$)\+?(?:` + strings.Join(alternatives, "|") + `)\d*$`
	if len(pattern) > maxPattern {
		return "", fmt.Errorf("%d prefixes make a pattern of more than %d characters: write a pattern that takes them together", len(s.Prefixes), maxPattern)
	}
	return pattern, nil
}
