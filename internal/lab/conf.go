package lab

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	freeswitchconf "github.com/signalbox/signalbox/freeswitch-conf"
)

// shippedSocket is the sidecar's address in the files we ship; it is all the lab changes in them.
const shippedSocket = "127.0.0.1:8084"

// operatorFile is the operator's own dialplan file: it stands behind ours and is the fallback.
const operatorFile = "dialplan/public/50_operator.xml"

// Dropins are the files that go into a FreeSWITCH's conf folder for a lab, by their path inside it: what Signalbox ships, as
// shipped but for the sidecar's address, and the operator's own extensions for the lab's numbers.
type Dropins map[string]string

// Write puts the files into a conf folder.
func (d Dropins) Write(conf string) error {
	for name, text := range d {
		path := filepath.Join(conf, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return fmt.Errorf("writing %s: %w", name, err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return fmt.Errorf("writing %s: %w", name, err)
		}
	}
	return nil
}

// dropins makes the files for a sidecar address and the stages' operator extensions.
func dropins(sidecar string, stages []*Stage) (Dropins, error) {
	files := make(Dropins)
	err := fs.WalkDir(freeswitchconf.Files, "dialplan", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := fs.ReadFile(freeswitchconf.Files, path)
		if err != nil {
			return err
		}
		files[path] = strings.ReplaceAll(string(text), shippedSocket, sidecar)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the shipped dialplan: %w", err)
	}
	for _, path := range freeswitchconf.SoundPaths() {
		sound, err := fs.ReadFile(freeswitchconf.SoundFiles, path)
		if err != nil {
			return nil, fmt.Errorf("reading the shipped prompts: %w", err)
		}
		files[path] = string(sound)
	}
	if !strings.Contains(files["dialplan/public/05_signalbox.xml"], `data="`+sidecar) {
		return nil, fmt.Errorf("the shipped dialplan does not hand calls to %s", shippedSocket)
	}
	files[operatorFile] = operatorDialplan(stages)
	return files, nil
}

// operatorDialplan is what an operator may have had before Signalbox came: an extension for each number, answered by a
// system of its own.
func operatorDialplan(stages []*Stage) string {
	var b bytes.Buffer
	b.WriteString("<include>\n")
	for _, s := range stages {
		if s.Operator == nil {
			continue
		}
		fmt.Fprintf(&b, "  <extension name=\"operator-%s\">\n    <condition field=\"destination_number\" expression=\"^\\%s$\">\n", s.user, s.Number)
		fmt.Fprintf(&b, "      <action application=\"bridge\" data=\"sofia/external/operator@%s\"/>\n    </condition>\n  </extension>\n", s.Operator.Addr())
	}
	b.WriteString("</include>\n")
	return b.String()
}

// skeleton is the part of a vanilla conf tree that the simulator needs around the drop-in files.
func skeleton() Dropins {
	return Dropins{
		"freeswitch.xml": `<document type="freeswitch/xml">
  <section name="dialplan" description="Regex/XML Dialplan">
    <X-PRE-PROCESS cmd="include" data="dialplan/*.xml"/>
  </section>
</document>
`,
		"dialplan/public.xml": `<include>
  <context name="public">
    <X-PRE-PROCESS cmd="include" data="public/*.xml"/>
  </context>
</include>
`,
	}
}
