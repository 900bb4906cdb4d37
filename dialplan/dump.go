package dialplan

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
)

// ErrDump is wrapped by errors about a channel dump that cannot be read.
var ErrDump = errors.New("not a channel dump")

// maxDump is the largest dump that ReadDump takes, in bytes.
const maxDump = 4 << 20

// fieldOfHeader are the fields of a caller's profile by the headers of an event.
var fieldOfHeader = map[string]string{
	"Caller-Username": "username", "Caller-Dialplan": "dialplan", "Caller-Orig-Caller-ID-Name": "orig_caller_id_name",
	"Caller-Orig-Caller-ID-Number": "orig_caller_id_number", "Caller-Callee-ID-Name": "callee_id_name",
	"Caller-Callee-ID-Number": "callee_id_number", "Caller-Network-Addr": "network_addr", "Caller-ANI": "ani",
	"Caller-ANI-II": "aniii", "Caller-Unique-ID": "uuid", "Caller-Source": "source", "Caller-Transfer-Source": "transfer_source",
	"Caller-RDNIS": "rdnis", "Caller-Channel-Name": "chan_name", "Caller-Profile-Index": "profile_index",
	"Caller-Profile-Created-Time": "profile_created_time", "Caller-Channel-Created-Time": "created_time",
	"Caller-Channel-Answered-Time": "answered_time", "Caller-Channel-Progress-Time": "progress_time",
	"Caller-Channel-Progress-Media-Time": "progress_media_time", "Caller-Channel-Hangup-Time": "hungup_time",
	"Caller-Channel-Transfer-Time": "transferred_time", "Caller-Screen-Bit": "screen_bit",
	"Caller-Privacy-Hide-Name": "privacy_hide_name", "Caller-Privacy-Hide-Number": "privacy_hide_number",
}

// CallFromHeaders makes a call of the headers of a channel's event: the caller's profile from Caller-..., variables
// from variable_.... Context and Destination are where the call is now.
func CallFromHeaders(headers map[string]string) *Call {
	c := &Call{Fields: map[string]string{}, Context: headers["Caller-Context"], Destination: headers["Caller-Destination-Number"],
		CallerIDName: headers["Caller-Caller-ID-Name"], CallerIDNumber: headers["Caller-Caller-ID-Number"]}
	vars := map[string]string{}
	for name, value := range headers {
		if field, ok := fieldOfHeader[name]; ok {
			c.Fields[field] = value
		}
		if name, ok := strings.CutPrefix(name, "variable_"); ok {
			vars[name] = value
		}
	}
	c.Vars = NewVars(vars)
	return c
}

// ReadDump reads what "uuid_dump UUID", "uuid_dump UUID json" or an event of a channel prints and makes a call of it.
// The error wraps ErrDump, or ErrLimit beyond 4 MiB.
func ReadDump(r io.Reader) (*Call, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxDump+1))
	if err != nil {
		return nil, fmt.Errorf("reading a channel dump: %w", err)
	}
	if len(data) > maxDump {
		return nil, fmt.Errorf("a channel dump of more than %d bytes: %w", maxDump, ErrLimit)
	}
	headers := map[string]string{}
	if text := bytes.TrimSpace(data); bytes.HasPrefix(text, []byte("{")) {
		err = jsonHeaders(text, headers)
	} else {
		textHeaders(string(data), headers)
	}
	if err != nil {
		return nil, err
	}
	if headers["Caller-Destination-Number"] == "" && headers["Caller-Context"] == "" {
		return nil, fmt.Errorf("no Caller-Destination-Number in it: %w; take it with: fs_cli -x 'uuid_dump UUID'", ErrDump)
	}
	return CallFromHeaders(headers), nil
}

func jsonHeaders(text []byte, headers map[string]string) error {
	var raw map[string]any
	if err := json.Unmarshal(text, &raw); err != nil {
		return fmt.Errorf("%w: %v", ErrDump, err)
	}
	for name, value := range raw {
		switch v := value.(type) {
		case string:
			headers[name] = v
		case []any:
			items := make([]string, 0, len(v))
			for _, item := range v {
				items = append(items, fmt.Sprint(item))
			}
			headers[name] = listMark + strings.Join(items, listSep)
		}
	}
	return nil
}

// textHeaders reads "Name: value" lines. A line that does not begin with a name goes on with the value before it, as the
// lines of an SDP do. An event is percent-encoded, what uuid_dump prints is not; the date tells.
func textHeaders(text string, headers map[string]string) {
	last := ""
	for l := range strings.Lines(text) {
		l = strings.TrimRight(l, "\r\n")
		if name, value, ok := strings.Cut(l, ": "); ok && isHeader(name) {
			headers[name], last = value, name
		} else if name, ok := strings.CutSuffix(l, ":"); ok && isHeader(name) {
			headers[name], last = "", name
		} else if last != "" && l != "" {
			headers[last] += "\n" + l
		}
	}
	if !strings.Contains(headers["Event-Date-Local"], "%20") {
		return
	}
	for name, value := range headers {
		if plain, err := url.PathUnescape(value); err == nil {
			headers[name] = plain
		}
	}
}

// isHeader reports whether an event may have a header of that name.
func isHeader(name string) bool {
	if name == "" || !(name[0] >= 'A' && name[0] <= 'Z') && !strings.HasPrefix(name, "variable_") {
		return false
	}
	return !strings.ContainsAny(name, " \t=<>\"")
}
