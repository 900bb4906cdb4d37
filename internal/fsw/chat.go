package fsw

import (
	"context"
	"strings"

	"github.com/signalbox/signalbox/dialplan/encode"
)

// Chat has the node send a SIP MESSAGE (RFC 3428), and reports whether the far end took it; FreeSWITCH waits 20 s for its answer.
func (n *Node) Chat(ctx context.Context, c encode.Chat) (bool, error) {
	command, err := c.Command()
	if err != nil {
		return false, err
	}
	conn, err := n.conn()
	if err != nil {
		return false, err
	}
	answer, err := conn.BgAPI(ctx, command)
	return strings.TrimSpace(answer) == "Sent", err
}
