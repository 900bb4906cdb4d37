// Package config is the one strict YAML file of Signalbox.
//
// A key that is not known, or stands twice, is an error that names key and line; what is left out has the default that
// Default gives; Validate names the key of everything that cannot work. Every scalar can be overridden by an environment
// variable: SIGNALBOX_ and the path of the key in capitals, list positions from 0, joined by underscores
// (SIGNALBOX_NODES_0_EVENT_SOCKET_PASSWORD). Secrets print as *** and may stand in a file of their own.
//
// Load reads files and is otherwise pure; a Config is not changed after Load and is safe for concurrent use.
package config
