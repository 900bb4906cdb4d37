package export

import "sync/atomic"

// Stats is a snapshot of what an Exporter has done since its start. SpoolRecords and SpoolBytes are current values.
type Stats struct {
	Written   uint64 // lines in the file of JSON lines
	Unwritten uint64 // lines that the file did not take
	Spooled   uint64 // records that were put into the spool
	Delivered uint64 // records that the receiver took
	Failed    uint64 // requests after which a record is tried again
	Refused   uint64 // records set aside, because the receiver will never take them
	Dropped   uint64 // records that are not posted at all: the spool was full, or the disk silent

	SpoolRecords, SpoolBytes, SpoolMax uint64
}

type counts struct {
	written, unwritten, spooled, delivered, failed, refused, dropped atomic.Uint64
}

// Stats gives the counts.
func (x *Exporter) Stats() Stats {
	if x == nil {
		return Stats{}
	}
	c := &x.counts
	s := Stats{
		Written: c.written.Load(), Unwritten: c.unwritten.Load(), Spooled: c.spooled.Load(), Delivered: c.delivered.Load(),
		Failed: c.failed.Load(), Refused: c.refused.Load(), Dropped: c.dropped.Load(),
	}
	if x.spool != nil {
		records, size := x.spool.usage()
		s.SpoolRecords, s.SpoolBytes, s.SpoolMax = uint64(records), uint64(size), uint64(x.options.SpoolMax)
	}
	return s
}
