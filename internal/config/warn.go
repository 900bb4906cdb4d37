package config

import (
	"fmt"
	"net"
	"net/netip"
)

// exampleSecret is the token secret of examples/signalbox.yaml.
const exampleSecret = "0123456789abcdef0123456789abcdef"

// Warning is something that works and is hardly meant.
type Warning struct {
	Key  string // store.keep_records
	Text string // what it means and what to do; never a secret, but for those that everybody knows
}

// String is one line for people.
func (w Warning) String() string { return w.Key + " " + w.Text }

// Warnings names the keys of a valid configuration whose values everybody knows or that leave nothing to do.
func (c *Config) Warnings() []Warning {
	var out []Warning
	for i, n := range c.Nodes {
		password := n.EventSocket.Password.Reveal()
		if n.EventSocket.Addr != "" && (password == "ClueCon" || password == "change-me") {
			out = append(out, Warning{fmt.Sprintf("nodes[%d].event_socket.password", i),
				"is " + password + ", which everybody knows, and it is a shell on the switch: set another one in FreeSWITCH (autoload_configs/event_socket.conf.xml, or the directory user's esl-password) and here"})
		}
	}
	if len(c.Proxy.Trunks) == 0 {
		out = append(out, Warning{"proxy.trunks", "is empty: no carrier may call through the proxy; name each with the addresses it sends from"})
	}
	for i, t := range c.Proxy.Trunks {
		if calls, messages := t.Rates(); messages < calls*(messagesPerCall-1) {
			out = append(out, Warning{fmt.Sprintf("proxy.trunks[%d].messages_per_second", i),
				fmt.Sprintf("is %d and stops calls before calls_per_second, %d, does: a call takes INVITE, ACK and BYE of the carrier; write %d or more, or nothing", messages, calls, calls*messagesPerCall)})
		}
	}
	for i, k := range c.Token.Keys {
		if k.Secret.Reveal() == exampleSecret {
			out = append(out, Warning{fmt.Sprintf("token.keys[%d].secret", i),
				"is the one of examples/signalbox.yaml, with which everybody can sign: make one of your own with openssl rand -hex 32"})
		}
	}
	for key, addr := range map[string]string{"http.listen": c.HTTP.Listen, "http.proxy_listen": c.HTTP.ProxyListen} {
		if c.HTTP.Pprof && addr != "" && !Loopback(addr) {
			out = append(out, Warning{"http.pprof", "is true and " + key + " is not loopback: everybody who reaches " + addr + " can read the program's memory and slow it down; switch it off when you have measured"})
		}
	}
	return out
}

// Loopback reports whether HOST:PORT can be reached from this machine alone, as far as it can be told without asking anybody.
func Loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}
