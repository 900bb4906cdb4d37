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
	cmd, err := api(line)
	if err != nil {
		return "", err
	}
	reply, err := to.Send(ctx, cmd)
	if err != nil {
		return "", err
	}
	return reply.Text, reply.Err()
}

// askAll is ask for several commands at once. FreeSWITCH runs all of them, whatever it says to one.
func askAll(ctx context.Context, session *esl.Session, lines []string) ([]esl.Reply, error) {
	cmds, err := apis(lines)
	if err != nil {
		return nil, err
	}
	return session.SendAll(ctx, cmds...)
}

func apis(lines []string) (cmds []esl.Command, err error) {
	for _, line := range lines {
		cmd, err := api(line)
		if err != nil {
			return nil, err
		}
		cmds = append(cmds, cmd)
	}
	return cmds, nil
}

// refused is the error of the first reply that is one.
func refused(replies []esl.Reply) error {
	for _, r := range replies {
		if err := r.Err(); err != nil {
			return err
		}
	}
	return nil
}

// api is an api command in eslgo's words.
func api(line string) (esl.Command, error) {
	if err := wire.CheckLine(line); err != nil {
		return nil, err
	}
	name, arguments, _ := strings.Cut(line, " ")
	return command.API{Command: name, Arguments: arguments}, nil
}
