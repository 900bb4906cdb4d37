package encode

import "fmt"

// Path checks the path of a file on the switch: absolute, and of letters, digits and "/._-" alone, so that it can stand in any argument,
// quoted or not.
func Path(s string) (string, error) {
	if err := checkAlphabet("path", s, "/._-", 512); err != nil {
		return "", err
	}
	if s[0] != '/' {
		return "", fmt.Errorf("path %s is not absolute: %w", show(s), ErrInvalid)
	}
	return s, nil
}

// Deliver returns the argument of originate that calls a dial string and, when it is answered, plays a file behind a time of silence,
// then sets signalbox_delivered on the leg and hangs up. The dial string must not have a blank: originate would part it there.
func Deliver(dial, file string, silence int) (string, error) {
	file, err := Path(file)
	if err != nil {
		return "", err
	}
	if err := whole(dial); err != nil {
		return "", err
	}
	if silence < 0 || silence > 60_000 {
		return "", fmt.Errorf("%d ms of silence: %w", silence, ErrInvalid)
	}
	return fmt.Sprintf("%s 'playback:silence_stream://%d,playback:%s,set:signalbox_delivered=true,hangup:NORMAL_CLEARING' inline", dial, silence, file), nil
}
