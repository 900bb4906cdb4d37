package fsw

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/signalbox/signalbox/dialplan/encode"
	"github.com/signalbox/signalbox/esl"
	"github.com/signalbox/signalbox/esl/wire"
	"github.com/signalbox/signalbox/internal/store"
)

// NodeOptions of a Node.
type NodeOptions struct {
	Name string
	Dial esl.DialOptions
	// Attached is called after each (re)connect, when what the switch shows is complete, or after 8 looks. An error makes the link try again.
	Attached func(ctx context.Context, sw *Switch) error
	// Listen lists further events that are wanted. What the Event Socket user may not hear is left out, with a warning.
	Listen []string
	// Narrow says, for some of Listen, by which header those are known that are wanted; of the others all are.
	Narrow map[string]wire.Field
	// Event is called with each event, in order of arrival, on the link's goroutine.
	Event func(ctx context.Context, event *wire.Event)
	// Speaks is called before a text is spoken into a new file, so that somebody knows of the file who can have it removed; an error
	// keeps the voice silent.
	Speaks func(ctx context.Context, file, text string) error
	Logger *zap.Logger
}

// Node is one FreeSWITCH, reached by one inbound link that keeps itself up. Run owns its goroutine; everything else is
// safe for concurrent use. It looks and never hangs up a call.
type Node struct {
	options NodeOptions
	log     *zap.Logger
	link    atomic.Pointer[esl.Link] // nil before Run

	ends sync.Map // of calls that deliver messages: by UUID, a chan *wire.Event

	speaking chan struct{} // has a place for who finds out whether a text has to be spoken

	looked *esl.Conn // the connection last looked at, and how often; owned by Run's goroutine
	looks  int
}

// maxLooks bounds how often attach waits for as many channels as sessions. On a busy switch calls come and go between the
// two questions, and the figures may never agree; then what is there counts. Nothing is lost by it: whether a call lives is
// asked of each one, by Alive.
const maxLooks = 8

// NewNode makes a Node; Run brings its link up.
func NewNode(o NodeOptions) *Node {
	n := &Node{options: o, log: o.Logger, speaking: make(chan struct{}, 1)}
	if n.log == nil {
		n.log = zap.NewNop()
	}
	n.log = n.log.With(zap.String("node", o.Name))
	return n
}

// Name is the node's name in the configuration.
func (n *Node) Name() string { return n.options.Name }

// CoreUUID is the Core-UUID of the FreeSWITCH the link last reached, which stands in the data of each of its channels too; ""
// before.
func (n *Node) CoreUUID() string {
	if link := n.link.Load(); link != nil {
		return link.CoreUUID()
	}
	return ""
}

// Up reports whether the link is attached.
func (n *Node) Up() bool { return n.Stats().Up }

// Refused reports whether nobody listens where the node's Event Socket is, as the last attempt to connect has shown.
func (n *Node) Refused() bool { return n.Stats().Refused }

// Stats are the link's counts.
func (n *Node) Stats() esl.LinkStats {
	if link := n.link.Load(); link != nil {
		return link.Stats()
	}
	return esl.LinkStats{}
}

// Run keeps the link up until ctx ends.
func (n *Node) Run(ctx context.Context) error {
	link := esl.NewLink(esl.LinkOptions{
		Node: n.options.Name, Dial: n.options.Dial, Logger: n.options.Logger, // names the node itself
		Subscribe: []string{"CHANNEL_HANGUP_COMPLETE"},
		Filter:    n.filter(),
		OnEvent: func(event *wire.Event) {
			n.tell(event)
			if n.options.Event != nil {
				n.options.Event(ctx, event)
			}
		},
		OnAttach: n.attach,
	})
	n.link.Store(link)
	return link.Run(ctx)
}

// attach looks at the switch until what it shows is complete, as many channels listed as it counts sessions, or maxLooks
// times.
func (n *Node) attach(ctx context.Context, conn *esl.Conn) error {
	listed, err := channelCount(ctx, conn)
	if err != nil {
		return err
	}
	status, err := conn.API(ctx, "status")
	if err != nil {
		return err
	}
	if n.looked != conn {
		n.looked, n.looks = conn, 0
	}
	n.looks++
	if counted, ok := sessionCount(status); ok && counted != listed {
		if n.looks < maxLooks {
			return fmt.Errorf("%w: %d channels listed, %d sessions counted", esl.ErrIncomplete, listed, counted)
		}
		n.log.Info("freeswitch lists other channels than it counts sessions; going on with what is there",
			zap.Int("channels", listed), zap.Int("sessions", counted), zap.Int("looks", n.looks))
	}
	n.listen(ctx, conn)
	if n.options.Attached != nil {
		if err := n.options.Attached(ctx, &Switch{conn, n.CoreUUID()}); err != nil {
			return err
		}
	}
	n.log.Info("freeswitch link is up", zap.Int("channels", listed))
	return nil
}

