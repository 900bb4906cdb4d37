package fssim

import (
	"strings"
	"testing"
	"time"
)

func TestExpandSeesHeadersOfTheChannel(t *testing.T) {
	_, _, _, c, uuid, _ := plainCall(t, nil, "api nosuchapi", "api ${echo")
	c.execute("set", "signalbox_stage=unserved")
	in := "uuid:" + uuid + " "
	for _, x := range []struct{ cmd, want string }{
		{"expand " + in + "echo ${variable_signalbox_stage}-${Caller-Caller-ID-Number}-${Unique-ID}", "unserved-+12125550123-" + uuid},
		{"expand " + in + "echo <${signalbox_stage}${caller_id_number}${uuid}>", "<>"},
		{"expand echo <${variable_signalbox_stage}>", "<>"},
		{"expand uuid:nonesuch echo <${variable_signalbox_stage}>", "<>"},
		{"expand uuid:nonesuch echo ${x}", "-ERR no reply\n"},
		{"expand expand echo 1", "1"},
		{"expand", "-ERR No input\n"},
		{"expand uuid:" + uuid, "-ERR No input\n"},
		{"expand " + in + "nosuchapi ${x}", "INVALID COMMAND!\n-ERR Cannot execute command\n"},
		{"expand " + in + "${echo(echo)} ${variable_signalbox_stage}", "INVALID COMMAND!\n-ERR Cannot execute command\n"},
		{"expand echo ${cond(${uuid_getvar(" + uuid + " signalbox_stage)} == unserved ? here : gone)}", "here"},
		{"expand echo ${cond(${uuid_getvar(nonesuch signalbox_stage)} == unserved ? here : gone)}", "-ERR"},
		{"eval " + in + "${variable_signalbox_stage} ${signalbox_stage}.", "unserved ."},
		{"echo ${variable_signalbox_stage}", "${variable_signalbox_stage}"},
	} {
		if got := c.api(x.cmd); got != x.want {
			t.Errorf("%s\n\tgave %q, want %q", x.cmd, got, x.want)
		}
	}
}

func TestCond(t *testing.T) {
	for _, x := range []struct{ arg, want string }{
		{"a == b ? x : y", "y"}, {"3 > 2 ? x : y", "x"}, {"10 > 9 ? x : y", "x"}, {"'' == '' ? x : y", "x"},
		{" == unserved ? x : y", "-ERR"}, {"a == 3 ? x : y", "y"}, {"abc == 3 ? x : y", "x"}, {"a == a ? x", "x"},
		{"a == b ? x", ""}, {"a==a ? x : y", "-ERR"}, {"a == a ?x:y", "x"}, {"a == a", "-ERR"}, {"", "-ERR"},
		{"'a b' == 'a b' ? x : y", "x"}, {"1.5 <= 1.50 ? x : y", "x"}, {"a != b ? x : y", "x"}, {"a ~ b ? x : y", "-ERR"},
		{"'3' != '30' ? x : y", "x"}, {"'a == b ? x : y", "-ERR"}} {
		if got := apiCond(nil, nil, x.arg); got != x.want {
			t.Errorf("cond %s = %q, want %q", x.arg, got, x.want)
		}
	}
}

// TestConditionalGuard is the guard that a controller arms: it is expanded when it fires, not when it is armed.
func TestConditionalGuard(t *testing.T) {
	for _, stage := range []string{"unserved", "talked"} {
		t.Run(stage, func(t *testing.T) {
			s, _, _, c, uuid, _ := plainCall(t, nil)
			c.execute("set", "signalbox_stage=armed")
			in := link(t, s)
			in.cmd("event plain CHANNEL_EXECUTE CHANNEL_ANSWER")
			in.api("sched_api +1 signalbox-" + uuid + " expand uuid_transfer ${cond(${uuid_getvar(" + uuid +
				" signalbox_stage)} == unserved ? " + uuid + " : gone)} 'set:fired=yes,park:' inline")
			in.api("uuid_setvar " + uuid + " signalbox_stage " + stage)
			fired := make(chan struct{})
			s.timers.after(2*time.Second, func() { close(fired) })
			<-fired
			want := map[string]string{"unserved": "yes", "talked": "_undef_"}[stage]
			if got := in.api("uuid_getvar " + uuid + " fired"); got != want {
				t.Errorf("fired: %q, want %q", got, want)
			}
		})
	}
}

