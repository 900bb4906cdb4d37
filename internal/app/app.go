package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/signalbox/signalbox/esl"
	"github.com/signalbox/signalbox/esl/wire"
	"github.com/signalbox/signalbox/internal/api"
	"github.com/signalbox/signalbox/internal/config"
	"github.com/signalbox/signalbox/internal/delivery"
	"github.com/signalbox/signalbox/internal/directory"
	"github.com/signalbox/signalbox/internal/export"
	"github.com/signalbox/signalbox/internal/fsw"
	"github.com/signalbox/signalbox/internal/hep"
	"github.com/signalbox/signalbox/internal/message"
	"github.com/signalbox/signalbox/internal/mwi"
	"github.com/signalbox/signalbox/internal/otlp"
	"github.com/signalbox/signalbox/internal/provision"
	"github.com/signalbox/signalbox/internal/resolve"
	"github.com/signalbox/signalbox/internal/rooms"
	"github.com/signalbox/signalbox/internal/sdnotify"
	"github.com/signalbox/signalbox/internal/sidecar"
	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/telemetry"
	"github.com/signalbox/signalbox/internal/token"
	"github.com/signalbox/signalbox/sipproxy"
)

// Role says which parts a process runs.
type Role string

// The roles. In production proxy and sidecar are processes of their own, so that the death of one does not take the other.
const (
	All     Role = "all"
	Proxy   Role = "proxy"
	Sidecar Role = "sidecar"
)

// Options of an App.
type Options struct {
	Config *config.Config
	Role   Role
	Logger *zap.Logger
	Notify *sdnotify.Notifier // tells systemd; nil = nobody is told
}

// App is one running Signalbox.
type App struct {
	role     Role
	log      *zap.Logger
	instance string

	mu     sync.Mutex // guards config and resolver over Reload
	config *config.Config

	store      store.Store
	profiles   *store.Cache
	ledger     *sidecar.Ledger
	fleet      *sidecar.Fleet   // nil = no other sidecar shares the store
	export     *export.Exporter // nil = nobody else gets records
	sidecar    *sidecar.Sidecar
	server     *esl.Server
	nodes      []*fsw.Node
	proxy      *sipproxy.Proxy
	hep        *hep.Exporter  // nil = no collector
	spans      *otlp.Exporter // nil = nobody traces
	certs      certificates
	resolver   *resolve.Resolver
	targets    *resolve.Health // how the targets of voicemail systems do; nil = nobody is called by name
	checker    *token.Checker
	metrics    *telemetry.Registry
	screened   *telemetry.Screening // nil without a proxy
	messages   *message.Outbox      // sends texts to people; nil = there is no way to
	delivery   *delivery.Keeper     // keeps and delivers messages that no voicemail system took; nil = none are taken
	rooms      *rooms.Manager       // keeps conferences; nil without a sidecar
	keeper     *mwi.Keeper          // lights the lamps of phones; nil without a sidecar
	taker      *mwi.Taker           // takes message counts of voicemail systems; nil without a proxy
	lampCounts *telemetry.Lamps
	provision  *provision.Provisioner // nil = nobody asks for it

	provisionMeter *telemetry.Provision // nil with provision
	api            *api.Server          // nil = api.listen is empty
	apiCert        atomic.Pointer[tls.Certificate]
	phones         *directory.Server // nil = directory.listen is empty
	phonesCert     atomic.Pointer[tls.Certificate]
	operator       *operator // tells operators and systemd how we are

	now    chan struct{} // closed by EndNow
	endNow sync.Once

	undo []func() error // closes what New opened, last first
}

// New opens what the role needs. On an error nothing stays open.
func New(o Options) (*App, error) {
	a := &App{role: o.Role, config: o.Config, log: o.Logger, instance: instance(), now: make(chan struct{}), metrics: telemetry.NewRegistry(string(o.Role))}
	if a.log == nil {
		a.log = zap.NewNop()
	}
	if !slices.Contains([]Role{All, Proxy, Sidecar}, o.Role) {
		return nil, fmt.Errorf("role %q: choose all, proxy or sidecar", o.Role)
	}
	err := a.openTracing()
	if err == nil && o.Role != Proxy {
		err = a.openSidecar()
	}
	if err == nil && o.Role != Sidecar {
		err = a.openProxy()
	}
	if err == nil {
		a.measure()
		err = a.openOperator(o.Notify)
	}
	if err != nil {
		return nil, errors.Join(err, a.close())
	}
	a.warn(o.Config)
	return a, nil
}

