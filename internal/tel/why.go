package tel

// Why says why a phone did not take a call; "" = it did, or nothing is known.
type Why string

// The reasons.
const (
	NoAnswer      Why = "no-answer"
	Busy          Why = "busy"
	NotRegistered Why = "not-registered"
	Unreachable   Why = "unreachable"
	Declined      Why = "declined"
	Unconditional Why = "unconditional" // a rule, not the phone
	CallerGone    Why = "caller-gone"
)

// WhyUnanswered reads FreeSWITCH's originate_disposition, and the SIP status of the final response where one came
// (0 = none). FreeSWITCH folds several statuses into one disposition; the status then decides.
func WhyUnanswered(disposition string, status int) Why {
	switch disposition {
	case "", "SUCCESS":
		return ""
	case "NO_ANSWER", "ALLOTTED_TIMEOUT":
		return NoAnswer
	case "USER_BUSY":
		return Busy
	case "USER_NOT_REGISTERED", "SUBSCRIBER_ABSENT", "UNALLOCATED_NUMBER", "NO_ROUTE_DESTINATION":
		return NotRegistered
	case "CALL_REJECTED", "DECLINE", "UNWANTED":
		// 401, 402, 403 and 407 are no decision of a person.
		if status >= 400 && status < 500 {
			return Unreachable
		}
		return Declined
	case "BUSY_EVERYWHERE":
		return Busy
	case "ORIGINATOR_CANCEL":
		return CallerGone
	}
	return Unreachable
}

// RedirectCause is the cause of RFC 4458 section 2 for a call that is redirected for this reason.
func (w Why) RedirectCause() int {
	switch w {
	case NoAnswer:
		return 408
	case Busy:
		return 486
	case NotRegistered:
		return 404
	case Declined:
		return 480 // deflection while ringing; 487 would be read as a caller who hung up
	case Unconditional:
		return 302
	}
	return 503
}

// DiversionReason is the reason of RFC 5806 section 4.1 for a call that is diverted.
func DiversionReason(w Why) string {
	switch w {
	case NoAnswer:
		return "no-answer"
	case Busy:
		return "user-busy"
	case NotRegistered, Unreachable:
		return "unavailable"
	case Declined:
		return "deflection"
	case Unconditional:
		return "unconditional"
	}
	return "unknown"
}