func TestScheduledExpandInTheBackground(t *testing.T) {
	s, _, _, c, uuid, _ := plainCall(t, nil)
	c.execute("set", "signalbox_stage=unserved")
	in := link(t, s)
	in.cmd("event plain BACKGROUND_JOB")
	in.api("sched_api +1 g expand uuid:" + uuid + " bgapi ${cond(${variable_signalbox_stage} == unserved ? uuid_setvar : uuid_exists)} " +
		uuid + " fired ${variable_signalbox_stage}")
	if e := in.event("BACKGROUND_JOB"); e.Get("Job-Command") != "uuid_setvar" || string(e.Body()) != "+OK\n" {
		t.Errorf("BACKGROUND_JOB %s %q", e.Get("Job-Command"), e.Body())
	}
	if got := in.api("uuid_getvar " + uuid + " fired"); got != "unserved" {
		t.Errorf("fired: %q", got)
	}
}

// TestDeletedTasksAreCounted: by group a task counts once, by its number until the scheduler's next tick.
func TestDeletedTasksAreCounted(t *testing.T) {
	s := emptySwitch(t)
	c := link(t, s)
	want := func(cmd, reply string) {
		t.Helper()
		if got := c.api(cmd); got != reply {
			t.Errorf("%s: %q, want %q", cmd, got, reply)
		}
	}
	want("sched_api +30 g uuid_exists 1", "+OK Added: 1\n")
	want("sched_api +30 g uuid_exists 2", "+OK Added: 2\n")
	want("sched_del g", "+OK Deleted: 2\n")
	want("sched_del g", "+OK Deleted: 0\n")
	want("sched_del nope", "+OK Deleted: 0\n")
	want("sched_del 99999", "+OK Deleted: 0\n")
	want("sched_del", "+OK Deleted: 0\n")
	want("sched_api x", "-ERR Invalid syntax. USAGE: [+@]<time> <group_name> <command_string>[&]\n")
	r := c.api("sched_api +30 h uuid_exists 3")
	id := strings.TrimSuffix(strings.TrimPrefix(r, "+OK Added: "), "\n")
	began := time.Now()
	want("sched_del "+id, "+OK Deleted: 1\n")
	if got := c.api("sched_del " + id); got != "+OK Deleted: 1\n" && time.Since(began) < schedTick/10 {
		t.Errorf("the second time at once: %q", got)
	}
	swept := make(chan struct{})
	s.timers.after(schedTick+schedTick/2, func() { close(swept) })
	<-swept
	want("sched_del "+id, "+OK Deleted: 0\n")
	c.cmd("event plain BACKGROUND_JOB")
	want("sched_api @1 again bgapi uuid_exists r", "+OK Added: 4\n")
	c.event("BACKGROUND_JOB")
	c.event("BACKGROUND_JOB")
	want("sched_del again", "+OK Deleted: 1\n")
}

// TestTasksRunAtTheSchedulersTick: n seconds are n-1 to n+0.5 of them.
func TestTasksRunAtTheSchedulersTick(t *testing.T) {
	began := time.Unix(1000, 700e6)
	q := &scheduler{began: began}
	for _, ms := range []int{0, 100, 299, 300, 500, 799, 999} {
		now := began.Add(time.Duration(ms) * time.Millisecond)
		at := now.Unix() + 3
		run := now.Add(q.tickAfter(at, now))
		if run.Unix() < at || run.Sub(time.Unix(at, 0)) > schedTick || run.Sub(now) > 3500*time.Millisecond {
			t.Errorf("at %v: due %d, runs %v", now.UTC(), at, run.UTC())
		}
		if run.Sub(began)%schedTick != 0 {
			t.Errorf("at %v: runs off the tick, %v", now.UTC(), run.UTC())
		}
	}
	if d := q.tickAfter(0, began.Add(100*time.Millisecond)); d != 400*time.Millisecond {
		t.Errorf("what is overdue runs in %v", d)
	}
}
