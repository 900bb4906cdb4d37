package dialplan

import (
	"slices"
	"strings"
)

// Application is what is known about one of FreeSWITCH's dialplan applications.
type Application struct {
	Name   string
	Module string // that brings it
	Inline bool   // may be executed inline, while the hunt goes on; FreeSWITCH refuses any other
	Media  bool   // needs media: a call that is not answered gets early media before the application runs
}

// LookupApplication returns what is known of an application. Case does not matter to FreeSWITCH. Modules from elsewhere
// bring applications that are not known here.
func LookupApplication(name string) (Application, bool) {
	a, ok := knownApplications[strings.ToLower(name)]
	return a, ok
}

// Applications returns the names of all applications that are known here, sorted.
func Applications() []string {
	names := make([]string, 0, len(knownApplications))
	for name := range knownApplications {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// knownApplications are those of FreeSWITCH 1.10.12's own modules; a star marks what may run inline, a tilde
// what needs media.
var knownApplications = listApplications(map[string]string{
	"core":                  "msrp_recv_file msrp_send_file",
	"mod_avmd":              "avmd~ avmd_start~ avmd_stop~",
	"mod_basic":             "basic~",
	"mod_bert":              "bert_test~",
	"mod_callcenter":        "callcenter~ callcenter_track",
	"mod_cidlookup":         "cidlookup*",
	"mod_cluechoo":          "cluechoo~",
	"mod_conference":        "conference~ conference_set_auto_outcall~",
	"mod_curl":              "curl* curl_sendfile*",
	"mod_cv":                "cv~ cv_bug~",
	"mod_db":                "db group",
	"mod_dialplan_asterisk": "avoidingdeadlock dial goto",
	"mod_directory":         "directory~",
	"mod_distributor":       "distributor*",
	"mod_dptools": "acknowledge_call answer att_xfer~ bgsystem bind_digit_action bind_meta_app blind_transfer_ack~ block_dtmf " +
		"break bridge bridge_export* broadcast~ capture capture_text check_acl* clear_digit_action " +
		"clear_speech_cache~ cng_plc* debug_media deduplicate_dtmf deflect delay_echo~ detect_audio~ " +
		"detect_silence~ detect_speech~ digit_action_set_realm displace_session~ early_hangup* eavesdrop~ echo~ " +
		"enable_heartbeat enable_keepalive endless_playback~ eval* event* execute_extension export* fax_detect~ " +
		"filter_codecs flush_dtmf gentones~ hangup hold info* intercept~ ivr~ jitterbuffer limit limit_execute " +
		"limit_hash limit_hash_execute log* loop_playback~ media_reset mkdir multiset* multiunset* mutex " +
		"native_eavesdrop~ novideo* page~ park park_state~ phrase~ pickup play_and_detect_speech~ " +
		"play_and_get_digits~ playback~ pre_answer preprocess~ presence* privacy push* queue_dtmf read~ record~ " +
		"record_session~ record_session_mask~ record_session_pause~ record_session_resume~ record_session_unmask~ " +
		"recovery_refresh redirect remove_bugs~ rename respond reuse_caller_profile ring_ready say~ " +
		"sched_broadcast sched_cancel sched_hangup sched_heartbeat sched_transfer send_display send_dtmf send_info " +
		"session_loglevel set* set_audio_level~ set_global* set_media_stats* set_mute~ set_name set_profile_var* " +
		"set_user* set_zombie_exec* sleep soft_hold~ sound_test~ speak~ start_dtmf~ start_dtmf_generate~ stop* " +
		"stop_displace_session~ stop_dtmf~ stop_dtmf_generate~ stop_record_session~ stop_tone_detect~ " +
		"stop_video_write_overlay~ strftime system three_way~ tone_detect~ transfer transfer_vars unbind_meta_app " +
		"unblock_dtmf unhold unset* unshift* vad_test~ verbose_events* video_decode~ video_refresh " +
		"video_write_overlay~ wait_for_answer wait_for_silence~ wait_for_video_ready~",
	"mod_easyroute":     "easyroute*",
	"mod_enum":          "enum*",
	"mod_erlang_event":  "erlang erlang_sendmsg",
	"mod_esf":           "esf_page_group~",
	"mod_event_socket":  "socket",
	"mod_fifo":          "fifo~ fifo_track_call",
	"mod_fsk":           "fsk_display~ fsk_recv~ fsk_send~ fsk_simplify~",
	"mod_fsv":           "decode_video~ play_fsv~ play_yuv~ record_fsv~",
	"mod_hash":          "hash",
	"mod_hiredis":       "hiredis_raw*",
	"mod_httapi":        "httapi",
	"mod_java":          "java",
	"mod_ladspa":        "ladspa_run~",
	"mod_lcr":           "lcr*",
	"mod_loopback":      "unloop~",
	"mod_lua":           "lua*",
	"mod_managed":       "managed",
	"mod_mp4":           "play_mp4~",
	"mod_nibblebill":    "nibblebill*",
	"mod_oreka":         "oreka_record~",
	"mod_osp":           "osplookup* ospnext*",
	"mod_perl":          "perl",
	"mod_python":        "python",
	"mod_rad_auth":      "auth_function",
	"mod_rayo":          "rayo rayo-app-exec",
	"mod_rss":           "rss~",
	"mod_smpp":          "smpp_send*",
	"mod_sms_flowroute": "sms_flowroute_send*",
	"mod_snapshot":      "snapshot~",
	"mod_sofia":         "sofia_sla~ sofia_stir_shaken_vs",
	"mod_sonar":         "sonar~",
	"mod_soundtouch":    "soundtouch~",
	"mod_spandsp": "rxfax spandsp_detect_tdd~ spandsp_inject_tdd~ spandsp_send_tdd~ spandsp_start_dtmf~ " +
		"spandsp_start_fax_detect~ spandsp_start_tone_detect~ spandsp_stop_detect_tdd~ spandsp_stop_dtmf~ " +
		"spandsp_stop_fax_detect~ spandsp_stop_inject_tdd~ spandsp_stop_tone_detect~ stopfax~ t38_gateway~ txfax",
	"mod_spy":           "userspy~",
	"mod_stress":        "stress~",
	"mod_translate":     "translate*",
	"mod_v8":            "javascript",
	"mod_valet_parking": "valet_park~",
	"mod_video_filter":  "chromakey~ video_replace~",
	"mod_vlc":           "capture_video~ play_video~",
	"mod_vmd":           "vmd~",
	"mod_voicemail":     "voicemail~",
	"mod_voicemail_ivr": "voicemail_ivr~",
	"mod_xml_radius":    "radius_auth*",
})

func listApplications(modules map[string]string) map[string]Application {
	all := map[string]Application{}
	for module, list := range modules {
		for name := range strings.FieldsSeq(list) {
			name, media := strings.CutSuffix(name, "~")
			name, inline := strings.CutSuffix(name, "*")
			all[name] = Application{Name: name, Module: module, Inline: inline, Media: media}
		}
	}
	return all
}
