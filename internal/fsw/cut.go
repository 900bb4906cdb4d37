package fsw

import (
	"context"
	"fmt"

	"github.com/signalbox/signalbox/dialplan/encode"
)

// farEndLost is what the record says of a far end that was cut off.
const farEndLost = "the far end's switch was lost while they talked"

// cutOff ends the leg that the caller is connected with, of which nobody but us knows that it is dead. The bridge ends by it, and the
// caller stays. Should we die before he is taken again he is released.
func (l *Leg) cutOff(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, quick)
	defer cancel()
	far, err := l.session.GetVar(ctx, "bridge_uuid")
	if err != nil {
		return err
	}
	if far, err = encode.UUID(far); err != nil {
		return fmt.Errorf("the far end of a bridge: %w", err)
	}
	replies, err := askAll(ctx, l.session, append(l.set([]encode.Var{{Name: "hangup_after_bridge", Value: "false"}}), "uuid_kill "+far))
	if err != nil {
		return err
	}
	return refused(replies)
}

// takeBack has a caller whose far end was cut off again as one with whom nobody has talked yet, fit for further bridges.
func (l *Leg) takeBack(ctx context.Context) error {
	if !l.picked { // from now on he is as one whom we have answered
		if err := l.session.Want(ctx, "CHANNEL_BRIDGE"); err != nil {
			return err
		}
	}
	l.picked, l.greeted, l.talked = true, true, false
	return l.takeAgain(ctx, encode.Var{Name: "hangup_after_bridge", Value: "true"})
}
