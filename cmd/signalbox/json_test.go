package main

import (
	"regexp"
	"strings"
	"testing"
)

// Scripts read these bytes: a key that changes its name here changes it for them.
func TestCheckConfigNamesWhatItPrints(t *testing.T) {
	t.Parallel()
	out := newFolder(t).good("check-config", "--format", "json")
	const want = `[
  {
    "key": "region",
    "env": "SIGNALBOX_REGION",
    "value": "US"
  },
  {
    "key": "domain",
    "env": "SIGNALBOX_DOMAIN",
    "value": "pbx.example.net"
  },
`
	if !strings.HasPrefix(out, want) || !strings.Contains(out, `    "value": "***"`) {
		t.Errorf("check-config prints\n%s", out)
	}
}

func TestAnOutcomeThatFreeSWITCHDoesNotHaveIsRefused(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	f.write("d.xml", `<include>
  <context name="public">
    <extension name="all">
      <condition field="destination_number" expression="^1$">
        <action application="bridge" data="user/1000"/>
      </condition>
    </extension>
  </context>
</include>`)
	trace := []string{"dialplan", "trace", "--conf", "d.xml", "--destination", "1"}
	for _, outcome := range []string{"bridge=no_answer, SUCCESS", "bridge="} {
		f.good(append(trace, "--assume", outcome)...)
	}
	f.write("calls.csv", "destination,assume:bridge\n1,USER_BUSY\n1,BUSY\n")
	for want, args := range map[string][]string{
		`signalbox: --assume bridge: FreeSWITCH has no outcome "NOANSWER"; write SUCCESS or one of its causes: NONE, UNALLOCATED_NUMBER, `: append(trace, "--assume", "bridge=SUCCESS,NOANSWER"),
		`calls.csv: line 3: assume:bridge: FreeSWITCH has no outcome "BUSY"; write SUCCESS or one of its causes: NONE, `:                   {"dialplan", "trace", "--conf", "d.xml", "--csv", "calls.csv"},
	} {
		if r := f.run("", args...); r.status != 1 || !strings.Contains(r.err, want) || strings.Count(r.err, "\n") != 1 || r.out != "" {
			t.Errorf("%s: %+v\nwant %s", strings.Join(args, " "), r, want)
		}
	}
}

func TestARegionThatIsNoneIsToldWithItsPlace(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	f.write("x.yaml", strings.Replace("region: XX\n"+settings, "region: US\n", "", 1))
	r := f.run("", "check-config", "--config", "x.yaml")
	const want = `x.yaml: line 1: region is "XX", which is no country whose numbers are known: write its two letters as in ISO 3166, for example US` + "\n"
	if r.status != 1 || !strings.HasSuffix(r.err, want) {
		t.Errorf("%+v\nwant %s", r, want)
	}
	c := f.command(t.Context(), "check-config")
	c.Env = append(c.Env, "SIGNALBOX_REGION=ZZ")
	if out, err := c.CombinedOutput(); err == nil || !strings.Contains(string(out), `SIGNALBOX_REGION: region is "ZZ"`) {
		t.Errorf("of the environment: %v\n%s", err, out)
	}
}

