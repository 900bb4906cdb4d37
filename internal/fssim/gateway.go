package fssim

import (
	"encoding/xml"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// gateway is one of a profile, as far as calls go out by it.
type gateway struct {
	name, realm, proxy string
	prof               *profile
	callerInFrom       bool
	registers          bool
}

// rescan reads the gateways of a profile, sip_profiles/NAME/*.xml in the conf folder, whose files are small and have neither conditions nor
// variables here. Those that are there already stay as they are, as on FreeSWITCH.
func (s *Switch) rescan(p *profile) {
	conf, _ := s.global("conf_dir")
	files, _ := filepath.Glob(filepath.Join(conf, "sip_profiles", p.name, "*.xml"))
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		for _, g := range gatewaysIn(text) {
			g.prof = p
			if g.registers || !g.callerInFrom {
				s.unknown("gateway that registers, or without caller-id-in-from")
			}
			s.gateways.LoadOrStore(g.name, g)
		}
	}
}

// gatewaysIn reads the gateways of one file.
func gatewaysIn(text []byte) (out []gateway) {
	var file struct {
		Gateways []struct {
			Name   string `xml:"name,attr"`
			Params []struct {
				Name  string `xml:"name,attr"`
				Value string `xml:"value,attr"`
			} `xml:"param"`
		} `xml:"gateway"`
	}
	if xml.Unmarshal(text, &file) != nil {
		return nil
	}
	for _, x := range file.Gateways {
		g := gateway{name: x.Name, realm: x.Name, registers: true}
		for _, p := range x.Params {
			switch p.Name {
			case "realm":
				g.realm = p.Value
			case "proxy":
				g.proxy = p.Value
			case "register":
				g.registers = isTrue(p.Value)
			case "caller-id-in-from":
				g.callerInFrom = isTrue(p.Value)
			}
		}
		if g.proxy == "" {
			g.proxy = g.realm
		}
		out = append(out, g)
	}
	return out
}

func (s *Switch) gateway(name string) (gateway, bool) {
	g, ok := s.gateways.Load(name)
	if !ok {
		return gateway{}, false
	}
	return g.(gateway), true
}

// gatewayStatus is "sofia status gateway NAME".
func (s *Switch) gatewayStatus(name string) string {
	g, ok := s.gateway(name)
	if !ok {
		return "Invalid Gateway!\n"
	}
	line := strings.Repeat("=", 97) + "\n"
	return line + fmt.Sprintf("Name    \t%s\nProfile \t%s\nRealm   \t%s\nProxy   \tsip:%s\nState   \tNOREG\nStatus  \tUP\n", g.name, g.prof.name, g.realm, g.proxy) + line
}

// gatewayDestination is what stands behind "sofia/gateway/".
func (s *Switch) gatewayDestination(data string) ([]destination, cause) {
	name, number, ok := strings.Cut(data, "/")
	g, known := s.gateway(name)
	if !ok || !known {
		return nil, 808 // INVALID_GATEWAY
	}
	d, ok := parseContact(g.prof, number+"@"+g.proxy)
	if !ok {
		return nil, 810
	}
	return []destination{d}, causeSuccess
}