// warn logs what a configuration hardly means, as far as it concerns the role.
func (a *App) warn(c *config.Config) {
	for _, w := range c.Warnings() {
		if a.role == Sidecar && strings.HasPrefix(w.Key, "proxy.") || a.role == Proxy && strings.HasPrefix(w.Key, "nodes[") {
			continue
		}
		a.log.Warn("configuration: "+w.Text, zap.String("key", w.Key))
	}
}

// instance names this process for ever: host, process and a random part.
func instance() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%s/%d/%s", host, os.Getpid(), uuid.NewString()[:8])
}

func (a *App) openSidecar() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	s, err := databaseOf(a.config, a.log).open(ctx)
	if err != nil {
		return err
	}
	a.store = s
	a.undo = append(a.undo, s.Shut)
	if err := a.claim(); err != nil {
		return err
	}
	a.warmUp(ctx, s)
	a.profiles = store.NewCache(store.CacheOptions{
		Profiles: s, Size: a.config.Store.CacheNumbers, ReadTook: telemetry.NewReads(a.metrics).Took, Logger: a.log,
	})
	a.undo = append(a.undo, func() error { a.profiles.Close(); return nil })
	if err := a.openExport(); err != nil {
		return err
	}
	records := telemetry.TraceRecords(export.NewRecords(telemetry.NewRecords(a.metrics, s), a.export), a.spans)
	a.ledger = sidecar.NewLedger(records, a.config.Store.SQLite+".spool", a.log)
	undertaker := sidecar.NewUndertaker(records, a.ledger, a.instance, a.linked, a.log)
	if err := a.joinFleet(ctx, undertaker); err != nil {
		return err
	}
	if a.resolver, err = a.newResolver(a.config); err != nil {
		return err
	}
	if a.checker, err = newChecker(a.config); err != nil {
		return err
	}
	a.openNodes(undertaker)
	a.openRooms()
	calls := telemetry.NewCalls(a.metrics)
	a.sidecar = sidecar.New(sidecar.Options{
		Instance: a.instance, Node: a.nodeName, Linked: a.linked, Profiles: a.profiles, Directory: a.newDirectory(), Ledger: a.ledger,
		Settings: sidecarSettings(a.config, a.resolver, a.checker), Orphans: undertaker, Conferences: a.conferences(), Meter: calls, Logger: a.log,
	})
	listener, err := net.Listen("tcp", a.config.Sidecar.Listen)
	if err != nil {
		return fmt.Errorf("sidecar.listen: %w (is another sidecar running, or the port taken?)", err)
	}
	a.undo = append(a.undo, listener.Close)
	a.server, err = esl.NewServer(esl.ServerOptions{
		Listener: listener, Allow: prefixes(a.config.Sidecar.Allow), MaxSessions: a.config.Sidecar.MaxCalls,
		DrainTimeout: max(a.config.Sidecar.Drain, time.Millisecond), Handler: a.sidecar.Serve, Opened: calls.Opened, Logger: a.log,
	})
	if err != nil {
		return err
	}
	a.openKeeper()
	if err := a.openDelivery(); err != nil {
		return err
	}
	if err := a.openMessages(); err != nil {
		return err
	}
	if err := a.openAPI(); err != nil {
		return err
	}
	return a.openPhones()
}

// warmUp looks a number up that nobody has: the first look-up in a cold file may take longer than a call waits for one, and is
// not to be a call's.
func (a *App) warmUp(ctx context.Context, s store.Profiles) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if _, err := s.Profile(ctx, "+10000000000"); err != nil && !errors.Is(err, store.ErrNotFound) {
		a.log.Warn("the store gives no profiles; calls go to the operator's own dialplan until it does", zap.Error(err))
	}
}

func (a *App) openNodes(undertaker *sidecar.Undertaker) {
	for _, n := range a.config.Nodes {
		if n.EventSocket.Addr == "" {
			continue
		}
		a.nodes = append(a.nodes, fsw.NewNode(fsw.NodeOptions{
			Name: n.Name,
			Dial: esl.DialOptions{Addr: n.EventSocket.Addr, User: n.EventSocket.User, Password: esl.Secret(n.EventSocket.Password.Reveal())},
			Attached: func(ctx context.Context, sw *fsw.Switch) error {
				a.rooms.Attached(ctx, n.Name, sw)
				return undertaker.Attach(ctx, n.Name, sw, time.Now())
			},
			Listen: append(mwi.Events(), rooms.Events()...), Narrow: rooms.Narrow(),
			Event: func(_ context.Context, event *wire.Event) {
				undertaker.Event(event)
				a.heard(n.Name, event)
			},
			Speaks: func(ctx context.Context, file, text string) error {
				return a.store.KeepVoiceFile(ctx, store.VoiceFile{Node: n.Name, Kind: store.SpokenName, File: file, Name: text, Made: time.Now()})
			},
			Logger: a.log,
		}))
	}
}