// filter lets through the ends of our own calls' A-legs, and what is listened to besides. Of the two variables our dialplan extension
// sets the first, and the second when it hands a call back.
func (n *Node) filter() []wire.Field {
	wanted := []wire.Field{{Name: "variable_signalbox_number", Value: "/./"}, {Name: "variable_signalbox_handed_back", Value: "/./"}}
	for _, event := range n.options.Listen {
		if field, ok := n.options.Narrow[event]; ok {
			wanted = append(wanted, field)
			continue
		}
		header := "Event-Name"
		if strings.Contains(event, "::") {
			header = "Event-Subclass"
		}
		wanted = append(wanted, wire.Field{Name: header, Value: event})
	}
	return wanted
}

// listen subscribes to what is good to have. An Event Socket user of an older directory may not hear all of it.
func (n *Node) listen(ctx context.Context, conn *esl.Conn) {
	var deaf []string
	for _, event := range n.options.Listen {
		if err := conn.Subscribe(ctx, event); err != nil {
			deaf = append(deaf, event)
		}
	}
	if len(deaf) > 0 {
		n.log.Warn("the event socket user may not hear some events: add them to esl-allowed-events in its directory entry, or phones are not told of their messages and conferences are not followed",
			zap.Strings("events", deaf))
	}
}

// errDown means that the link to the node is down.
var errDown = errors.New("fsw: the link to the node is down")

// conn is the connection while the link is up.
func (n *Node) conn() (*esl.Conn, error) {
	if link := n.link.Load(); link != nil {
		if conn := link.Conn(); conn != nil {
			return conn, nil
		}
	}
	return nil, errDown
}

// InstanceHeader is the header by which sidecars know the events that one of them sent.
const InstanceHeader = "Signalbox-Instance"

// TellLamp has the node tell every phone that is registered as the lamp's user how many messages there are.
func (n *Node) TellLamp(ctx context.Context, lamp store.Lamp, instance string) error {
	message, err := encode.MessageWaiting{
		User: lamp.User, Host: lamp.Host, Profile: lamp.Profile,
		New: lamp.New, Old: lamp.Old, UrgentNew: lamp.UrgentNew, UrgentOld: lamp.UrgentOld, Mark: InstanceHeader, By: instance,
	}.Message()
	if err != nil {
		return err
	}
	conn, err := n.conn()
	if err != nil {
		return err
	}
	reply, err := conn.Send(ctx, esl.Raw(message))
	if err != nil {
		return err
	}
	return reply.Err()
}

func channelCount(ctx context.Context, conn *esl.Conn) (int, error) {
	answer, err := conn.API(ctx, "show channels as json")
	if err != nil {
		return 0, err
	}
	var rows struct {
		Count int `json:"row_count"`
	}
	if err := json.Unmarshal([]byte(answer), &rows); err != nil {
		return 0, fmt.Errorf("show channels: %w", err)
	}
	return rows.Count, nil
}

// sessionCount reads "N session(s) - peak ..." of the status text.
func sessionCount(status string) (int, bool) {
	for line := range strings.Lines(status) {
		count, _, ok := strings.Cut(line, " session(s) - peak")
		if ok {
			n, err := strconv.Atoi(strings.TrimSpace(count))
			return n, err == nil
		}
	}
	return 0, false
}

// aliveTimeout bounds one question about a channel.
const aliveTimeout = 5 * time.Second

// Switch is FreeSWITCH behind one connection of a Node.
type Switch struct {
	conn *esl.Conn
	core string
}

// CoreUUID is another after each start of FreeSWITCH.
func (s *Switch) CoreUUID() string { return s.core }

// Alive reports whether a channel still exists.
func (s *Switch) Alive(ctx context.Context, uuid string) (bool, error) {
	answer, err := s.about(ctx, "uuid_exists", uuid, "")
	return answer == "true", err
}

// Stage is the dialplan's note of how far a call of ours has come: "unserved" while nobody was connected with the caller, "talked"
// from then on; "" when the operator's own dialplan has the call, or the channel is gone.
func (s *Switch) Stage(ctx context.Context, uuid string) (string, error) {
	answer, err := s.about(ctx, "uuid_getvar", uuid, " signalbox_stage")
	var refused *esl.ReplyError
	if errors.As(err, &refused) || answer == "_undef_" {
		return "", nil
	}
	return answer, err
}

// about asks one question about a channel.
func (s *Switch) about(ctx context.Context, command, uuid, rest string) (string, error) {
	uuid, err := encode.UUID(uuid)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, aliveTimeout)
	defer cancel()
	answer, err := s.conn.API(ctx, command+" "+uuid+rest)
	return strings.TrimSpace(answer), err
}
