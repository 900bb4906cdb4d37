package store

import (
	"context"
	"time"
)

// VoiceKind says what a VoiceFile is, and how its File is to be read.
type VoiceKind string

// The kinds.
const (
	SpokenName   VoiceKind = "spoken"   // a name spoken by a voice; File is its path on the node
	RecordedName VoiceKind = "recorded" // a name that somebody recorded; File is TENANT/ACCOUNT/FILE in the folder of such names
	LeftMessage  VoiceKind = "message"  // a message that a caller left; File is its path on the node
)

// VoiceFile is a file on the disk of a FreeSWITCH in which a person is heard or named. Names that are spoken are known from before they are
// made until they are removed; of the other kinds only those that are to be removed.
type VoiceFile struct {
	Node     string    `json:"node"`
	Kind     VoiceKind `json:"kind"`
	File     string    `json:"file"`
	Name     string    `json:"-"` // that is spoken
	Made     time.Time `json:"-"`
	Unwanted time.Time `json:"unwanted,omitzero"` // since when it is to be removed; zero = it is in use
	Tries    int       `json:"tries"`
	Note     string    `json:"note,omitempty"` // why it could not be removed, for people
}

// VoiceFiles remembers what has to be removed outside the store when a person is: a file becomes unwanted in the same transaction in which
// the contact or the account that it belongs to goes, changes its name or is forgotten, and stays so until somebody says that it is gone.
type VoiceFiles interface {
	// KeepVoiceFile notes a name that is about to be spoken into a file. It is wanted from now on.
	KeepVoiceFile(ctx context.Context, f VoiceFile) error
	// UnwantedVoiceFiles returns what is to be removed of a node, "" = of all, and may be tried at a time: files that are unwanted, and
	// spoken names that were made before old. Those made first come first, at most limit (1 to MaxList).
	UnwantedVoiceFiles(ctx context.Context, node string, now, old time.Time, limit int) ([]VoiceFile, error)
	// VoiceFileGone forgets a file that is not there any more, but not a name that is wanted again and was made after old.
	VoiceFileGone(ctx context.Context, node, file string, old time.Time) error
	// VoiceFileStays keeps why a file could not be removed, which is to be tried again at a time.
	VoiceFileStays(ctx context.Context, node, file, note string, next time.Time) error
}
