package fssim

import (
	"context"
	"net/netip"

	"go.uber.org/zap"
)

// Options say what the simulated switch is. The zero value is a switch with an empty dialplan on free ports of
// 127.0.0.1.
type Options struct {
	// Conf is a FreeSWITCH configuration tree (its folder) or one dialplan file. When it is empty, the dialplan is
	// put together from Public and Contexts.
	Conf string
	// Public are files and globs that stand inside context public, in this order, as dialplan/public/*.xml do in
	// vanilla.
	Public []string
	// Contexts are files and globs with contexts of their own, as dialplan/*.xml in vanilla.
	Contexts []string
	// Substitute are pairs of texts, old and new, replaced in the files of Public and Contexts: a test's socket
	// address in the place of the shipped one.
	Substitute []string

	// EventSocket, Internal and External are "IP:port" to listen on, UDP and TCP for the profiles; default
	// 127.0.0.1:0.
	EventSocket, Internal, External string
	// InternalContext and ExternalContext are the dialplan contexts of the profiles; default public, as in vanilla.
	InternalContext, ExternalContext string
	// Password of the inbound Event Socket; default ClueCon.
	Password string
	// Digest makes the internal profile challenge REGISTER and INVITE.
	Digest bool
	// Reliable has the external profile send provisional responses reliably (RFC 3262) to who supports that: enable-100rel.
	Reliable bool
	// LateMargin is for how many seconds a device stays registered after its time, sip-expires-late-margin; default 60, as
	// in FreeSWITCH, negative = none.
	LateMargin int
	// Users are the directory.
	Users []User
	// Globals are global variables, such as domain.
	Globals map[string]string
	// Hostname is the name of the switch; default fssim.
	Hostname string
	// Resolve looks host names of SIP URIs up; nil = the system's resolver.
	Resolve func(ctx context.Context, host string) (netip.Addr, error)
	// Heartbeat is the time between HEARTBEAT events in seconds; default 20, as in vanilla.
	Heartbeat int
	// Mischief is what makes the switch nasty on purpose.
	Mischief Mischief
	// Logger gets what the switch would log; nil = nothing.
	Logger *zap.Logger
}

// User is one entry of the directory. ESLPassword makes "userauth" possible.
type User struct {
	Name, Domain     string
	Password         string
	Vars             []Var // published with registrations
	ESLPassword      string
	ESLAllowedAPI    string // comma-separated; empty = all
	ESLAllowedEvents string
}

// Var is a name with a value.
type Var struct{ Name, Value string }

func (o Options) withDefaults() Options {
	def := func(s *string, v string) {
		if *s == "" {
			*s = v
		}
	}
	def(&o.EventSocket, "127.0.0.1:0")
	def(&o.Internal, "127.0.0.1:0")
	def(&o.External, "127.0.0.1:0")
	def(&o.InternalContext, "public")
	def(&o.ExternalContext, "public")
	def(&o.Password, "ClueCon")
	def(&o.Hostname, "fssim")
	if o.Heartbeat <= 0 {
		o.Heartbeat = 20
	}
	switch {
	case o.LateMargin == 0:
		o.LateMargin = 60
	case o.LateMargin < 0:
		o.LateMargin = 0
	}
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	return o
}
