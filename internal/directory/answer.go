package directory

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/signalbox/signalbox/internal/store"
)

// phone is what an answer is made of.
type phone struct {
	user, host, hash      string
	tenant, account, name string
	number                string
}

func phoneOf(u store.DirectoryUser) *phone {
	return &phone{
		user: u.Device.User, host: u.Device.Host, hash: u.Device.A1Hash,
		tenant: u.Tenant, account: u.Account.ID, name: u.Account.Name, number: u.Number.Number,
	}
}

// notFound is what FreeSWITCH takes for "ask somebody else": its next binding, and then its own files.
const notFound = `<?xml version="1.0" encoding="UTF-8"?>
<document type="freeswitch/xml">
<section name="result">
<result status="not found"/>
</section>
</document>
`

// answer is a phone as FreeSWITCH reads it. One element stands on a line: FreeSWITCH drops lines in which it sees a directive.
func (o *Options) answer(p *phone) []byte {
	var b strings.Builder
	b.WriteString("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<document type=\"freeswitch/xml\">\n<section name=\"directory\">\n")
	fmt.Fprintf(&b, "<domain name=\"%s\">\n<params>\n<param name=\"dial-string\" value=\"%s\"/>\n</params>\n<users>\n", attribute(p.host), attribute(o.DialString))
	fmt.Fprintf(&b, "<user id=\"%s\"%s>\n<params>\n<param name=\"a1-hash\" value=\"%s\"/>\n</params>\n<variables>\n", attribute(p.user), cacheable(o.Cache), attribute(p.hash))
	for _, v := range [][2]string{
		{"user_context", o.Context}, {"accountcode", p.account},
		{"effective_caller_id_name", callerName(p.name)}, {"effective_caller_id_number", p.number},
	} {
		if v[1] != "" {
			fmt.Fprintf(&b, "<variable name=\"%s\" value=\"%s\"/>\n", v[0], attribute(v[1]))
		}
	}
	b.WriteString("</variables>\n</user>\n</users>\n</domain>\n</section>\n</document>\n")
	return []byte(b.String())
}

// cacheable has FreeSWITCH itself keep the answer. It reads milliseconds, and keeps what is no number for ever.
func cacheable(d time.Duration) string {
	if d <= 0 {
		return ""
	}
	return fmt.Sprintf(` cacheable="%d"`, d.Milliseconds())
}

// attribute writes a value of an attribute. Letters, digits and few signs stand for themselves and all else as a character reference,
// so that FreeSWITCH's preprocessor, which runs before its parser, sees no directive in it, whatever it is: neither <!--#, nor
// X-PRE-PROCESS, nor $${. Control characters, which XML cannot have, are left out.
func attribute(s string) string {
	var b strings.Builder
	for _, r := range strings.ToValidUTF8(s, "?") {
		switch {
		case r < 0x80 && (unicode.IsLetter(r) || unicode.IsDigit(r)), r == ' ', r == '.', r == '_', r == '@', r == '+':
			b.WriteRune(r)
		case r < ' ', r == 0x7f, r == 0xfffe, r == 0xffff:
		default:
			fmt.Fprintf(&b, "&#%d;", r)
		}
	}
	return b.String()
}

// callerName is a name that may become a channel's variable: FreeSWITCH expands ${...} in such values again, dial strings part
// variables at commas and braces, and a quote or a percent sign in a display name breaks the INVITE that it stands in.
func callerName(name string) string {
	clean := strings.Map(func(r rune) rune {
		switch {
		case r == '\'' || r == '’':
			return -1 // O'Brien is OBrien
		case unicode.IsLetter(r), unicode.IsMark(r), unicode.IsDigit(r), strings.ContainsRune(".-_&/+()@!", r):
			return r
		case r == '$':
			return 'S'
		}
		return ' '
	}, strings.ToValidUTF8(name, " "))
	return strings.Join(strings.Fields(clean), " ")
}
