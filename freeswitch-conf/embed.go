// Package freeswitchconf carries the FreeSWITCH files that Signalbox ships, so that the lab, the tests and `signalbox
// dialplan render` use exactly what an operator drops in. The files are constants; nothing here changes them.
package freeswitchconf

import "embed"

// Files holds the tree as it stands beside an operator's conf folder: dialplan/, sip_profiles/, directory/; and two-sidecars/, whose
// file goes into dialplan/public where there is a second sidecar.
//
//go:embed dialplan sip_profiles directory two-sidecars
var Files embed.FS

// SoundFiles holds the prompts of conferences, by Prompt.File.
//
//go:embed sounds/signalbox
var SoundFiles embed.FS

// Revision is the number that extension and context signalbox carry in their attribute "revision", which FreeSWITCH
// ignores and keeps: by it `signalbox doctor` tells whether the files that a switch has loaded are ours, older or newer. It
// goes up with every change of what dialplan/public/05_signalbox.xml, dialplan/default/00_signalbox_voicemail.xml or dialplan/signalbox.xml do.
const Revision = 5
