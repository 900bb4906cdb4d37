// Package pgtest gives tests a PostgreSQL.
//
// One server of the binaries that are installed on the machine is started for all tests of a package, when the first asks for it, in
// a temporary folder, on a Unix socket alone, by a user without rights when the tests run as root. It ends with Run, or with the
// tests if they die. SIGNALBOX_POSTGRES names a database of another server instead, whose user may make schemas; then tests that
// freeze or kill the server are skipped. Each test has a schema of its own. A Server is safe for concurrent use, its Freeze, Thaw, Kill
// and Restart are not.
package pgtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// startTime bounds the start of a server.
const startTime = 60 * time.Second

// Environment names a database to use instead of a server of our own.
const Environment = "SIGNALBOX_POSTGRES"

var shared struct {
	sync.Mutex
	server *Server
	err    error
}

// Run runs the tests of a package, for its TestMain, and ends the server that they used.
func Run(m *testing.M) int {
	defer func() {
		shared.Lock()
		defer shared.Unlock()
		if shared.server != nil {
			shared.server.Stop()
		}
	}()
	return m.Run()
}

// Of returns the server of the package's tests. Without any the test is skipped, loudly.
func Of(t testing.TB) *Server {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.server == nil && shared.err == nil {
		shared.server, shared.err = Start()
	}
	if shared.err != nil {
		fmt.Fprintf(os.Stderr, "**** SKIPPED %s: %v\n", t.Name(), shared.err)
		t.Skip(shared.err)
	}
	return shared.server
}

// Server is one PostgreSQL.
type Server struct {
	dsn     string // "" = its own
	dir     string
	bin     string
	as      *syscall.Credential
	pid     int
	done    chan struct{} // closed when the process has ended
	output  *bytes.Buffer // whole after done
	schemas atomic.Int64
}

// Start starts a server of its own, or finds the one that the environment names.
func Start() (*Server, error) {
	if dsn := os.Getenv(Environment); dsn != "" {
		return &Server{dsn: dsn}, nil
	}
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	s := &Server{bin: bin}
	if os.Geteuid() == 0 {
		if s.as, err = nobody(); err != nil {
			return nil, err
		}
	}
	top := os.TempDir()
	if len(top) > 60 { // of a Unix socket's name the kernel takes 107 bytes
		top = "/tmp"
	}
	if s.dir, err = os.MkdirTemp(top, "pg"); err != nil {
		return nil, err
	}
	if err := s.begin(); err != nil {
		_ = os.RemoveAll(s.dir)
		return nil, fmt.Errorf("PostgreSQL of %s: %w", bin, err)
	}
	return s, nil
}

// binaries finds the folder of the newest PostgreSQL of this machine.
func binaries() (string, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	slices.SortFunc(found, func(a, b string) int { return len(a) - len(b) + strings.Compare(a, b) })
	if len(found) > 0 {
		return filepath.Dir(found[len(found)-1]), nil
	}
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path), nil
	}
	return "", errors.New("no PostgreSQL here: install the package postgresql, or name a database by " + Environment)
}

// nobody is a user without rights: PostgreSQL does not run as root.
func nobody() (*syscall.Credential, error) {
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(u.Uid, 10, 32)
		if err != nil {
			return nil, err
		}
		gid, err := strconv.ParseUint(u.Gid, 10, 32)
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, err
	}
	return nil, errors.New("no user postgres or nobody to run PostgreSQL as")
}

func (s *Server) begin() error {
	if s.as != nil {
		if err := os.Chown(s.dir, int(s.as.Uid), int(s.as.Gid)); err != nil {
			return err
		}
	}
	data := filepath.Join(s.dir, "data")
	init := exec.Command(filepath.Join(s.bin, "initdb"), "-D", data, "-U", "signalbox", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	init.Dir, init.SysProcAttr = s.dir, &syscall.SysProcAttr{Credential: s.as}
	if out, err := init.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return s.Restart()
}

// Restart starts a server that was killed.
func (s *Server) Restart() error {
	cmd := exec.Command(filepath.Join(s.bin, "postgres"), "-D", filepath.Join(s.dir, "data"), "-k", s.dir,
		"-c", "listen_addresses=", "-c", "fsync=off", "-c", "full_page_writes=off", "-c", "max_connections=100", "-c", "shared_buffers=64MB")
	s.output, s.done = &bytes.Buffer{}, make(chan struct{})
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.dir, s.output, s.output
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.as, Pdeathsig: syscall.SIGQUIT}
	started := make(chan error, 1)
	done := s.done
	go func() {
		defer close(done)
		runtime.LockOSThread() // Pdeathsig comes when the thread that started it ends
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return err
	}
	s.pid = cmd.Process.Pid
	return s.wait()
}

