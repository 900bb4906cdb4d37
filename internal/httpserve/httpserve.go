// Package httpserve runs an HTTP server until a context ends: of the API, of FreeSWITCH's directory, and of the operator.
//
// Invariant: Run returns when nothing of the server runs any more. Concurrency: Run is called once for a server; it closes the listener.
package httpserve

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"time"
)

// Certificate gives the certificate of a connection; it may give another one after a reload.
type Certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)

// Run serves until ctx ends; requests under way have drain then. With a certificate it speaks TLS 1.2 or newer. A stop by ctx is no error.
func Run(ctx context.Context, server *http.Server, listener net.Listener, certificate Certificate, drain time.Duration) error {
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
		defer cancel()
		if server.Shutdown(ctx) != nil {
			_ = server.Close()
		}
	})
	var err error
	if certificate != nil {
		server.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: certificate}
		err = server.ServeTLS(listener, "", "")
	} else {
		err = server.Serve(listener)
	}
	if !stop() {
		<-stopped
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