// nodeName finds the node that hands a call over: the one whose link knows the Core-UUID, for several may stand behind one
// address; or, while its link is down or it has none, the first that the call's connection may come from; or the first.
func (a *App) nodeName(coreUUID, remote string) string {
	for _, n := range a.nodes {
		if coreUUID != "" && n.CoreUUID() == coreUUID {
			return n.Name()
		}
	}
	a.mu.Lock()
	nodes := a.config.Nodes
	a.mu.Unlock()
	if len(nodes) == 0 {
		return "freeswitch"
	}
	if from, err := netip.ParseAddrPort(remote); err == nil {
		addr := from.Addr().Unmap()
		for _, n := range nodes {
			if n.SIP.Addr() == addr || slices.ContainsFunc(n.Prefixes, func(p config.Prefix) bool { return p.Contains(addr) }) {
				return n.Name
			}
		}
	}
	return nodes[0].Name
}

// linked says whether a link shows the ends of calls on a node.
func (a *App) linked(node string) bool {
	return slices.ContainsFunc(a.nodes, func(n *fsw.Node) bool { return n.Name() == node })
}

// probeEvery is how often the proxy asks each node with OPTIONS whether it takes calls.
const probeEvery = 10 * time.Second

func (a *App) openProxy() error {
	a.screened = telemetry.NewScreening(a.metrics)
	edge, err := newEdge(a.config, a.log, a.screened.Judged, a.labels())
	if err != nil {
		return err
	}
	certs, err := readCertificates(a.config.Proxy.TLS)
	if err != nil {
		return err
	}
	a.certs.current.Store(certs)
	var listen []sipproxy.Listener
	for _, l := range a.config.Proxy.Listen {
		listen = append(listen, sipproxy.Listener{Network: l.Network, Addr: l.Addr, Advertise: a.config.Proxy.Advertise, TLS: a.certs.config})
	}
	devices := a.config.Proxy.Devices
	for _, l := range devices.Listen {
		listen = append(listen, sipproxy.Listener{
			Network: l.Network, Addr: l.Addr, Advertise: devices.Advertise, TLS: a.certs.config, Devices: true, Origins: devices.Origins,
		})
	}
	var tap sipproxy.Tap
	if h := a.config.HEP; h.Collector != "" {
		network, addr, _ := strings.Cut(h.Collector, ":")
		if a.hep, err = hep.New(hep.Options{Network: network, Addr: addr, CaptureID: h.CaptureID, Key: h.Key.Reveal(), Rate: h.Rate, Logger: a.log}); err != nil {
			return err
		}
		tap = a.hep.Tap
	}
	if a.resolver == nil && (hasNames(a.config) || callsByTLS(a.config)) {
		if a.resolver, err = a.newResolver(a.config); err != nil {
			return err
		}
	}
	outbound, err := a.newOutbound(a.config)
	if err != nil {
		return err
	}
	a.openTaker()
	a.proxy, err = sipproxy.New(sipproxy.Options{
		Summaries: edgeSummaries(a.taker),
		Tap:       tap, StageTook: telemetry.NewStages(a.metrics).Took, Observe: a.observer(),
		Listen: listen, Peers: peers(a.config), Screener: edge, Router: edge,
		Names: peerNames{a.currentResolver}, FlowKey: flowKey(a.config), Outbound: outbound, BanTime: devices.BanTime, ProbeEvery: probeEvery,
		MaxUDP: a.config.Proxy.MaxUDPBytes, ScreenTimeout: a.config.Proxy.ScreenTime, Logger: a.log,
	})
	var bind *net.OpError
	if errors.As(err, &bind) {
		return fmt.Errorf("proxy.listen: %w (is another proxy running, or the port taken?)", err)
	}
	if err != nil {
		return fmt.Errorf("proxy: %w", err)
	}
	a.undo = append(a.undo, a.proxy.Close)
	return nil
}

