package sipproxy

// phrase is the reason phrase of a code that the proxy itself answers with or is asked to refuse with.
func phrase(code int) string {
	switch code {
	case 100:
		return "Trying"
	case 200:
		return "OK"
	case 400:
		return "Bad Request"
	case 403:
		return "Forbidden"
	case 404:
		return "Not Found"
	case 405:
		return "Method Not Allowed"
	case 408:
		return "Request Timeout"
	case 416:
		return "Unsupported URI Scheme"
	case 420:
		return "Bad Extension"
	case 430:
		return "Flow Failed"
	case 433:
		return "Anonymity Disallowed"
	case 480:
		return "Temporarily Unavailable"
	case 481:
		return "Call/Transaction Does Not Exist"
	case 482:
		return "Loop Detected"
	case 483:
		return "Too Many Hops"
	case 484:
		return "Address Incomplete"
	case 486:
		return "Busy Here"
	case 487:
		return "Request Terminated"
	case 500:
		return "Server Internal Error"
	case 503:
		return "Service Unavailable"
	case 505:
		return "Version Not Supported"
	case 513:
		return "Message Too Large"
	case 603:
		return "Decline"
	case 604:
		return "Does Not Exist Anywhere"
	case 607:
		return "Unwanted"
	case 608:
		return "Rejected"
	}
	switch {
	case code >= 600:
		return "Global Failure"
	case code >= 500:
		return "Server Failure"
	}
	return "Request Failure"
}
