package tel

import "testing"

func TestWhyAPhoneDidNotTakeTheCall(t *testing.T) {
	for _, c := range []struct {
		disposition string
		status      int
		why         Why
		cause       int
		reason      string
	}{
		{"NO_ANSWER", 0, NoAnswer, 408, "no-answer"},
		{"ALLOTTED_TIMEOUT", 0, NoAnswer, 408, "no-answer"},
		{"PROGRESS_TIMEOUT", 0, Unreachable, 503, "unavailable"},
		{"USER_BUSY", 486, Busy, 486, "user-busy"},
		{"USER_BUSY", 600, Busy, 486, "user-busy"},
		{"USER_NOT_REGISTERED", 0, NotRegistered, 404, "unavailable"},
		{"USER_NOT_REGISTERED", 486, NotRegistered, 404, "unavailable"}, // the status is left over from an earlier attempt
		{"SUBSCRIBER_ABSENT", 0, NotRegistered, 404, "unavailable"},
		{"UNALLOCATED_NUMBER", 404, NotRegistered, 404, "unavailable"},
		{"NO_USER_RESPONSE", 480, Unreachable, 503, "unavailable"},
		{"NORMAL_TEMPORARY_FAILURE", 503, Unreachable, 503, "unavailable"},
		{"RECOVERY_ON_TIMER_EXPIRE", 408, Unreachable, 503, "unavailable"},
		{"DESTINATION_OUT_OF_ORDER", 0, Unreachable, 503, "unavailable"},
		{"CALL_REJECTED", 603, Declined, 480, "deflection"},
		{"CALL_REJECTED", 608, Declined, 480, "deflection"},
		{"CALL_REJECTED", 0, Declined, 480, "deflection"},
		{"CALL_REJECTED", 403, Unreachable, 503, "unavailable"},
		{"UNWANTED", 607, Declined, 480, "deflection"},
		{"ORIGINATOR_CANCEL", 487, CallerGone, 503, "unknown"},
		{"SOMETHING_NEW", 499, Unreachable, 503, "unavailable"},
		{"", 486, Busy, 486, "user-busy"},
		{"", 0, Unreachable, 503, "unavailable"},
		{"SUCCESS", 0, "", 503, "unknown"},
		{"PICKED_OFF", 0, "", 503, "unknown"},
	} {
		why := WhyUnanswered(c.disposition, c.status)
		if why != c.why || why.RedirectCause() != c.cause || DiversionReason(why) != c.reason {
			t.Errorf("%s %d: %q, cause %d, reason %s; want %q, %d, %s", c.disposition, c.status,
				why, why.RedirectCause(), DiversionReason(why), c.why, c.cause, c.reason)
		}
	}
	if Unconditional.RedirectCause() != 302 || DiversionReason(Unconditional) != "unconditional" {
		t.Error("a rule that sends all calls on must be cause 302, reason unconditional")
	}
}

// TestCausesAreFreeSwitchs repeats what was measured on FreeSWITCH 1.10.12.
func TestCausesAreFreeSwitchs(t *testing.T) {
	for name, sip := range map[string]int{
		"USER_BUSY": 486, "NO_ANSWER": 480, "SUBSCRIBER_ABSENT": 480, "NO_USER_RESPONSE": 408, "CALL_REJECTED": 603, "UNWANTED": 607,
		"UNALLOCATED_NUMBER": 404, "NORMAL_TEMPORARY_FAILURE": 503, "DESTINATION_OUT_OF_ORDER": 502, "USER_NOT_REGISTERED": 480,
		"ORIGINATOR_CANCEL": 487, "RECOVERY_ON_TIMER_EXPIRE": 504, "EXCHANGE_ROUTING_ERROR": 483, "NONSENSE": 480, "user_busy": 486,
	} {
		if got := SIPForCause(name); got != sip {
			t.Errorf("%s answers %d, want %d", name, got, sip)
		}
	}
	for code, name := range map[int]string{
		404: "UNALLOCATED_NUMBER", 408: "RECOVERY_ON_TIMER_EXPIRE", 480: "NO_USER_RESPONSE", 486: "USER_BUSY", 600: "USER_BUSY",
		487: "ORIGINATOR_CANCEL", 603: "CALL_REJECTED", 608: "CALL_REJECTED", 607: "UNWANTED", 503: "NORMAL_TEMPORARY_FAILURE",
		482: "EXCHANGE_ROUTING_ERROR", 484: "INVALID_NUMBER_FORMAT", 999: "NORMAL_UNSPECIFIED", 0: "NORMAL_UNSPECIFIED",
	} {
		got := CauseForSIP(code)
		if got != name {
			t.Errorf("%d becomes %s, want %s", code, got, name)
		}
		if _, ok := CauseByName(got); !ok {
			t.Errorf("%s is not in the table", got)
		}
	}
	if c, ok := CauseByName("USER_NOT_REGISTERED"); !ok || c.Q850 != 806 {
		t.Errorf("USER_NOT_REGISTERED is %+v", c)
	}
	if _, ok := CauseByName(""); ok {
		t.Error("no name found a cause")
	}
}
