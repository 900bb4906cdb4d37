package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/signalbox/signalbox/internal/strictyaml"
)

// maxFile bounds the configuration file and each secret file, in bytes.
const maxFile = 1 << 20

// Load reads the file, applies the environment (as os.Environ gives it) and secret files, and validates.
// Relative paths in the file are taken from its folder.
func Load(path string, environ []string) (*Config, error) {
	text, err := readFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w (name it with --config FILE or SIGNALBOX_CONFIG; examples/signalbox.yaml is a beginning)", err)
	}
	c, err := Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if err := applyEnviron(c, environ); err != nil {
		return nil, err
	}
	dir := filepath.Dir(path)
	if err := c.readSecrets(dir); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for _, path := range append(c.apiPaths(), &c.Store.SQLite, &c.Proxy.TLS.Cert, &c.Proxy.TLS.Key, &c.Proxy.TLS.CA, &c.Proxy.TLS.ClientCA,
		&c.Records.JSONL, &c.Records.SpoolDir, &c.Records.HTTP.CAFile, &c.Tracing.CAFile, &c.Directory.Cert, &c.Directory.Key) {
		if *path != "" && !filepath.IsAbs(*path) {
			*path = filepath.Join(dir, *path)
		}
	}
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, placed(err, text, environ))
	}
	return c, nil
}

// placed puts before each fault of Validate the variable or the line that its value comes from; one that is nowhere written stays.
func placed(err error, text []byte, environ []string) error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return err
	}
	var out []error
	for _, err := range joined.Unwrap() {
		var f *fault
		if errors.As(err, &f) {
			env := EnvPrefix + strings.ToUpper(strings.NewReplacer(".", "_", "[", "_", "]", "").Replace(f.key))
			overridden := slices.ContainsFunc(environ, func(entry string) bool { return strings.HasPrefix(entry, env+"=") })
			if line := strictyaml.Line(text, f.key); overridden {
				err = fmt.Errorf("%s: %w", env, err)
			} else if line > 0 {
				err = fmt.Errorf("line %d: %w", line, err)
			}
		}
		out = append(out, err)
	}
	return errors.Join(out...)
}

// Parse reads YAML over the defaults, strictly. It does not validate.
func Parse(text []byte) (*Config, error) {
	c := Default()
	if err := strictyaml.Decode(text, &c); err != nil {
		return nil, err
	}
	return &c, nil
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxFile {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, maxFile)
	}
	return text, nil
}

// readSecrets fills the secrets that stand in files of their own.
func (c *Config) readSecrets(dir string) error {
	for i := range c.Nodes {
		es := &c.Nodes[i].EventSocket
		if err := readSecret(dir, fmt.Sprintf("nodes[%d].event_socket.password", i), &es.Password, es.PasswordFile); err != nil {
			return err
		}
	}
	db := &c.Store.Postgres
	if err := readSecret(dir, "store.postgres.dsn", &db.DSN, db.DSNFile); err != nil {
		return err
	}
	if err := readSecret(dir, "store.postgres.password", &db.Password, db.PasswordFile); err != nil {
		return err
	}
	if err := readSecret(dir, "proxy.devices.flow_key", &c.Proxy.Devices.FlowKey, c.Proxy.Devices.FlowKeyFile); err != nil {
		return err
	}
	if err := readSecret(dir, "tracing.token", &c.Tracing.Token, c.Tracing.TokenFile); err != nil {
		return err
	}
	if err := readSecret(dir, "records.http.token", &c.Records.HTTP.Token, c.Records.HTTP.TokenFile); err != nil {
		return err
	}
	if err := readSecret(dir, "directory.password", &c.Directory.Password, c.Directory.PasswordFile); err != nil {
		return err
	}
	if err := c.readAPISecrets(dir); err != nil {
		return err
	}
	for i := range c.Token.Keys {
		key := &c.Token.Keys[i]
		if err := readSecret(dir, fmt.Sprintf("token.keys[%d].secret", i), &key.Secret, key.SecretFile); err != nil {
			return err
		}
	}
	return nil
}

func readSecret(dir, key string, secret *Secret, file string) error {
	if file == "" || *secret != "" { // what is given directly, or by the environment, wins
		return nil
	}
	if !filepath.IsAbs(file) {
		file = filepath.Join(dir, file)
	}
	text, err := readFile(file)
	if err != nil {
		return fmt.Errorf("%s_file: %w", key, err)
	}
	*secret = Secret(strings.TrimRight(string(text), "\r\n"))
	if *secret == "" {
		return fmt.Errorf("%s_file: %s is empty", key, file)
	}
	return nil
}
