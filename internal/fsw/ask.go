package fsw

import (
	"context"
	"strings"

	"github.com/percipia/eslgo/command"

	"github.com/signalbox/signalbox/esl"
	"github.com/signalbox/signalbox/esl/wire"
)

// sender is a session or a connection.
type sender interface {
	Send(ctx context.Context, cmd esl.Command) (esl.Reply, error)
}

// ask has FreeSWITCH run an api command, in eslgo's words, and returns what it answers. line is the command with its
// arguments as package dialplan/encode gives it. An answer that begins with -ERR is an *esl.ReplyError.
func ask(ctx context.Context, to sender, line string) (string, error) {
	if err := wire.CheckLine(line); err != nil {
		return "", err
	}
	name, arguments, _ := strings.Cut(line, " ")
	reply, err := to.Send(ctx, command.API{Command: name, Arguments: arguments})
	if err != nil {
		return "", err
	}
	return reply.Text, reply.Err()
}
