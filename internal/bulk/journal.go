package bulk

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// journal says how far the load of a file has come. It stands beside the file, and is gone when the load is finished.
type journal struct {
	SHA256   string    `json:"sha256"` // of the file
	Tenant   string    `json:"tenant,omitempty"`
	Line     int       `json:"line"`     // the last one that is done or rejected
	Done     int       `json:"done"`     // lines
	Rejected int       `json:"rejected"` // lines
	Bytes    int64     `json:"bytes"`    // of the file of rejected lines
	Started  time.Time `json:"started"`
}

// JournalOf is the journal's name beside a file.
func JournalOf(file string) string { return file + ".progress" }

// RejectsOf is the name of the file of rejected lines beside a file: users.csv has users.rejected.csv.
func RejectsOf(file string) string {
	ext := filepath.Ext(file)
	return strings.TrimSuffix(file, ext) + ".rejected" + ext
}

// readJournal returns nil without an error when there is none.
func readJournal(name string) (*journal, error) {
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var j journal
	if err := json.Unmarshal(text, &j); err != nil {
		return nil, fmt.Errorf("%s cannot be read (%w): write --restart to load the file from its first line; that changes nothing of what is loaded", name, err)
	}
	return &j, nil
}

// write replaces the journal as a whole, so that a death leaves the old one or the new one.
func (j *journal) write(name string) error {
	text, err := json.Marshal(j)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(append(text, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// fingerprint is a file's hash, and how many lines it has that are not blank.
func fingerprint(in io.Reader) (sum string, lines int, err error) {
	h := sha256.New()
	buf := make([]byte, 256<<10)
	said := false // something stands in the line so far
	for {
		n, err := in.Read(buf)
		h.Write(buf[:n])
		for rest := buf[:n]; len(rest) > 0; {
			end := bytes.IndexByte(rest, '\n')
			part := rest
			if end >= 0 {
				part = rest[:end]
			}
			said = said || len(bytes.TrimSpace(part)) > 0
			if end < 0 {
				break
			}
			if said {
				lines++
			}
			said, rest = false, rest[end+1:]
		}
		if errors.Is(err, io.EOF) {
			if said {
				lines++
			}
			return hex.EncodeToString(h.Sum(nil)), lines, nil
		}
		if err != nil {
			return "", 0, err
		}
	}
}
