package fsw

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/signalbox/signalbox/dialplan/encode"
	"github.com/signalbox/signalbox/esl"
	"github.com/signalbox/signalbox/internal/spoken"
)

// Errors of Say.
var (
	errNoVoice     = errors.New("the switch has no such voice: is its module loaded (mod_flite for flite)?")
	errUnspeakable = errors.New("the text is none that the voice can speak")
)

// Bounds of speaking into a file: the longest text takes about 5 s.
const (
	speakTime  = 12 * time.Second
	speakCheck = 200 * time.Millisecond
	removeTime = 10 * time.Second
)

// asciiVoice is the engine that knows English spelling alone.
const asciiVoice = "flite"

// Say has a voice speak in a conference; member 0 = to everybody. It is a file that is played: "conference say" would stop the room's
// sound for as long as the voice thinks, 0.2 s and more.
func (n *Node) Say(ctx context.Context, room, engine, voice string, member int, text string) error {
	file, err := n.Spoken(ctx, engine, voice, text)
	if err != nil {
		return err
	}
	words := []string{file}
	if member > 0 {
		words = append(words, strconv.Itoa(member))
	}
	return n.Conference(ctx, room, "play", words...)
}

// Spoken returns the file of the switch's recordings folder in which a voice speaks a text. It is made once, on a channel that nobody is
// on, which takes as long as the text; one that is being made, by whatever sidecar, is waited for. Whoever does not wait so long has it the next time.
func (n *Node) Spoken(ctx context.Context, engine, voice, text string) (string, error) {
	file, err := n.spoken(ctx, engine, voice, text)
	if err != nil {
		return "", fmt.Errorf("having %s speak: %w", engine, err)
	}
	return file, nil
}

func (n *Node) spoken(ctx context.Context, engine, voice, text string) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, speakTime, errors.New("the voice took too long"))
	defer cancel()
	said := text
	if engine == asciiVoice {
		text = spoken.Name(text)
	}
	if text = encode.Spoken(text); text == "" {
		return "", errUnspeakable
	}
	conn, err := n.conn()
	if err != nil {
		return "", err
	}
	folder, err := conn.API(ctx, "global_getvar recordings_dir")
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(engine + "|" + voice + "|" + text))
	file := path.Join(strings.TrimSpace(folder), "signalbox-names", hex.EncodeToString(sum[:8])+".wav")
	leg := channelID([16]byte(sum[8:24]))
	if there, err := n.begin(ctx, conn, file, leg, engine, voice, text, said); there || err != nil {
		return file, err
	}
	tick := time.NewTicker(speakCheck)
	defer tick.Stop()
	for {
		if speaks, err := isTrue(ctx, conn, "uuid_exists "+leg); err != nil || !speaks {
			return file, err
		}
		select {
		case <-ctx.Done():
			return "", context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// errStays means that a file was not removed.
var errStays = errors.New("freeswitch did not remove the file: its user needs the right to write the file and its folder, and mod_sndfile has to be loaded; or remove it by hand")

// Remove has the switch remove a file of sound from its disk, and sees that it is gone. One that is not there is no error.
func (n *Node) Remove(ctx context.Context, file string) error {
	ctx, cancel := context.WithTimeout(ctx, removeTime)
	defer cancel()
	conn, err := n.conn()
	if err != nil {
		return err
	}
	file, err = encode.Path(file)
	if err != nil {
		return err
	}
	leg := uuid.NewString()
	arg, err := encode.Discard(file, leg)
	if err != nil {
		return err
	}
	if there, err := isTrue(ctx, conn, "file_exists "+file); err != nil || !there {
		return err
	}
	if _, err := conn.API(ctx, "originate "+arg); err != nil {
		return fmt.Errorf("removing a file: %w", err)
	}
	tick := time.NewTicker(speakCheck)
	defer tick.Stop()
	for {
		runs, err := isTrue(ctx, conn, "uuid_exists "+leg)
		if err != nil {
			return err
		}
		if !runs {
			break
		}
		select {
		case <-ctx.Done():
			return errors.Join(errStays, context.Cause(ctx))
		case <-tick.C:
		}
	}
	if there, err := isTrue(ctx, conn, "file_exists "+file); err != nil || there {
		return errors.Join(errStays, err)
	}
	return nil
}

// begin has a voice begin to speak into a file, unless it does so, or is there (true).
func (n *Node) begin(ctx context.Context, conn *esl.Conn, file, leg, engine, voice, text, said string) (bool, error) {
	select { // of two who ask for a name at once, one begins
	case n.speaking <- struct{}{}:
		defer func() { <-n.speaking }()
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, quick)
	defer cancel()
	if speaks, err := isTrue(ctx, conn, "uuid_exists "+leg); speaks || err != nil {
		return false, err
	}
	if there, err := isTrue(ctx, conn, "file_exists "+file); there || err != nil {
		return there, err
	}
	if loaded, err := isTrue(ctx, conn, "module_exists mod_"+engine); err != nil || !loaded {
		return false, errors.Join(errNoVoice, err)
	}
	arg, err := encode.SpeakInto(file, leg, engine, voice, text)
	if err == nil && n.options.Speaks != nil {
		err = n.options.Speaks(ctx, file, said)
	}
	if err == nil {
		_, err = conn.API(ctx, "originate "+arg)
	}
	return false, err
}

// isTrue asks a switch something that it answers with true or false.
func isTrue(ctx context.Context, conn *esl.Conn, command string) (bool, error) {
	answer, err := conn.API(ctx, command)
	return strings.TrimSpace(answer) == "true", err
}

// channelID is the UUID of the channel that speaks a text, by 16 bytes of its sum (RFC 9562, version 8): whoever asks for the text knows whether
// it is being spoken.
func channelID(b [16]byte) string {
	b[6], b[8] = b[6]&0x0f|0x80, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
