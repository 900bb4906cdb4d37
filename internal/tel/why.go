package tel

// Why is the reason for which a phone did not take a call. The zero value means that it did, or that nobody tried.
type Why string

// The reasons. What happens next differs for each, so callers of WhyUnanswered see no finer ones.
const (
	NoAnswer      Why = "no-answer"      // it rang until the time was up
	Busy          Why = "busy"           // it is in another call
	NotRegistered Why = "not-registered" // no phone of the subscriber is there
	Unreachable   Why = "unreachable"    // a phone should be there but does not respond, or the way to it failed
	Declined      Why = "declined"       // somebody pressed reject
	Unconditional Why = "unconditional"  // it was not tried: the subscriber sends all calls on
	CallerGone    Why = "caller-gone"    // the caller gave up; nothing further may happen
	WrongNumber   Why = "wrong-number"   // the number belongs to nobody
)

// WhyUnanswered says why a leg to one of our own subscriber's phones failed, from FreeSWITCH's originate_disposition and
// the SIP status of the final response (0 = none came). A cause it does not know is Unreachable; "SUCCESS" and a call that
// was answered on another phone are "". It never says WrongNumber: a 404 of our own subscriber's PBX means
// that nobody is registered there, and whether a number has an owner is known to the account store, not to a cause.
func WhyUnanswered(disposition string, sipStatus int) Why {
	if disposition == "" && sipStatus != 0 {
		disposition = CauseForSIP(sipStatus)
	}
	switch disposition {
	case "SUCCESS", "LOSE_RACE", "PICKED_OFF":
		return ""
	case "NO_ANSWER", "ALLOTTED_TIMEOUT", "NO_PICKUP":
		return NoAnswer
	case "USER_BUSY", "BUSY_EVERYWHERE":
		return Busy
	case "USER_NOT_REGISTERED", "SUBSCRIBER_ABSENT", "UNALLOCATED_NUMBER", "NO_ROUTE_DESTINATION":
		return NotRegistered
	case "CALL_REJECTED":
		switch sipStatus {
		case 401, 402, 403, 407: // the phone did not let us in; nobody pressed anything
			return Unreachable
		}
		return Declined
	case "DECLINE", "REJECT_ALL", "UNWANTED":
		return Declined
	case "ORIGINATOR_CANCEL":
		return CallerGone
	}
	// PROGRESS_TIMEOUT, NO_USER_RESPONSE (480), NORMAL_TEMPORARY_FAILURE (503, nothing listening, DNS),
	// RECOVERY_ON_TIMER_EXPIRE (408, 504), DESTINATION_OUT_OF_ORDER, GATEWAY_DOWN and all that nobody has seen yet.
	return Unreachable
}

// RedirectCause is the RFC 4458 cause that tells a voicemail system which greeting to play. Declined is 480, deflection;
// 487 would be read as a caller who hung up. Everything without a cause of its own is 503, not reachable.
func (w Why) RedirectCause() int {
	switch w {
	case NoAnswer:
		return 408
	case Busy:
		return 486
	case NotRegistered:
		return 404
	case Declined:
		return 480
	case Unconditional:
		return 302
	}
	return 503
}

// RedirectWhy is the reason of an RFC 4458 cause; "" for one that is none.
func RedirectWhy(cause int) Why {
	switch cause {
	case 408:
		return NoAnswer
	case 486:
		return Busy
	case 404:
		return NotRegistered
	case 480, 487:
		return Declined
	case 302:
		return Unconditional
	case 503:
		return Unreachable
	}
	return ""
}

// DiversionWhy is the reason of a Diversion (RFC 5806 section 4); "" when it says none.
func DiversionWhy(reason string) Why {
	switch reason {
	case "no-answer":
		return NoAnswer
	case "user-busy":
		return Busy
	case "unavailable", "out-of-service":
		return Unreachable
	case "deflection", "do-not-disturb":
		return Declined
	case "unconditional", "follow-me", "time-of-day", "away":
		return Unconditional
	}
	return ""
}
