package config

import (
	"encoding"
	"fmt"
	"reflect"
	"sort"
	"strconv"
	"strings"
	"time"
)

// EnvPrefix begins the name of every variable that overrides a key.
const EnvPrefix = "SIGNALBOX_"

// foreign are variables with our prefix that are not keys.
var foreign = map[string]bool{
	"SIGNALBOX_CONFIG": true, "SIGNALBOX_FREESWITCH": true, "SIGNALBOX_LAB_PASSWORD": true, "SIGNALBOX_DOCTOR_PASSWORD": true, "SIGNALBOX_SIMULATOR_PASSWORD": true,
}

// leaf is one scalar of the configuration.
type leaf struct {
	key   string // nodes[0].event_socket.addr
	env   string // SIGNALBOX_NODES_0_EVENT_SOCKET_ADDR
	value reflect.Value
}

// leaves lists every scalar that c has, in the order of the struct.
func leaves(v reflect.Value, key, env string) []leaf {
	if _, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok || v.Kind() != reflect.Struct && v.Kind() != reflect.Slice {
		return []leaf{{key, env, v}}
	}
	var out []leaf
	if v.Kind() == reflect.Slice {
		for i := range v.Len() {
			out = append(out, leaves(v.Index(i), fmt.Sprintf("%s[%d]", key, i), fmt.Sprintf("%s_%d", env, i))...)
		}
		return out
	}
	for i := range v.NumField() {
		name := v.Type().Field(i).Tag.Get("yaml")
		below := name
		if key != "" {
			below = key + "." + name
		}
		out = append(out, leaves(v.Field(i), below, env+"_"+strings.ToUpper(name))...)
	}
	return out
}

// applyEnviron overrides scalars by environment variables. A variable with our prefix that names no key is an error, so
// that a misspelt one is not passed over in silence.
func applyEnviron(c *Config, environ []string) error {
	byEnv := map[string]leaf{}
	for _, l := range leaves(reflect.ValueOf(c).Elem(), "", strings.TrimSuffix(EnvPrefix, "_")) {
		byEnv[l.env] = l
	}
	sort.Strings(environ)
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, EnvPrefix) || foreign[name] {
			continue
		}
		l, ok := byEnv[name]
		if !ok {
			return fmt.Errorf("environment variable %s names no key of the configuration (a list must have the entry before its variable counts)", name)
		}
		if err := set(l.value, value); err != nil {
			return fmt.Errorf("environment variable %s (%s): %w", name, l.key, err)
		}
	}
	return nil
}

func set(v reflect.Value, text string) error {
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return u.UnmarshalText([]byte(text))
	}
	if v.Type() == reflect.TypeFor[time.Duration]() {
		d, err := time.ParseDuration(text)
		if err != nil {
			return fmt.Errorf("%q is no duration such as 4s or 1m", text)
		}
		v.SetInt(int64(d))
		return nil
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Int:
		n, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("%q is no whole number", text)
		}
		v.SetInt(int64(n))
	case reflect.Float64:
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return fmt.Errorf("%q is no number", text)
		}
		v.SetFloat(f)
	case reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return fmt.Errorf("%q is neither true nor false", text)
		}
		v.SetBool(b)
	default:
		return fmt.Errorf("cannot be set by the environment")
	}
	return nil
}

// Keys lists every key of c with its environment variable and value, secrets hidden.
func Keys(c *Config) [][3]string {
	var out [][3]string
	for _, l := range leaves(reflect.ValueOf(c).Elem(), "", strings.TrimSuffix(EnvPrefix, "_")) {
		text := fmt.Sprint(l.value.Interface())
		if m, ok := l.value.Interface().(encoding.TextMarshaler); ok {
			b, _ := m.MarshalText()
			text = string(b)
		}
		out = append(out, [3]string{l.key, l.env, text})
	}
	return out
}
