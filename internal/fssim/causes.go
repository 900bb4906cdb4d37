package fssim

import "strings"

// cause is a Q.850 hangup cause as FreeSWITCH numbers it, its own ones above 127 included.
type cause int

// The causes the simulator itself gives.
const (
	causeNone              cause = 0
	causeUnallocated       cause = 1
	causeNoRoute           cause = 3
	causeNormalClearing    cause = 16
	causeUserBusy          cause = 17
	causeNoUserResponse    cause = 18
	causeNoAnswer          cause = 19
	causeSubscriberAbsent  cause = 20
	causeCallRejected      cause = 21
	causeOutOfOrder        cause = 27
	causeNormalUnspecified cause = 31
	causeTemporaryFailure  cause = 41
	causeRecoveryOnTimer   cause = 102
	causeMandatoryMissing  cause = 96
	causeOriginatorCancel  cause = 487
	causeManagerRequest    cause = 703
	causeAllottedTimeout   cause = 802
	causeProgressTimeout   cause = 807
	causeLoseRace          cause = 702
	causeNotRegistered     cause = 806
	causeSuccess           cause = 142
)

// causeNames are FreeSWITCH's names, in the order of their numbers.
func causeNames() []struct {
	name string
	n    cause
} {
	return []struct {
		name string
		n    cause
	}{
		{"NONE", 0}, {"UNALLOCATED_NUMBER", 1}, {"NO_ROUTE_TRANSIT_NET", 2}, {"NO_ROUTE_DESTINATION", 3},
		{"CHANNEL_UNACCEPTABLE", 6}, {"CALL_AWARDED_DELIVERED", 7}, {"NORMAL_CLEARING", 16}, {"USER_BUSY", 17},
		{"NO_USER_RESPONSE", 18}, {"NO_ANSWER", 19}, {"SUBSCRIBER_ABSENT", 20}, {"CALL_REJECTED", 21},
		{"NUMBER_CHANGED", 22}, {"REDIRECTION_TO_NEW_DESTINATION", 23}, {"EXCHANGE_ROUTING_ERROR", 25},
		{"DESTINATION_OUT_OF_ORDER", 27}, {"INVALID_NUMBER_FORMAT", 28}, {"FACILITY_REJECTED", 29},
		{"RESPONSE_TO_STATUS_ENQUIRY", 30}, {"NORMAL_UNSPECIFIED", 31}, {"NORMAL_CIRCUIT_CONGESTION", 34},
		{"NETWORK_OUT_OF_ORDER", 38}, {"NORMAL_TEMPORARY_FAILURE", 41}, {"SWITCH_CONGESTION", 42},
		{"ACCESS_INFO_DISCARDED", 43}, {"REQUESTED_CHAN_UNAVAIL", 44}, {"PRE_EMPTED", 45},
		{"FACILITY_NOT_SUBSCRIBED", 50}, {"OUTGOING_CALL_BARRED", 52}, {"INCOMING_CALL_BARRED", 54},
		{"BEARERCAPABILITY_NOTAUTH", 57}, {"BEARERCAPABILITY_NOTAVAIL", 58}, {"SERVICE_UNAVAILABLE", 63},
		{"BEARERCAPABILITY_NOTIMPL", 65}, {"CHAN_NOT_IMPLEMENTED", 66}, {"FACILITY_NOT_IMPLEMENTED", 69},
		{"SERVICE_NOT_IMPLEMENTED", 79}, {"INVALID_CALL_REFERENCE", 81}, {"INCOMPATIBLE_DESTINATION", 88},
		{"INVALID_MSG_UNSPECIFIED", 95}, {"MANDATORY_IE_MISSING", 96}, {"MESSAGE_TYPE_NONEXIST", 97},
		{"WRONG_MESSAGE", 98}, {"IE_NONEXIST", 99}, {"INVALID_IE_CONTENTS", 100}, {"WRONG_CALL_STATE", 101},
		{"RECOVERY_ON_TIMER_EXPIRE", 102}, {"MANDATORY_IE_LENGTH_ERROR", 103}, {"PROTOCOL_ERROR", 111},
		{"INTERWORKING", 127}, {"SUCCESS", 142}, {"ORIGINATOR_CANCEL", 487}, {"CRASH", 700},
		{"SYSTEM_SHUTDOWN", 701}, {"LOSE_RACE", 702}, {"MANAGER_REQUEST", 703}, {"BLIND_TRANSFER", 800},
		{"ATTENDED_TRANSFER", 801}, {"ALLOTTED_TIMEOUT", 802}, {"USER_CHALLENGE", 803}, {"MEDIA_TIMEOUT", 804},
		{"PICKED_OFF", 805}, {"USER_NOT_REGISTERED", 806}, {"PROGRESS_TIMEOUT", 807}, {"INVALID_GATEWAY", 808},
		{"GATEWAY_DOWN", 809}, {"INVALID_URL", 810}, {"INVALID_PROFILE", 811}, {"NO_PICKUP", 812},
		{"SRTP_READ_ERROR", 813}, {"BOWOUT", 814}, {"BUSY_EVERYWHERE", 815}, {"DECLINE", 816},
		{"DOES_NOT_EXIST_ANYWHERE", 817}, {"NOT_ACCEPTABLE", 818}, {"UNWANTED", 819}, {"NO_IDENTITY", 820},
		{"BAD_IDENTITY_INFO", 821}, {"UNSUPPORTED_CERTIFICATE", 822}, {"INVALID_IDENTITY", 823}, {"STALE_DATE", 824},
		{"REJECT_ALL", 825},
	}
}

