package sidecar

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/signalbox/signalbox/esl"
	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/fsw"
)

var errNoRooms = errors.New("this sidecar keeps no conferences, or has no keys to check who comes")

// intoRoom brings a call of ours into a conference, which came to another node than the conference's. Its record is that node's. Who shows
// no good token is refused.
func (s *Sidecar) intoRoom(ctx context.Context, leg *fsw.Leg, session *esl.Session, settings *Settings, text string) {
	uuid := session.UUID()
	log := s.log.With(zap.String("uuid", uuid))
	join, gone, err := s.roomOf(ctx, session, settings, text)
	if err != nil {
		s.counts.TokensRefused.Add(1)
		log.Warn("a call from another node is not let into its conference", zap.Error(err))
		if err := leg.Refuse(ctx, call.Refusal{Code: 403, Phrase: "Forbidden"}); err != nil {
			log.Warn("call not refused", zap.Error(err))
		}
		return
	}
	join.Music = settings.Music
	result, err := leg.Join(ctx, join)
	gone(string(result))
	if err == nil && !leg.Left() && result != call.CallerGone {
		err = leg.End(ctx, "NORMAL_CLEARING")
	}
	if err != nil {
		log.Info("call in a conference lost", zap.Error(err))
	}
}

func (s *Sidecar) roomOf(ctx context.Context, session *esl.Session, settings *Settings, text string) (call.JoinOrder, func(string), error) {
	if settings.Tokens == nil || s.options.Conferences == nil {
		return call.JoinOrder{}, nil, errNoRooms
	}
	r, err := settings.Tokens.CheckRoom(text, session.UUID(), time.Now())
	if err != nil {
		return call.JoinOrder{}, nil, err
	}
	node := s.options.Node(session.Channel().Get("Core-UUID"), session.RemoteAddr().String())
	return s.options.Conferences.Arrive(ctx, r.Room, r.Participant, session.UUID(), node)
}