// EventSocketAddr is where the sidecar waits for FreeSWITCH; nil without a sidecar.
func (a *App) EventSocketAddr() net.Addr {
	if a.server == nil {
		return nil
	}
	return a.server.Addr()
}

// SIPAddrs are the addresses the proxy listens on, in the order of proxy.listen and then proxy.devices.listen; none without a proxy.
func (a *App) SIPAddrs() []netip.AddrPort {
	if a.proxy == nil {
		return nil
	}
	return a.proxy.Addrs()
}

// HTTPAddr is where /healthz, /readyz and /metrics are answered; nil when the configuration does not want them.
func (a *App) HTTPAddr() net.Addr {
	if a.operator.http == nil {
		return nil
	}
	return a.operator.http.Addr()
}

// APIAddr is where the API listens; nil when the configuration does not want it.
func (a *App) APIAddr() net.Addr {
	if a.api == nil {
		return nil
	}
	return a.api.Addr()
}

func (a *App) addresses() []zap.Field {
	fields := []zap.Field{zap.String("role", string(a.role)), zap.String("instance", a.instance)}
	if a.server != nil {
		fields = append(fields, zap.Stringer("event_socket", a.server.Addr()))
	}
	if a.proxy != nil {
		fields = append(fields, zap.Stringers("sip", a.proxy.Addrs()))
	}
	if addr := a.HTTPAddr(); addr != nil {
		fields = append(fields, zap.Stringer("http", addr))
	}
	if addr := a.APIAddr(); addr != nil {
		fields = append(fields, zap.Stringer("api", addr))
	}
	if addr := a.PhonesAddr(); addr != nil {
		fields = append(fields, zap.Stringer("directory", addr))
	}
	return fields
}

// Reload swaps the settings that can change while calls run. An error leaves everything as it was.
func (a *App) Reload(c *config.Config) error {
	a.operator.reloading()
	defer a.operator.reloaded()
	a.mu.Lock()
	defer a.mu.Unlock()
	// What the resolver learnt of names, and the checker of tokens, is kept unless its own keys changed.
	resolver, checker := a.resolver, a.checker
	apiCert, err := readPair("api", c.API.Cert, c.API.Key)
	if err != nil {
		return err
	}
	phonesCert, err := readPair("directory", c.Directory.Cert, c.Directory.Key)
	if err != nil {
		return err
	}
	exported, err := a.export.Prepare(postOptions(c))
	if err != nil {
		return err
	}
	if resolver != nil && !reflect.DeepEqual(a.config.DNS, c.DNS) {
		if resolver, err = a.newResolver(c); err != nil {
			return err
		}
	}
	if resolver == nil && hasNames(c) {
		if resolver, err = a.newResolver(c); err != nil {
			return err
		}
	}
	if (a.sidecar != nil || checker != nil) && !reflect.DeepEqual(a.config.Token, c.Token) {
		if checker, err = newChecker(c); err != nil {
			return err
		}
	}
	if a.proxy != nil {
		edge, err := newEdge(c, a.log, a.screened.Judged, a.labels())
		if err != nil {
			return err
		}
		certs, err := readCertificates(c.Proxy.TLS)
		if err != nil {
			return err
		}
		if err := a.proxy.Reload(peers(c), edge, edge); err != nil {
			return fmt.Errorf("nodes and proxy.trunks: %w", err)
		}
		if certs != nil { // a listener that is to go, which needs a restart, still has its old one
			a.certs.current.Store(certs)
		}
	}
	if a.sidecar != nil {
		a.sidecar.Reload(a.sidecarSettings(c, resolver, checker))
	}
	a.resolver, a.checker = resolver, checker
	if apiCert != nil && a.api != nil {
		a.apiCert.Store(apiCert)
	}
	if phonesCert != nil && a.phones != nil {
		a.phonesCert.Store(phonesCert)
	}
	exported()
	if keys := needRestart(a.config, c); len(keys) > 0 {
		a.log.Warn("some changed keys count only after a restart", zap.Strings("keys", keys))
	}
	a.config = c
	a.warn(c)
	return nil
}

func (a *App) close() error {
	var errs []error
	for _, undo := range slices.Backward(a.undo) {
		if err := undo(); err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, sipproxy.ErrClosed) {
			errs = append(errs, err)
		}
	}
	a.undo = nil
	return errors.Join(errs...)
}
