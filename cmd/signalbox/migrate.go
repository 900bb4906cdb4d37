package main

import (
	"context"
	"fmt"

	"github.com/signalbox/signalbox/internal/app"
	"github.com/signalbox/signalbox/internal/config"
)

type migrateCmd struct {
	Up     migrateUpCmd     `cmd:"" default:"withargs" help:"Bring the store to the version of this program. This is what migrate alone does."`
	Down   migrateDownCmd   `cmd:"" help:"Bring the store back to an older version, for an older program."`
	Status migrateStatusCmd `cmd:"" help:"Say which version the store has."`
}

// Help is the example in --help.
func (migrateCmd) Help() string {
	return `Example:

  signalbox migrate --config signalbox.yaml
  signalbox migrate status
  signalbox migrate down --to 2

A sidecar brings its store to its own version when it starts. The way back is for going back to an older program: stop every
sidecar first, and make a copy of the store, since what the older version has no place for is deleted.`
}

type migrateUpCmd struct{ configFlag }

// Help is the example in --help.
func (migrateUpCmd) Help() string {
	return "Example:\n\n  signalbox migrate up --config signalbox.yaml"
}

// Run migrates the store to the newest version.
func (c *migrateUpCmd) Run(ctx context.Context) error { return migrate(ctx, c.configFlag, -1) }

type migrateDownCmd struct {
	configFlag
	To int64 `required:"" placeholder:"VERSION" help:"Version to go back to; 0 = an empty database."`
}

// Help is the example in --help.
func (migrateDownCmd) Help() string {
	return "Example:\n\n  signalbox migrate down --to 2 --config signalbox.yaml\n\nWhat that version has no place for is deleted."
}

// Run migrates the store back.
func (c *migrateDownCmd) Run(ctx context.Context) error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	have, _, err := app.StoreVersions(ctx, cfg)
	if err != nil {
		return err
	}
	if c.To < 0 || c.To >= have {
		return fmt.Errorf("--to %d: the store has version %d, write an older one", c.To, have)
	}
	return migrate(ctx, c.configFlag, c.To)
}

func migrate(ctx context.Context, f configFlag, version int64) error {
	cfg, err := f.load()
	if err != nil {
		return err
	}
	from, to, err := app.MigrateStore(ctx, cfg, version)
	if err != nil {
		return err
	}
	if from == to {
		fmt.Printf("%s is at version %d already.\n", app.StoreName(cfg), to)
		return nil
	}
	fmt.Printf("%s went from version %d to version %d.\n", app.StoreName(cfg), from, to)
	return nil
}

type migrateStatusCmd struct {
	configFlag
	Format string `enum:"text,json" default:"text" help:"Output: ${enum}."`
}

// Help is the example in --help.
func (migrateStatusCmd) Help() string {
	return "Example:\n\n  signalbox migrate status --config signalbox.yaml"
}

// Run prints the version.
func (c *migrateStatusCmd) Run(ctx context.Context) error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	have, newest, err := storeVersions(ctx, cfg)
	if err != nil {
		return err
	}
	if c.Format == "json" {
		return printJSON(struct {
			Store   string `json:"store"`
			Version int64  `json:"version"`
			Newest  int64  `json:"newest"`
		}{app.StoreName(cfg), have, newest})
	}
	fmt.Printf("%s has version %d", app.StoreName(cfg), have)
	switch {
	case have < newest:
		fmt.Printf("; this program wants %d: run signalbox migrate, or start the sidecar", newest)
	case have > newest:
		fmt.Printf("; this program knows %d: upgrade it, or go back with the newer one", newest)
	}
	fmt.Println(".")
	return nil
}

// storeVersions makes no file where there is none yet.
func storeVersions(ctx context.Context, cfg *config.Config) (have, newest int64, err error) {
	if app.NoStoreYet(cfg) {
		return 0, 0, fmt.Errorf("%s is not there yet: signalbox migrate makes it", app.StoreName(cfg))
	}
	return app.StoreVersions(ctx, cfg)
}
