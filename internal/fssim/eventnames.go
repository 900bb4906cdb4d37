package fssim

import "slices"

// eventNames are the names an "event" command may ask for.
func eventNames() []string {
	return []string{"CUSTOM", "CLONE", "CHANNEL_CREATE", "CHANNEL_DESTROY", "CHANNEL_STATE", "CHANNEL_CALLSTATE",
		"CHANNEL_ANSWER", "CHANNEL_HANGUP", "CHANNEL_HANGUP_COMPLETE", "CHANNEL_EXECUTE", "CHANNEL_EXECUTE_COMPLETE",
		"CHANNEL_HOLD", "CHANNEL_UNHOLD", "CHANNEL_BRIDGE", "CHANNEL_UNBRIDGE", "CHANNEL_PROGRESS",
		"CHANNEL_PROGRESS_MEDIA", "CHANNEL_OUTGOING", "CHANNEL_PARK", "CHANNEL_UNPARK", "CHANNEL_APPLICATION",
		"CHANNEL_ORIGINATE", "CHANNEL_UUID", "CHANNEL_DATA", "API", "LOG", "INBOUND_CHAN", "OUTBOUND_CHAN", "STARTUP",
		"SHUTDOWN", "PUBLISH", "UNPUBLISH", "TALK", "NOTALK", "SESSION_CRASH", "MODULE_LOAD", "MODULE_UNLOAD", "DTMF",
		"MESSAGE", "PRESENCE_IN", "NOTIFY_IN", "PRESENCE_OUT", "PRESENCE_PROBE", "MESSAGE_WAITING", "MESSAGE_QUERY",
		"ROSTER", "CODEC", "BACKGROUND_JOB", "DETECTED_SPEECH", "DETECTED_TONE", "PRIVATE_COMMAND", "HEARTBEAT", "TRAP",
		"ADD_SCHEDULE", "DEL_SCHEDULE", "EXE_SCHEDULE", "RE_SCHEDULE", "RELOADXML", "NOTIFY", "PHONE_FEATURE",
		"PHONE_FEATURE_SUBSCRIBE", "SEND_MESSAGE", "RECV_MESSAGE", "REQUEST_PARAMS", "CHANNEL_DATA", "GENERAL",
		"COMMAND", "SESSION_HEARTBEAT", "CLIENT_DISCONNECTED", "SERVER_DISCONNECTED", "SEND_INFO", "RECV_INFO",
		"RECV_RTCP_MESSAGE", "SEND_RTCP_MESSAGE", "CALL_SECURE", "NAT", "RECORD_START", "RECORD_STOP",
		"PLAYBACK_START", "PLAYBACK_STOP", "CALL_UPDATE", "FAILURE", "SOCKET_DATA", "MEDIA_BUG_START",
		"MEDIA_BUG_STOP", "CONFERENCE_DATA_QUERY", "CONFERENCE_DATA", "CALL_SETUP_REQ", "CALL_SETUP_RESULT",
		"CALL_DETAIL", "DEVICE_STATE", "TEXT", "SHUTDOWN_REQUESTED", "ALL"}
}

func isEventName(name string) bool { return slices.Contains(eventNames(), name) }

// callingPlace is where in FreeSWITCH 1.10.12 the event is made, as the recordings show it.
func callingPlace(name, subclass string) (file, function, line string) {
	switch name {
	case "DTMF":
		return "switch_channel.c", "switch_channel_dequeue_dtmf", "677"
	case "CHANNEL_CREATE":
		return "switch_core_state_machine.c", "switch_core_session_run", "626"
	case "CHANNEL_EXECUTE":
		return "switch_core_session.c", "switch_core_session_exec", "2944"
	case "CHANNEL_EXECUTE_COMPLETE":
		return "switch_core_session.c", "switch_core_session_exec", "2967"
	case "CHANNEL_PROGRESS":
		return "switch_channel.c", "switch_channel_perform_mark_ring_ready_value", "3505"
	case "CHANNEL_PROGRESS_MEDIA":
		return "switch_channel.c", "switch_channel_perform_mark_pre_answered", "3560"
	case "CHANNEL_ANSWER":
		return "switch_channel.c", "switch_channel_perform_mark_answered", "3846"
	case "CHANNEL_BRIDGE":
		return "switch_ivr_bridge.c", "switch_ivr_multi_threaded_bridge", "1689"
	case "CHANNEL_UNBRIDGE":
		return "switch_ivr_bridge.c", "switch_ivr_multi_threaded_bridge", "1879"
	case "CHANNEL_HANGUP":
		return "switch_channel.c", "switch_channel_perform_hangup", "3445"
	case "CHANNEL_UNPARK":
		return "switch_ivr.c", "switch_ivr_park", "1213"
	case "CHANNEL_STATE":
		return "switch_channel.c", "switch_channel_perform_set_running_state", "2408"
	case "CHANNEL_HANGUP_COMPLETE":
		return "switch_core_state_machine.c", "switch_core_session_reporting_state", "943"
	case "BACKGROUND_JOB":
		return "mod_event_socket.c", "api_exec", "1572"
	case "CHANNEL_DATA":
		return "mod_event_socket.c", "parse_command", "2021"
	case "CUSTOM":
		if subclass == confSubclass {
			return "conference_member.c", "conference_member_add", "962"
		}
		return "sofia_reg.c", "sofia_reg_handle_register_token", "2059"
	}
	return "switch_event.c", "switch_event_fire", "1"
}
