package lint

// Rule is one thing that lint looks for.
type Rule struct {
	ID       string   `json:"id"`
	Severity Severity `json:"severity"`
	Title    string   `json:"title"`
	// Known says how it is known that FreeSWITCH does this: measured on a running 1.10.12, or read in its source.
	Known string `json:"known"`
}

const (
	measured = "measured on FreeSWITCH 1.10.12"
	source   = "source of FreeSWITCH 1.10.12"
)

// Rules returns all rules, sorted by name.
func Rules() []Rule { return append([]Rule(nil), rules...) }

func ruleOf(id string) (Rule, bool) {
	for _, r := range rules {
		if r.ID == id {
			return r, true
		}
	}
	return Rule{}, false
}

var rules = []Rule{
	{"actions-after-end", Warning, "an action stands behind one that ends the list", measured},
	{"address-pattern", Warning, "a pattern for addresses that takes others, because a dot in it is any character", "decided on the pattern"},
	{"anti-action-ends-hunt", Note, "an extension with an anti-action also ends the hunt for calls it is not for", measured},
	{"application-missing", Error, "an action without an application", source},
	{"application-misspelt", Error, "an application that nearly has the name of a known one", measured},
	{"application-not-loaded", Warning, "an application whose module the tree does not load", measured},
	{"application-unknown", Warning, "an application that none of FreeSWITCH's own modules brings", measured},
	{"bridge-fallback", Warning, "actions behind a bridge that never run when it fails", measured},
	{"capture-missing", Error, "$1 and the like where the pattern has no such group", measured},
	{"condition-without-field", Error, "an expression without a field: the condition holds for every call", measured},
	{"conditions-exclude", Warning, "two conditions of one extension that never hold together", measured},
	{"conference-profile", Note, "a conference with a profile that conference.conf does not have", source},
	{"context-duplicate", Error, "a second context of the same name", measured},
	{"context-missing", Error, "a transfer into a context that is not there", measured},
	{"continue-useless", Note, "continue=\"true\" that changes nothing", measured},
	{"dropped-line", Error, "a line, or a part of one, that the XML loader drops", measured},
	{"escaped-quote", Error, "an action whose data holds \\' is not queued", measured},
	{"exec-directive", Note, "X-PRE-PROCESS runs a program whose output is not known here", source},
	{"extension-duplicate", Note, "two extensions of one name in a context", source},
	{"extension-unreachable", Warning, "an extension that no call comes to", measured},
	{"extension-without-condition", Warning, "an extension without a condition never does anything", measured},
	{"field-unknown", Error, "a condition on a field that FreeSWITCH does not have", measured},
	{"global-undefined", Warning, "a global variable that is not set where it is used", measured},
	{"group-limit", Error, "a pattern with more than nine groups never matches", measured},
	{"include-missing", Note, "an include that finds no file", source},
	{"inline-refused", Error, "inline=\"true\" on an application that may not run inline", measured},
	{"park-timeout", Error, "park_timeout before socket hangs healthy calls up", measured},
	{"pattern-alternatives", Warning, "^a|b$: the ^ holds for the first alternative alone, the $ for the last", "decided on the pattern"},
	{"pattern-invalid", Error, "a pattern that does not compile", measured},
	{"pattern-pcre2", Note, "a pattern that PCRE2, which FreeSWITCH 1.11 uses, reads otherwise", "measured on PCRE 8.39 in FreeSWITCH 1.10.12 and on PCRE2 10.42"},
	{"pattern-slow", Warning, "a pattern that a caller can make very slow", "measured here, with a bound on the time"},
	{"pattern-unanchored", Note, "a pattern for a number that also takes longer ones", measured},
	{"preprocess-bad", Warning, "an X-PRE-PROCESS that does nothing", source},
	{"preprocess-in-comment", Warning, "X-PRE-PROCESS inside a comment is carried out all the same", measured},
	{"shell-injection", Error, "text from the caller in a shell command", source},
	{"socket-host", Warning, "socket connects to a host that is not on this machine", measured},
	{"socket-no-fallback", Warning, "nothing stands behind socket", measured},
	{"socket-no-guard", Warning, "nothing takes the call back from a controller that hangs", measured},
	{"socket-port", Note, "a host of socket without a port", source},
	{"stray-element", Error, "an element where FreeSWITCH does not look", measured},
	{"stream-unknown", Warning, "music of a stream that local_stream.conf does not have", measured},
	{"time-invalid", Warning, "a time condition that never holds", source},
	{"toll-fraud", Error, "a stranger reaches a gateway with a number of his choice", "follows from the tree"},
	{"too-many", Warning, "more findings than are shown", ""},
	{"unknown-attribute", Warning, "an attribute, or its value, that FreeSWITCH does not know there", source},
	{"variable-misspelt", Warning, "a variable that nearly has the name of a known one", "names from the source of FreeSWITCH 1.10.12"},
	{"variable-too-early", Warning, "a condition on a variable that is set only after the hunt", measured},
	{"xml-syntax", Error, "FreeSWITCH refuses the whole tree", measured},
}
