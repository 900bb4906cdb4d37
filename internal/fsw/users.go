package fsw

import (
	"context"
	"fmt"
	"strings"

	"github.com/signalbox/signalbox/dialplan/encode"
	"github.com/signalbox/signalbox/esl"
)

// UserExists asks FreeSWITCH's directory for a user of a domain.
func UserExists(ctx context.Context, conn *esl.Conn, user, domain string) (bool, error) {
	for _, word := range []string{user, domain} {
		if clean, err := encode.Arg(word); err != nil || clean != word || strings.ContainsAny(word, " |'\\") {
			return false, fmt.Errorf("%.80q cannot stand in a command", word)
		}
	}
	answer, err := conn.API(ctx, "user_exists id "+user+" "+domain)
	if err != nil {
		return false, err
	}
	switch strings.TrimSpace(answer) {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, fmt.Errorf("user_exists answers %.80q", answer)
}
