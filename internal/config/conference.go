package config

import (
	"fmt"
	"path"
	"strings"
)

// Voice is a voice of FreeSWITCH's.
type Voice struct {
	Engine string `yaml:"engine"` // module without its mod_, such as flite; "" = nobody speaks
	Name   string `yaml:"name"`
}

const nameLetters = "abcdefghijklmnopqrstuvwxyz0123456789_-"

// conference checks access numbers, what is played, and what FreeSWITCH is to have.
func (v *validation) conference(c Conference) {
	for i, n := range c.AccessNumbers {
		v.check(digitGrammar.MatchString(n) && strings.HasPrefix(n, "+"), fmt.Sprintf("conference.access_numbers[%d]", i), "is %q: write a number in E.164 such as +18005550199", n)
	}
	v.check(len(c.AccessNumbers) <= 1000, "conference.access_numbers", "has more than 1000 numbers")
	v.check(strings.Trim(strings.ToLower(c.Music), "abcdefghijklmnopqrstuvwxyz0123456789/._-:%(),;=") == "", "conference.music",
		"is neither a path of letters, digits and /._- nor a stream such as local_stream://moh")
	v.check(strings.Trim(strings.ToLower(c.Gateway), nameLetters+".") == "" && len(c.Gateway) <= 64, "conference.gateway", "is no name of a gateway: letters, digits and ._-")
	if c.Recordings != "" {
		v.check(path.IsAbs(c.Recordings) && strings.Trim(strings.ToLower(c.Recordings), nameLetters+"/.") == "", "conference.recordings",
			"is no absolute path of letters, digits and /._-, as FreeSWITCH needs it")
	}
	v.check((c.Voice.Engine == "") == (c.Voice.Name == ""), "conference.voice", "needs both engine and name, such as flite and slt")
	for key, s := range map[string]string{"conference.voice.engine": c.Voice.Engine, "conference.voice.name": c.Voice.Name} {
		v.check(strings.Trim(strings.ToLower(s), nameLetters) == "" && len(s) <= 64, key, "holds something else than letters, digits, _ and -")
	}
}
