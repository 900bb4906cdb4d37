package fsw

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/signalbox/signalbox/dialplan/encode"
	"github.com/signalbox/signalbox/esl"
	"github.com/signalbox/signalbox/internal/call"
)

const (
	// keysVar gets the keys of a menu.
	keysVar = "signalbox_keys"
	// noMusic is what a caller hears who waits without music.
	noMusic = "silence_stream://-1"
)

// Menu implements call.Leg.
func (l *Leg) Menu(ctx context.Context, order call.MenuOrder) (call.Input, error) {
	sounds, err := l.sounds(ctx, order.Sounds)
	if err != nil {
		return call.Input{Result: call.NotPlayed, Note: err.Error()}, l.unlessGone(notSound(err))
	}
	arg, err := encode.Digits{Sounds: sounds, Most: order.Most, Wait: order.Wait, Between: order.Between, Terminators: order.Ends, Variable: keysVar}.Arg()
	if err != nil {
		return call.Input{Result: call.NotPlayed, Note: err.Error()}, nil
	}
	if err := l.greet(ctx); err != nil || l.hungUp() {
		result, err := l.gone(err)
		return call.Input{Result: result}, err
	}
	asked, err := l.session.Start(ctx, "play_and_get_digits", arg)
	if err != nil {
		result, err := l.gone(err)
		return call.Input{Result: result}, err
	}
	longest := longestPrompt + order.Wait + time.Duration(order.Most)*max(order.Wait, order.Between) + slack
	done, err := l.await(ctx, asked, longest)
	if err == nil && l.movedAway(done) {
		err = l.away(ctx)
	}
	if err != nil || l.hungUp() {
		result, err := l.gone(err)
		return call.Input{Result: result}, err
	}
	input := call.Input{Result: call.Ended, Keys: done.Var(keysVar)}
	if input.Keys == "" && done.Var("read_result") == "" { // FreeSWITCH gives none when it could not play what comes before the keys
		input.Result, input.Note = call.NotPlayed, "freeswitch could not play "+strings.Join(sounds, ", ")
		l.log.Warn("prompt not played: are the prompts in the switch's configuration folder (dialplan render --with sounds)?", zap.Strings("sounds", sounds))
	}
	return input, nil
}

// Hold implements call.Leg.
func (l *Leg) Hold(ctx context.Context, order call.HoldOrder) (call.Result, error) {
	if err := l.greet(ctx); err != nil || l.hungUp() {
		return l.gone(err)
	}
	enough := time.NewTimer(order.Longest)
	defer enough.Stop()
	music := order.Music
	if music == "" {
		music = noMusic
	}
	for _, part := range [][]string{order.Sounds, {music}, {noMusic}} { // music that is not there, or has an end
		sounds, err := l.sounds(ctx, part)
		arg := ""
		if err == nil && len(part) > 0 {
			arg, err = encode.Sounds(sounds)
		}
		if err != nil {
			if err := l.unlessGone(notSound(err)); err != nil {
				return call.Broken, err
			}
			l.log.Warn("music not played", zap.Error(err))
			arg = noMusic
		}
		if arg == "" {
			continue
		}
		switch over, err := l.playUntil(ctx, arg, order.Until, enough.C); {
		case err != nil || l.hungUp():
			return l.gone(err)
		case over:
			return call.Ended, nil
		}
	}
	return call.Ended, nil
}

// playUntil plays a sound and reports whether it was ended because it is enough.
func (l *Leg) playUntil(ctx context.Context, arg string, until <-chan struct{}, enough <-chan time.Time) (bool, error) {
	if err := l.arm(ctx, brief); err != nil {
		return false, err
	}
	playing, err := l.session.Start(ctx, "playback", arg)
	if err != nil {
		return false, err
	}
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	over := false
	for {
		select {
		case <-playing.Done():
			done, err := playing.Wait(ctx)
			if err == nil && l.movedAway(done) {
				err = l.away(ctx)
			}
			return over, err
		case <-ticker.C:
			if err := l.arm(ctx, brief); err != nil && l.unlessGone(err) != nil {
				return over, err
			}
			if !over {
				continue
			}
		case <-until:
			until, enough = nil, nil
			over = true
		case <-enough:
			until, enough = nil, nil
			over = true
		case <-ctx.Done():
			return over, context.Cause(ctx)
		}
		// A break that comes before the sound has begun is lost, so it is said again at each tick.
		stop, cancel := context.WithTimeout(ctx, quick)
		err := l.session.Break(stop)
		cancel()
		if err != nil && l.unlessGone(err) != nil {
			return over, err
		}
	}
}

