package app

import (
	"cmp"
	"context"

	"golang.org/x/sync/errgroup"

	"github.com/signalbox/signalbox/internal/config"
	"github.com/signalbox/signalbox/internal/export"
	"github.com/signalbox/signalbox/internal/telemetry"
)

// openExport opens what gives finished call records to others.
func (a *App) openExport() (err error) {
	r := a.config.Records
	if a.export, err = export.New(export.Options{
		JSONL: r.JSONL, HTTP: postOptions(a.config), SpoolDir: cmp.Or(r.SpoolDir, a.config.Store.SQLite+".export"), SpoolMax: int64(r.SpoolMaxBytes),
		Logger: a.log, Posted: telemetry.NewPosts(a.metrics).Posted,
	}); err != nil {
		return err
	}
	a.undo = append(a.undo, a.export.Close)
	return nil
}

func postOptions(c *config.Config) export.HTTPOptions {
	h := c.Records.HTTP
	return export.HTTPOptions{URL: h.URL, Token: h.Token.Reveal(), CAFile: h.CAFile, Timeout: h.Timeout, UserAgent: userAgent()}
}

// keepRecordsWritten runs the ledger until ctx ends, and behind it what exports its records, so that the last ones are exported too.
func (a *App) keepRecordsWritten(ctx context.Context) error {
	exporting, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var behind errgroup.Group
	behind.Go(func() error { return a.export.Run(exporting) })
	err := a.ledger.Run(ctx)
	stop()
	if exported := behind.Wait(); err == nil {
		err = exported
	}
	return err
}
