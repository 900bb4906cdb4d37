package sqlstore

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"go.uber.org/zap"

	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/store"
)

// RecordsOf returns finished records of a tenant's calls, newest first. A mark is the start and the ID of the last one.
func (s *Store) RecordsOf(ctx context.Context, tenant, mark string, limit int) ([]call.Record, string, error) {
	limit = min(max(limit, 1), store.MaxList)
	query, args := "SELECT id, started, record FROM call_records WHERE tenant = ? AND ended IS NOT NULL", []any{tenant}
	if mark != "" {
		first, id, _ := strings.Cut(mark, " ")
		started, err := strconv.ParseInt(first, 10, 64)
		if err != nil {
			return nil, "", fmt.Errorf("%.64q is no mark of call records", mark)
		}
		query, args = query+" AND (started < ? OR started = ? AND id < ?)", append(args, started, started, id)
	}
	var out []call.Record
	var next string
	err := s.reading(ctx, func(t tx) error {
		n, last := 0, ""
		return t.each(query+" ORDER BY started DESC, id DESC LIMIT ?", func(scan scanner) error {
			var id string
			var started int64
			var text []byte
			if err := scan(&id, &started, &text); err != nil {
				return err
			}
			if n++; n > limit {
				next = last
				return nil
			}
			last = strconv.FormatInt(started, 10) + " " + id
			r, err := readRecord(text)
			if err != nil {
				s.unreadable.Add(1)
				s.log.Error("a call record cannot be read and is left out", zap.String("record", id), zap.Error(err))
				return nil
			}
			out = append(out, r)
			return nil
		}, append(args, limit+1)...)
	})
	return out, next, s.one(ctx, err, "call records of tenant %.64s", tenant)
}
