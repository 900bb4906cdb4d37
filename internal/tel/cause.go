package tel

import "strings"

// Cause is a hangup cause by FreeSWITCH's name.
type Cause struct {
	Name string // "USER_BUSY"
	Q850 int    // Q.850 value; above 127 FreeSWITCH's own
	SIP  int    // status with which FreeSWITCH 1.10.12 answers an unanswered call that ends with it
}

// CauseByName finds a cause by FreeSWITCH's name, in any case. ok is false for a name that FreeSWITCH does not have.
func CauseByName(name string) (c Cause, ok bool) {
	name = strings.ToUpper(name)
	for _, c := range causes {
		if c.Name == name {
			return c, true
		}
	}
	return Cause{}, false
}

// CauseNames lists the names of all causes, in the order of their values.
func CauseNames() []string {
	names := make([]string, 0, len(causes))
	for _, c := range causes {
		names = append(names, c.Name)
	}
	return names
}

// SIPForCause is the status with which FreeSWITCH answers an unanswered call that ends with the named cause. As in FreeSWITCH,
// a name it does not know is 480.
func SIPForCause(name string) int {
	if c, ok := CauseByName(name); ok {
		return c.SIP
	}
	return 480
}

// CauseForSIP is the name of the cause that FreeSWITCH makes of a SIP status. It is not the inverse of SIPForCause: a 480
// comes back as NO_USER_RESPONSE, which goes out as 408.
func CauseForSIP(code int) string {
	switch code {
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
	case 413, 414, 416, 420, 421, 423, 505, 513:
		return "INTERWORKING"
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

// causes is never written to.
var causes = [...]Cause{
	{"NONE", 0, 480}, {"UNALLOCATED_NUMBER", 1, 404}, {"NO_ROUTE_TRANSIT_NET", 2, 404}, {"NO_ROUTE_DESTINATION", 3, 404},
	{"CHANNEL_UNACCEPTABLE", 6, 480}, {"CALL_AWARDED_DELIVERED", 7, 480}, {"NORMAL_CLEARING", 16, 480},
	{"USER_BUSY", 17, 486}, {"NO_USER_RESPONSE", 18, 408}, {"NO_ANSWER", 19, 480}, {"SUBSCRIBER_ABSENT", 20, 480},
	{"CALL_REJECTED", 21, 603}, {"NUMBER_CHANGED", 22, 410}, {"REDIRECTION_TO_NEW_DESTINATION", 23, 410},
	{"EXCHANGE_ROUTING_ERROR", 25, 483}, {"DESTINATION_OUT_OF_ORDER", 27, 502}, {"INVALID_NUMBER_FORMAT", 28, 484},
	{"FACILITY_REJECTED", 29, 501}, {"RESPONSE_TO_STATUS_ENQUIRY", 30, 480}, {"NORMAL_UNSPECIFIED", 31, 480},
	{"NORMAL_CIRCUIT_CONGESTION", 34, 503}, {"NETWORK_OUT_OF_ORDER", 38, 503}, {"NORMAL_TEMPORARY_FAILURE", 41, 503},
	{"SWITCH_CONGESTION", 42, 503}, {"ACCESS_INFO_DISCARDED", 43, 480}, {"REQUESTED_CHAN_UNAVAIL", 44, 503},
	{"PRE_EMPTED", 45, 480}, {"FACILITY_NOT_SUBSCRIBED", 50, 480}, {"OUTGOING_CALL_BARRED", 52, 403},
	{"INCOMING_CALL_BARRED", 54, 403}, {"BEARERCAPABILITY_NOTAUTH", 57, 403}, {"BEARERCAPABILITY_NOTAVAIL", 58, 503},
	{"SERVICE_UNAVAILABLE", 63, 480}, {"BEARERCAPABILITY_NOTIMPL", 65, 488}, {"CHAN_NOT_IMPLEMENTED", 66, 480},
	{"FACILITY_NOT_IMPLEMENTED", 69, 501}, {"SERVICE_NOT_IMPLEMENTED", 79, 501}, {"INVALID_CALL_REFERENCE", 81, 480},
	{"INCOMPATIBLE_DESTINATION", 88, 488}, {"INVALID_MSG_UNSPECIFIED", 95, 480}, {"MANDATORY_IE_MISSING", 96, 480},
	{"MESSAGE_TYPE_NONEXIST", 97, 480}, {"WRONG_MESSAGE", 98, 480}, {"IE_NONEXIST", 99, 480},
	{"INVALID_IE_CONTENTS", 100, 480}, {"WRONG_CALL_STATE", 101, 480}, {"RECOVERY_ON_TIMER_EXPIRE", 102, 504},
	{"MANDATORY_IE_LENGTH_ERROR", 103, 480}, {"PROTOCOL_ERROR", 111, 480}, {"INTERWORKING", 127, 480},
	{"SUCCESS", 142, 480}, {"ORIGINATOR_CANCEL", 487, 487}, {"CRASH", 700, 480}, {"SYSTEM_SHUTDOWN", 701, 480}, {"LOSE_RACE", 702, 480},
	{"MANAGER_REQUEST", 703, 480}, {"BLIND_TRANSFER", 800, 480}, {"ATTENDED_TRANSFER", 801, 480},
	{"ALLOTTED_TIMEOUT", 802, 480}, {"USER_CHALLENGE", 803, 480}, {"MEDIA_TIMEOUT", 804, 480}, {"PICKED_OFF", 805, 480},
	{"USER_NOT_REGISTERED", 806, 480}, {"PROGRESS_TIMEOUT", 807, 480}, {"INVALID_GATEWAY", 808, 484},
	{"GATEWAY_DOWN", 809, 503}, {"INVALID_URL", 810, 484}, {"INVALID_PROFILE", 811, 502}, {"NO_PICKUP", 812, 480},
	{"SRTP_READ_ERROR", 813, 480}, {"BOWOUT", 814, 480}, {"BUSY_EVERYWHERE", 815, 600}, {"DECLINE", 816, 603},
	{"DOES_NOT_EXIST_ANYWHERE", 817, 604}, {"NOT_ACCEPTABLE", 818, 606}, {"UNWANTED", 819, 607}, {"NO_IDENTITY", 820, 428},
	{"BAD_IDENTITY_INFO", 821, 429}, {"UNSUPPORTED_CERTIFICATE", 822, 437}, {"INVALID_IDENTITY", 823, 438},
	{"STALE_DATE", 824, 403}, {"REJECT_ALL", 825, 603},
}