// greet answers the caller, unless he is, in the way that keeps him with us: nothing of what the dialplan does at the answer of a
// call is done, so that he goes to the fallback as somebody whom nobody has answered when we die, and the guard stands.
func (l *Leg) greet(ctx context.Context) error {
	if err := l.arm(ctx, brief); err != nil {
		return err
	}
	if l.picked {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, quick)
	defer cancel()
	first, err := apis(l.set([]encode.Var{
		{Name: "execute_on_answer_signalbox_1"}, {Name: "execute_on_answer_signalbox_2"}, {Name: "api_on_answer_signalbox"},
		{Name: "rtp_liberal_dtmf", Value: "true"}, // keys by SIP INFO count whatever the profile says
	}))
	if err != nil {
		return err
	}
	answering, err := l.session.StartBehind(ctx, first, "answer", "")
	if err == nil {
		_, err = answering.Wait(ctx)
	}
	if err != nil || l.hungUp() {
		return err
	}
	l.picked, l.greeted = true, true
	if l.answer != nil {
		l.answer(time.Now())
	}
	// A bridge to come tells of its beginning by this alone.
	if err := l.session.Want(ctx, "CHANNEL_BRIDGE"); err != nil {
		return err
	}
	// Keys that come as tones in the voice are heard, too.
	_, err = l.session.Execute(ctx, "start_dtmf", "")
	return err
}

// Greeted reports whether the caller was answered by us to be asked something, and by nobody else.
func (l *Leg) Greeted() bool { return l.greeted && !l.talked }

// keep leaves the caller, who is answered, to FreeSWITCH for the rest of the call: should we die, what runs goes on, and then he is released.
func (l *Leg) keep(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, quick)
	defer cancel()
	commands, err := l.keeping()
	if err != nil {
		return err
	}
	replies, err := l.session.SendAll(ctx, commands...)
	if err == nil {
		err = refused(replies)
	}
	l.armed = armed{}
	return err
}

// keeping are the commands of keep.
func (l *Leg) keeping() ([]esl.Command, error) {
	off, err := encode.GuardOff(l.session.UUID())
	if err != nil {
		return nil, err
	}
	return apis(append(l.set([]encode.Var{{Name: "socket_resume", Value: "false"}, {Name: "signalbox_stage", Value: "talked"}}), off))
}

// errSound wraps what is wrong with a sound.
var errSound = errors.New("fsw: cannot be played")

// notSound is an error that is not about a sound.
func notSound(err error) error {
	if errors.Is(err, errSound) || errors.Is(err, encode.ErrInvalid) || errors.Is(err, encode.ErrUnsafe) {
		return nil
	}
	return err
}

// sounds makes absolute the paths inside the switch's configuration folder.
func (l *Leg) sounds(ctx context.Context, sounds []string) ([]string, error) {
	out := make([]string, len(sounds))
	for i, s := range sounds {
		if out[i] = s; strings.HasPrefix(s, "/") || strings.Contains(s, "://") {
			continue
		}
		folder, err := l.confFolder(ctx)
		if err != nil {
			return nil, err
		}
		out[i] = path.Join(folder, path.Clean("/"+s))
	}
	return out, nil
}

// confFolder is where the switch has its configuration.
func (l *Leg) confFolder(ctx context.Context) (string, error) {
	if l.folder != "" {
		return l.folder, nil
	}
	ctx, cancel := context.WithTimeout(ctx, quick)
	defer cancel()
	folder, err := ask(ctx, l.session, "global_getvar conf_dir")
	var no *esl.ReplyError
	switch {
	case errors.As(err, &no):
		return "", fmt.Errorf("%w: freeswitch does not say where its configuration folder is", errSound)
	case err != nil:
		return "", err
	}
	if l.folder, err = encode.Path(strings.TrimSpace(folder)); err != nil {
		return "", fmt.Errorf("%w: freeswitch's configuration folder: %w", errSound, err)
	}
	return l.folder, nil
}
