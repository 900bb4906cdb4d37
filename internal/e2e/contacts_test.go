package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/signalbox/signalbox/internal/lab"
)

// hostileTitle means something to FreeSWITCH, to a shell and to the command that sends texts.
const hostileTitle = "${system(touch /nowhere)} `id` | 'Zoë' \\n"

// playInvited brings an address book into the account by HTTP, schedules a conference and invites two: a phone that is registered at the
// switch, and a telephone number by a gateway. Both get the text from the switch as it is.
func (i *integrator) playInvited(ctx context.Context, s *lab.Stage) {
	out, err := exec.CommandContext(ctx, program, "token", "create", "--config", s.Rig.Config(), "--tenant", "operator", "--scopes", "accounts:read,accounts:write").Output()
	s.Must(err)
	token := strings.TrimSpace(string(out))
	ask := func(method, path, media, body string, want int) map[string]any {
		answer := map[string]any{}
		status, text := i.send(ctx, s, token, method, path, media, body)
		s.Check(status == want, "%s %s: %d, want %d: %s", method, path, status, want, text)
		if len(text) > 0 {
			s.Must(json.Unmarshal(text, &answer))
		}
		return answer
	}
	const host, number = "/accounts/host", "+4930999999"
	ask("PUT", host, "application/json", `{"name":"Ada"}`, 201)
	got := ask("POST", host+"/address-book", "text/csv", "name,phone\n\""+strings.ReplaceAll(hostileTitle, `"`, `""`)+"\",+49 30 123456\nBad,1\n", 200)
	s.Check(got["added"] == 1.0 && got["rejected"] == 1.0, "the import ended with %v", got)
	s.Tell("an address book is imported, its bad line is named")

	ask("PUT", "/numbers/"+number, "application/json", `{"account":"host"}`, 201)
	from := time.Now().Add(time.Hour).UTC()
	schedule, err := json.Marshal(map[string]any{"number": number, "title": hostileTitle, "from": from, "until": from.Add(time.Hour)})
	s.Must(err)
	ask("PUT", host+"/schedules/s1", "application/json", string(schedule), 201)
	s.Register(ctx, 300)
	invited := fmt.Sprintf(`{"to":["sip:%s@%s","+4930123456"]}`, s.User(), s.Rig.At().Domain)
	ask("POST", host+"/schedules/s1/invitations", "application/json", invited, 202)
	texts, err := s.Phone.Texts(ctx, 1)
	s.Must(err)
	s.Check(strings.HasPrefix(texts[0].Body(), hostileTitle+", ") && strings.Contains(texts[0].Get("from"), "sip:"+number+"@lab.example.test"), "the phone got %s", texts[0].Raw)
	var text string
	select {
	case text = <-i.texts:
	case <-ctx.Done():
		s.Fail("no text came to the gateway")
	}
	s.Check(strings.HasPrefix(text, "MESSAGE sip:+4930123456@") && strings.Contains(text, "\r\n\r\n"+hostileTitle+", "), "the gateway got %s", text)
	s.Tell("the phone and the gateway get the invitation from the switch, word for word")
	s.Register(ctx, 0)
	for {
		list := ask("GET", host+"/schedules/s1/invitations", "", "", 200)
		sent := 0
		for _, m := range list["items"].([]any) {
			if m.(map[string]any)["state"] == "sent" {
				sent++
			}
		}
		if sent == 2 {
			break
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			s.Must(ctx.Err())
		}
	}
	s.Tell("both are on record as sent")
}

// answerTexts takes MESSAGEs at the gateway.
func (i *integrator) answerTexts(t *testing.T) {
	go func() {
		buf := make([]byte, 65535)
		seen := map[string]bool{}
		for {
			n, from, err := i.gateway.ReadFrom(buf)
			if err != nil {
				return
			}
			text := string(buf[:n])
			head, _, _ := strings.Cut(text, "\r\n\r\n")
			answer := "SIP/2.0 200 OK\r\n"
			for line := range strings.SplitSeq(head, "\r\n") {
				name, value, _ := strings.Cut(line, ":")
				switch {
				case name == "To":
					answer += line + ";tag=gw\r\n"
				case slices.Contains([]string{"Via", "From", "Call-ID", "CSeq"}, name):
					answer += line + "\r\n"
				}
				if name == "Call-ID" && !seen[value] {
					seen[value] = true
					select {
					case i.texts <- text:
					default:
					}
				}
			}
			_, _ = i.gateway.WriteTo([]byte(answer+"Content-Length: 0\r\n\r\n"), from)
		}
	}()
	t.Cleanup(func() { _ = i.gateway.Close() })
}
