package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/signalbox/signalbox/dialplan"
	"github.com/signalbox/signalbox/esl/wire"
	"github.com/signalbox/signalbox/internal/app"
	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/config"
	"github.com/signalbox/signalbox/internal/fsw"
	"github.com/signalbox/signalbox/internal/store"
	"github.com/signalbox/signalbox/internal/treat"
)

// plans prints what Signalbox would plan for each call that the walk handed to a controller.
func (c *dialplanTraceCmd) plans(ctx context.Context, walk *dialplan.Walk) error {
	if c.Config == "" || len(walk.Handed) == 0 {
		if c.Config != "" {
			fmt.Println("\nSignalbox is not asked: the hunt reached no socket.")
		}
		return nil
	}
	return withStore(ctx, configFlag{Config: c.Config}, func(cfg *config.Config, s store.Store) error {
		for _, h := range walk.Handed {
			if err := printPlan(ctx, cfg, s, h); err != nil {
				return err
			}
		}
		return nil
	})
}

func printPlan(ctx context.Context, cfg *config.Config, s store.Store, h dialplan.Handover) error {
	hosts, _, _ := strings.Cut(h.Action.Data, " ")
	if !strings.Contains("|"+hosts+"|", "|"+cfg.Sidecar.Listen+"|") && !strings.Contains(hosts, cfg.Sidecar.Listen+"/") {
		fmt.Printf("\n%s hands the call to %s, the sidecar of the configuration listens on %s.\n", relative(h.Action.Pos.String()), hosts, cfg.Sidecar.Listen)
	}
	arrival := fsw.Variables(channelEvent(h.Call), "", cfg.Region, h.Call.Now)
	if arrival.To == "" && !arrival.PilotsOnly {
		fmt.Printf("\nSignalbox hands the call back at once: %s is no number of a subscriber.\n", arrival.Dialled)
		return nil
	}
	plan, err := planOf(ctx, cfg, s, arrival)
	if err != nil {
		return err
	}
	fmt.Printf("\nAt %s Signalbox would plan, from FreeSWITCH's variables alone:\n\n", relative(h.Action.Pos.String()))
	return treat.WriteText(os.Stdout, plan)
}

// planOf makes the plan as the sidecar does: from the store, by the same function.
func planOf(ctx context.Context, cfg *config.Config, s store.Store, arrival call.Arrival) (call.Plan, error) {
	return app.PlanOf(ctx, cfg, s, s, app.RoomsOf(s), arrival)
}

// channelEvent is the call as FreeSWITCH would describe it to the controller.
func channelEvent(c *dialplan.Call) *wire.Event {
	fields := []wire.Field{
		{Name: "Unique-ID", Value: c.Fields["uuid"]},
		{Name: "Channel-Context", Value: c.Context},
		{Name: "Channel-Destination-Number", Value: c.Destination},
		{Name: "Channel-Caller-ID-Name", Value: c.CallerIDName},
		{Name: "Channel-Caller-ID-Number", Value: c.CallerIDNumber},
		{Name: "Channel-Privacy-Hide-Number", Value: c.Fields["privacy_hide_number"]},
	}
	for name, value := range c.Vars.(*dialplan.Vars).All() {
		fields = append(fields, wire.Field{Name: "variable_" + name, Value: value})
	}
	return wire.NewEvent(fields, nil)
}
