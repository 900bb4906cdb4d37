package esl

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

// DefaultDialTimeout bounds connecting and logging in together.
const DefaultDialTimeout = 5 * time.Second

// DialOptions say where FreeSWITCH listens and who we are.
type DialOptions struct {
	ConnOptions

	// Addr is host:port of the Event Socket, such as 127.0.0.1:8021.
	Addr string
	// Password of event_socket.conf.xml, or of User. It is a shell on the switch.
	Password Secret
	// User, when set, is a directory user, user@domain; it logs in by userauth. Keep
	// its esl-allowed-events and esl-allowed-api under 400 characters:
	// FreeSWITCH 1.10 cuts the reply of a longer list off and the login times out.
	User string
	// Timeout bounds connecting and logging in, default 5 s.
	Timeout time.Duration
	// DialContext replaces net.Dialer, for tests.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)
}

// Dial connects to FreeSWITCH and logs in. Its errors: those of the network,
// ErrNoGreeting, ErrRejected, ErrAuth, ErrTimeout.
func Dial(ctx context.Context, opt DialOptions) (*Conn, error) {
	if opt.Timeout <= 0 {
		opt.Timeout = DefaultDialTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, opt.Timeout)
	defer cancel()
	dial := opt.DialContext
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	nc, err := dial(ctx, "tcp", opt.Addr)
	if err != nil {
		return nil, fmt.Errorf("connecting to the event socket: %w", err)
	}
	c := newConn(nc, opt.ConnOptions, hooks{})
	if err := c.login(ctx, opt); err != nil {
		_ = c.Close()
		return nil, fmt.Errorf("event socket %s: %w", opt.Addr, err)
	}
	return c, nil
}

func (c *Conn) login(ctx context.Context, opt DialOptions) error {
	select {
	case <-c.greet:
	case <-c.done:
		return c.Err()
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrNoGreeting, ctx.Err())
	}
	auth := Raw("auth " + string(opt.Password))
	if opt.User != "" {
		auth = Raw("userauth " + opt.User + ":" + string(opt.Password))
	}
	r, err := c.Send(ctx, auth)
	if err != nil {
		return err
	}
	var refused *ReplyError
	if err := r.Err(); errors.As(err, &refused) {
		return fmt.Errorf("%w: %s", ErrAuth, refused.Text)
	}
	return nil
}
