package tel

// Cause is one hangup cause: FreeSWITCH's name, ITU-T Q.850's number (above 127: FreeSWITCH's own), and the status that
// FreeSWITCH answers a SIP caller with.
type Cause struct {
	Name string
	Q850 int
	SIP  int
}

// causes are as FreeSWITCH 1.10.12 maps them; 480 is its answer to everything it has no status for.
var causes = [...]Cause{
	{"NONE", 0, 480},
	{"UNALLOCATED_NUMBER", 1, 404},
	{"NO_ROUTE_TRANSIT_NET", 2, 404},
	{"NO_ROUTE_DESTINATION", 3, 404},
	{"NORMAL_CLEARING", 16, 480},
	{"USER_BUSY", 17, 486},
	{"NO_USER_RESPONSE", 18, 408},
	{"NO_ANSWER", 19, 480},
	{"SUBSCRIBER_ABSENT", 20, 480},
	{"CALL_REJECTED", 21, 603},
	{"NUMBER_CHANGED", 22, 410},
	{"REDIRECTION_TO_NEW_DESTINATION", 23, 410},
	{"EXCHANGE_ROUTING_ERROR", 25, 483},
	{"DESTINATION_OUT_OF_ORDER", 27, 502},
	{"INVALID_NUMBER_FORMAT", 28, 484},
	{"FACILITY_REJECTED", 29, 501},
	{"NORMAL_UNSPECIFIED", 31, 480},
	{"NORMAL_CIRCUIT_CONGESTION", 34, 503},
	{"NETWORK_OUT_OF_ORDER", 38, 503},
	{"NORMAL_TEMPORARY_FAILURE", 41, 503},
	{"SWITCH_CONGESTION", 42, 503},
	{"REQUESTED_CHAN_UNAVAIL", 44, 503},
	{"OUTGOING_CALL_BARRED", 52, 403},
	{"INCOMING_CALL_BARRED", 54, 403},
	{"BEARERCAPABILITY_NOTAUTH", 57, 403},
	{"BEARERCAPABILITY_NOTAVAIL", 58, 503},
	{"SERVICE_UNAVAILABLE", 63, 480},
	{"BEARERCAPABILITY_NOTIMPL", 65, 488},
	{"FACILITY_NOT_IMPLEMENTED", 69, 501},
	{"SERVICE_NOT_IMPLEMENTED", 79, 501},
	{"INCOMPATIBLE_DESTINATION", 88, 488},
	{"RECOVERY_ON_TIMER_EXPIRE", 102, 504},
	{"INTERWORKING", 127, 480},
	{"ORIGINATOR_CANCEL", 487, 487},
	{"ALLOTTED_TIMEOUT", 802, 480},
	{"MEDIA_TIMEOUT", 804, 480},
	{"USER_NOT_REGISTERED", 806, 480},
	{"PROGRESS_TIMEOUT", 807, 480},
	{"INVALID_GATEWAY", 808, 484},
	{"GATEWAY_DOWN", 809, 503},
	{"INVALID_URL", 810, 484},
	{"INVALID_PROFILE", 811, 502},
	{"BUSY_EVERYWHERE", 815, 600},
	{"DECLINE", 816, 603},
	{"DOES_NOT_EXIST_ANYWHERE", 817, 604},
	{"NOT_ACCEPTABLE", 818, 606},
	{"UNWANTED", 819, 607},
	{"NO_IDENTITY", 820, 428},
	{"BAD_IDENTITY_INFO", 821, 429},
	{"UNSUPPORTED_CERTIFICATE", 822, 437},
	{"INVALID_IDENTITY", 823, 438},
	{"STALE_DATE", 824, 403},
	{"REJECT_ALL", 825, 603},
}

// CauseByName finds a cause by FreeSWITCH's name.
func CauseByName(name string) (Cause, bool) {
	for _, c := range causes {
		if c.Name == name {
			return c, true
		}
	}
	return Cause{}, false
}

// SIPForCause is the status that FreeSWITCH answers an unanswered SIP caller with; 480 for a cause it does not know.
func SIPForCause(name string) int {
	if c, ok := CauseByName(name); ok {
		return c.SIP
	}
	return 480
}

// CauseForSIP is the cause that FreeSWITCH makes of a final SIP status of a called party.
func CauseForSIP(status int) string {
	switch status {
	case 200:
		return "NORMAL_CLEARING"
	case 401, 402, 403, 407, 603, 608:
		return "CALL_REJECTED"
	case 607:
		return "UNWANTED"
	case 404:
		return "UNALLOCATED_NUMBER"
	case 485, 604:
		return "NO_ROUTE_DESTINATION"
	case 408, 504:
		return "RECOVERY_ON_TIMER_EXPIRE"
	case 410:
		return "NUMBER_CHANGED"
	case 413, 414, 416, 420, 421, 423, 505, 513:
		return "INTERWORKING"
	case 480:
		return "NO_USER_RESPONSE"
	case 400, 481, 500, 503:
		return "NORMAL_TEMPORARY_FAILURE"
	case 486, 600:
		return "USER_BUSY"
	case 484:
		return "INVALID_NUMBER_FORMAT"
	case 488, 606:
		return "INCOMPATIBLE_DESTINATION"
	case 502:
		return "NETWORK_OUT_OF_ORDER"
	case 405:
		return "SERVICE_UNAVAILABLE"
	case 406, 415, 501:
		return "SERVICE_NOT_IMPLEMENTED"
	case 482, 483:
		return "EXCHANGE_ROUTING_ERROR"
	case 487:
		return "ORIGINATOR_CANCEL"
	case 428:
		return "NO_IDENTITY"
	case 429:
		return "BAD_IDENTITY_INFO"
	case 437:
		return "UNSUPPORTED_CERTIFICATE"
	case 438:
		return "INVALID_IDENTITY"
	}
	return "NORMAL_UNSPECIFIED"
}
