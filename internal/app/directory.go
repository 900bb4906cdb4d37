package app

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"

	"go.uber.org/zap"

	"github.com/signalbox/signalbox/internal/directory"
	"github.com/signalbox/signalbox/internal/telemetry"
)

// openPhones makes the directory that FreeSWITCH asks for phones.
func (a *App) openPhones() error {
	c := a.config.Directory
	if c.Listen == "" {
		return nil
	}
	cert, err := readPair("directory", c.Cert, c.Key)
	if err != nil {
		return err
	}
	var certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	if cert != nil {
		a.phonesCert.Store(cert)
		certificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return a.phonesCert.Load(), nil }
	}
	listener, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return fmt.Errorf("directory.listen: %w (is the port taken? \"\" switches the directory off)", err)
	}
	a.undo = append(a.undo, listener.Close)
	domains := map[string][]string{}
	for _, d := range c.Domains {
		domains[d.Name] = append(domains[d.Name], d.Tenant)
	}
	a.phones = directory.New(directory.Options{
		Listener: listener, Certificate: certificate, User: c.User, Password: c.Password.Reveal(), Phones: a.store, Changes: a.store,
		Domains: domains, Context: c.Context, DialString: c.DialString, Cache: c.FreeSWITCHCache, KeepPhones: c.KeepPhones, KeepFor: c.KeepFor,
		Took: telemetry.NewDirectory(a.metrics).Took, Logger: a.log,
	})
	telemetry.CollectDirectory(a.metrics, a.phones.Kept)
	return nil
}

// PhonesAddr is where the directory is answered; nil = nowhere.
func (a *App) PhonesAddr() net.Addr {
	if a.phones == nil {
		return nil
	}
	return a.phones.Addr()
}

// runPhones answers until ctx ends, also during a drain: phones register all the time. That it fails ends no call.
func (a *App) runPhones(ctx context.Context) error {
	if err := a.phones.Run(ctx); err != nil {
		a.log.Error("the directory is not answered any more", zap.Error(err))
	}
	return nil
}