func TestExplainAsJSON(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	f.write("two.yaml", `accounts: [{id: ada}]
numbers: [{number: "+14155550100", account: ada, devices: [{user: "1000", host: pbx.example.net}], no_answer: 12s500ms, voicemail: {pilot: "+18056377243", conditions: [busy]}}]
pilots: [{number: "+18056377243", systems: [{fqdn: vm.example.net, priority: 10}]}]
voicemail_systems: [{fqdn: vm.example.net, transport: tcp, drain: false}]
`)
	f.good("provision", "apply", "two.yaml")
	out := f.good("explain", "--from", "+12125550123", "--to", "+14155550100", "--diversion", "<sip:+14155550101@h>;reason=user-busy", "--format", "json")
	out = regexp.MustCompile(`"at": "20[0-9-]{8}T[0-9:]{8}\.[0-9]{3}Z"`).ReplaceAllString(out, `"at": "NOW"`)
	const want = `{
  "arrival": {
    "caller": {
      "number": "+12125550123",
      "user": "+12125550123",
      "withheld": false,
      "asserted": false
    },
    "called": {
      "number": "+14155550100",
      "dialled": "+14155550100"
    },
    "diversions": [
      {
        "number": "+14155550101",
        "user": "+14155550101",
        "reason": "user-busy",
        "counter": 1
      }
    ],
    "verdict": {
      "screened": true,
      "action": "deliver",
      "likelihood": 0,
      "model": "explain"
    },
    "at": "NOW",
    "evidence": "token"
  },
  "plan": {
    "number": "+14155550100",
    "account": "ada",
    "tenant": "operator",
    "version": 1,
    "steps": [
      {
        "kind": "ring",
        "reason": {
          "name": "subscriber",
          "sentence": "the number belongs to ada, whose phone is rung for 12.5s"
        },
        "ring": {
          "devices": [
            {
              "kind": "registered",
              "profile": "internal",
              "user": "1000",
              "host": "pbx.example.net"
            }
          ],
          "timeout_seconds": 12.5
        }
      },
      {
        "kind": "mailbox",
        "reason": {
          "name": "mailbox",
          "sentence": "voicemail is provisioned with pilot +18056377243, which is vm.example.net"
        },
        "on": [
          "busy"
        ],
        "mailbox": {
          "condition": "deposit",
          "pilot": "+18056377243",
          "number": "+14155550100",
          "mailbox": "+14155550100",
          "systems": [
            {
              "fqdn": "vm.example.net",
              "transport": "tcp",
              "profile": "external"
            }
          ],
          "progress_timeout_seconds": 4,
          "answer_timeout_seconds": 20,
          "total_timeout_seconds": 30
        }
      },
`
	if begin, _, _ := strings.Cut(out, "      {\n        \"kind\": \"notice\""); begin != want {
		t.Errorf("explain prints\n%s", begin)
	}
	const branch = `  "branches": [
    {
      "step": 1,
      "result": "answered",
      "says": "they talk; the call is over"
    },
`
	if !strings.Contains(out, branch) {
		t.Errorf("explain prints\n%s", out)
	}
	if key := regexp.MustCompile(`"[^" ]*[A-Z][^" ]*":|000000`).FindString(out); key != "" {
		t.Errorf("%s is no key in lower case, or nanoseconds", key)
	}
}

// What a dry run says in JSON is what the true run says, but for dry_run.
func TestApplyAsJSON(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	f.write("next.yaml", strings.NewReplacer("Lovelace", "King", "accounts:\n", "prune: true\naccounts:\n  - {id: bob}\n", "conditions: [no-answer, busy]", "conditions: [no-answer]").Replace(provisioned))
	f.write("last.yaml", "prune: true\naccounts: [{id: bob}, {id: ada, name: Ada King}]\n")
	for _, c := range []struct{ file, want string }{
		{"provision.yaml", ""},
		{"provision.yaml", "{\n  \"added\": [],\n  \"changed\": [],\n  \"removed\": []\n}\n"},
		{"next.yaml", `{
  "added": [
    {
      "kind": "account",
      "key": "bob",
      "row": "account bob"
    }
  ],
  "changed": [
    {
      "kind": "account",
      "key": "ada",
      "row": "account ada",
      "fields": [
        {
          "name": "name",
          "before": "Ada Lovelace",
          "after": "Ada King"
        }
      ]
    },
    {
      "kind": "number",
      "key": "+14155550100",
      "row": "number +14155550100 (account ada)",
      "fields": [
        {
          "name": "voicemail.conditions[1]",
          "before": "busy"
        }
      ]
    }
  ],
  "removed": []
}
`},
		{"last.yaml", ""},
	} {
		dry := f.good("provision", "apply", c.file, "--dry-run", "--format", "json")
		out := f.good("provision", "apply", c.file, "--format", "json")
		if c.want != "" && out != c.want {
			t.Errorf("%s: apply prints\n%s\nwant\n%s", c.file, out, c.want)
		}
		if want := strings.TrimSuffix(out, "\n}\n") + ",\n  \"dry_run\": true\n}\n"; dry != want {
			t.Errorf("%s: the dry run prints\n%s\nwant\n%s", c.file, dry, want)
		}
	}
}
