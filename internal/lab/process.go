package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// Process is one program the lab started. It is signalled by its own process id alone.
type Process struct {
	Name   string
	Args   []string
	Log    string // file with its standard output and standard error
	stdout *lineCatcher

	cmd  *exec.Cmd
	done chan struct{}
	err  error // of Wait; read after done
}

// Spawn starts a program whose output is appended to dir/name.log.
func Spawn(dir, name, program string, args ...string) (*Process, error) {
	return spawn(dir, name, nil, program, args...)
}

// spawn is Spawn with an environment; nil = our own.
func spawn(dir, name string, environ []string, program string, args ...string) (*Process, error) {
	p := &Process{Name: name, Args: args, Log: filepath.Join(dir, name+".log"), done: make(chan struct{}), stdout: &lineCatcher{first: make(chan string, 1)}}
	log, err := os.OpenFile(p.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	p.stdout.out = log
	p.cmd = exec.Command(program, args...)
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = environ, p.stdout, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{}
	dieWithParent(p.cmd.SysProcAttr)
	p.cmd.WaitDelay = 2 * time.Second
	started := make(chan error)
	go func() {
		// The thread that starts a process must live as long as it does: the kernel sends the parent-death signal when
		// that thread ends.
		runtime.LockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			p.err = p.cmd.Wait()
		}
		_ = log.Close()
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	return p, nil
}

// PID is the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// FirstLine waits for the first line on standard output.
func (p *Process) FirstLine(ctx context.Context) (string, error) {
	select {
	case line := <-p.stdout.first:
		return line, nil
	case <-p.done:
		return "", fmt.Errorf("%s ended before it was ready: %w\n%s", p.Name, p.ended(), p.Tail(30))
	case <-ctx.Done():
		return "", fmt.Errorf("%s was not ready in time: %w\n%s", p.Name, ctx.Err(), p.Tail(30))
	}
}

func (p *Process) ended() error {
	if p.err != nil {
		return p.err
	}
	return errors.New("exit status 0")
}

// Signal sends a signal. After SIGSTOP it returns when the process has stopped, which each of its threads does for itself.
func (p *Process) Signal(s syscall.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil {
		return fmt.Errorf("signal %s to %s (process %d): %w", s, p.Name, p.PID(), err)
	}
	if s == syscall.SIGSTOP {
		awaitStopped(p.PID())
	}
	return nil
}

// Kill ends the process at once and waits for its end.
func (p *Process) Kill() error {
	err := p.Signal(syscall.SIGKILL)
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	<-p.done
	return err
}

// Stop asks the process to end, kills it after grace, and waits.
func (p *Process) Stop(grace time.Duration) {
	_ = p.Signal(syscall.SIGCONT) // a frozen one could not hear the next signal
	_ = p.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(grace):
		_ = p.Kill()
	}
}

// Tail is the end of the process's output.
func (p *Process) Tail(lines int) string {
	raw, err := os.ReadFile(p.Log)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimRight(string(raw), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// lineCatcher passes output on and hands out its first line.
type lineCatcher struct {
	out   *os.File
	buf   []byte
	first chan string
	found bool
}

// Write implements io.Writer; os/exec calls it from one goroutine.
func (c *lineCatcher) Write(b []byte) (int, error) {
	if !c.found {
		c.buf = append(c.buf, b...)
		if line, _, ok := bytes.Cut(c.buf, []byte("\n")); ok {
			c.first <- string(line)
			c.found, c.buf = true, nil
		}
	}
	return c.out.Write(b)
}
