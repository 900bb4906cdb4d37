package main

import (
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