// wait waits until the server takes connections.
func (s *Server) wait() error {
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, s.DSN(""))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-s.done:
			return fmt.Errorf("it ended:\n%s", s.output)
		case <-ctx.Done():
			s.Stop()
			return fmt.Errorf("no connection: %w\n%s", err, s.output)
		}
	}
}

// DSN names a schema of the server; "" = the one that it has.
func (s *Server) DSN(schema string) string {
	dsn := s.dsn
	if dsn == "" {
		dsn = "host=" + s.dir + " user=signalbox dbname=postgres"
	}
	switch {
	case schema == "":
		return dsn
	case strings.Contains(dsn, "://") && strings.Contains(dsn, "?"):
		return dsn + "&search_path=" + schema
	case strings.Contains(dsn, "://"):
		return dsn + "?search_path=" + schema
	}
	return dsn + " search_path=" + schema
}

// Socket is the server's Unix socket; "" when it is not ours.
func (s *Server) Socket() string {
	if s.dir == "" {
		return ""
	}
	return filepath.Join(s.dir, ".s.PGSQL.5432")
}

// New returns the DSN of an empty schema that lives as long as the test.
func (s *Server) New(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("test_%d_%d", os.Getpid(), s.schemas.Add(1))
	dsn, err := s.Schema(context.Background(), name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), startTime)
		defer cancel()
		if conn, err := pgx.Connect(ctx, s.DSN("")); err == nil {
			_, _ = conn.Exec(ctx, "DROP SCHEMA "+name+" CASCADE")
			_ = conn.Close(ctx)
		}
	})
	return dsn
}

// Schema makes a schema and returns its DSN.
func (s *Server) Schema(ctx context.Context, name string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.DSN(""))
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close(ctx) }()
	_, err = conn.Exec(ctx, "CREATE SCHEMA "+name)
	return s.DSN(name), err
}

// Exec runs statements in a database.
func Exec(t testing.TB, dsn, statements string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, statements); err != nil {
		t.Fatalf("%s: %v", statements, err)
	}
}

// Mine skips a test that freezes or kills the server when that is not ours.
func (s *Server) Mine(t testing.TB) {
	t.Helper()
	if s.dsn != "" {
		t.Skip("the database of " + Environment + " is neither frozen nor killed")
	}
}

// processes are the server's, the first of them before its children.
func (s *Server) processes() []int {
	all := []int{s.pid}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		_, rest, _ := strings.Cut(string(text), ") ") // behind the name, which may have blanks
		fields := strings.Fields(rest)
		if len(fields) > 1 && fields[1] == strconv.Itoa(s.pid) {
			if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
				all = append(all, pid)
			}
		}
	}
	return all
}

func (s *Server) signal(sig syscall.Signal) {
	for _, pid := range s.processes() {
		_ = syscall.Kill(pid, sig)
	}
}

// Freeze stops every process of the server: connections are taken by the kernel, and nobody answers.
func (s *Server) Freeze() { s.signal(syscall.SIGSTOP) }

// Thaw lets them go on.
func (s *Server) Thaw() { s.signal(syscall.SIGCONT) }

// Kill kills the server and waits for its end. Restart starts it again.
func (s *Server) Kill() {
	s.signal(syscall.SIGKILL)
	<-s.done
}

// Stop ends the server and removes its files.
func (s *Server) Stop() {
	if s.dir == "" {
		return
	}
	s.Thaw()
	_ = syscall.Kill(s.pid, syscall.SIGINT)
	select {
	case <-s.done:
	case <-time.After(10 * time.Second):
		s.Kill()
	}
	_ = os.RemoveAll(s.dir)
}