func (c cause) String() string {
	for _, e := range causeNames() {
		if e.n == c {
			return e.name
		}
	}
	return "UNKNOWN"
}

// causeByName reads a name or a number; what it does not know becomes NORMAL_CLEARING, as in FreeSWITCH.
func causeByName(s string) cause {
	s = strings.TrimSpace(s)
	if n := atoi(s); n > 0 {
		for _, e := range causeNames() {
			if e.n == cause(n) {
				return e.n
			}
		}
		return causeNormalClearing
	}
	for _, e := range causeNames() {
		if strings.EqualFold(e.name, s) {
			return e.n
		}
	}
	return causeNormalClearing
}

// causeOfStatus is mod_sofia's sofia_glue_sip_cause_to_freeswitch.
func causeOfStatus(status int) cause {
	switch status {
	case 200:
		return causeNormalClearing
	case 401, 402, 403, 407, 603, 608:
		return causeCallRejected
	case 607:
		return 819
	case 404:
		return causeUnallocated
	case 485, 604:
		return causeNoRoute
	case 408, 504:
		return causeRecoveryOnTimer
	case 410:
		return 22
	case 413, 414, 416, 420, 421, 423, 505, 513:
		return 127
	case 480:
		return causeNoUserResponse
	case 400, 481, 500, 503:
		return causeTemporaryFailure
	case 486, 600:
		return causeUserBusy
	case 484:
		return 28
	case 488, 606:
		return 88
	case 502:
		return 38
	case 405:
		return 63
	case 406, 415, 501:
		return 79
	case 482, 483:
		return 25
	case 487:
		return causeOriginatorCancel
	case 428:
		return 820
	case 429:
		return 821
	case 437:
		return 822
	case 438:
		return 823
	default:
		return causeNormalUnspecified
	}
}

// statusOfCause is mod_sofia's hangup_cause_to_sip, for a call that was not answered.
func statusOfCause(c cause) int {
	switch c {
	case causeUnallocated, 2, causeNoRoute:
		return 404
	case causeUserBusy:
		return 486
	case causeNoUserResponse:
		return 408
	case causeCallRejected, 816, 825:
		return 603
	case 22, 23:
		return 410
	case causeOutOfOrder, 811:
		return 502
	case 28, 810, 808:
		return 484
	case 29, 69, 79:
		return 501
	case 44, 34, 38, causeTemporaryFailure, 42, 809, 58:
		return 503
	case 52, 54, 57, 824:
		return 403
	case 65, 88:
		return 488
	case causeRecoveryOnTimer:
		return 504
	case causeOriginatorCancel:
		return 487
	case 25:
		return 483
	case 815:
		return 600
	case 817:
		return 604
	case 818:
		return 606
	case 819:
		return 607
	case 820:
		return 428
	case 821:
		return 429
	case 822:
		return 437
	case 823:
		return 438
	}
	return 480
}

// sipPhrase is the reason phrase Sofia writes.
func sipPhrase(code int) string {
	switch code {
	case 100:
		return "Trying"
	case 180:
		return "Ringing"
	case 183:
		return "Session Progress"
	case 200:
		return "OK"
	case 202:
		return "Accepted"
	case 400:
		return "Bad Request"
	case 401:
		return "Unauthorized"
	case 403:
		return "Forbidden"
	case 404:
		return "Not Found"
	case 405:
		return "Method Not Allowed"
	case 407:
		return "Proxy Authentication Required"
	case 408:
		return "Request Timeout"
	case 410:
		return "Gone"
	case 480:
		return "Temporarily Unavailable"
	case 481:
		return "Call Does Not Exist"
	case 483:
		return "Too Many Hops"
	case 484:
		return "Address Incomplete"
	case 486:
		return "Busy Here"
	case 487:
		return "Request Terminated"
	case 488:
		return "Not Acceptable Here"
	case 491:
		return "Request Pending"
	case 501:
		return "Not Implemented"
	case 502:
		return "Bad Gateway"
	case 503:
		return "Service Unavailable"
	case 504:
		return "Gateway Time-out"
	case 600:
		return "Busy Everywhere"
	case 603:
		return "Decline"
	case 604:
		return "Does Not Exist Anywhere"
	case 606:
		return "Not Acceptable"
	case 607:
		return "Unwanted"
	}
	return "Unknown"
}

// dialStatus is the DIALSTATUS variable that belongs to an originate disposition.
func dialStatus(c cause) string {
	switch c {
	case causeOriginatorCancel:
		return "CANCEL"
	case causeUserBusy:
		return "BUSY"
	case causeNoAnswer:
		return "NOANSWER"
	case causeOutOfOrder, 811:
		return "INVALIDARGS"
	case causeCallRejected:
		return "DONTCALL"
	}
	return c.String()
}
