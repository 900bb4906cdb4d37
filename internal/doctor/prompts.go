package doctor

import (
	"context"

	freeswitchconf "github.com/signalbox/signalbox/freeswitch-conf"
)

// prompts looks whether FreeSWITCH can read the prompts of conferences, and whether it has a voice for names.
func (d *doctor) prompts(ctx context.Context) {
	if d.live.conf == "" {
		return // the switch does not say where it looks
	}
	there, all := 0, 0
	for _, p := range freeswitchconf.Prompts() {
		for _, language := range freeswitchconf.Languages() {
			answer, err := d.ask(ctx, "file_exists "+d.live.conf+"/"+p.File(language))
			if err != nil {
				d.skip("prompts", "file_exists", err)
				return
			}
			if all++; answer == "true" {
				there++
			}
		}
	}
	names := "names are spoken (mod_flite)"
	if answer, err := d.ask(ctx, "module_exists mod_flite"); err != nil || answer != "true" {
		names = "mod_flite is not loaded: who joins a conference is \"a guest\" unless the contact has a recording"
	}
	if there < all {
		d.say("prompts", Warn, "%d of %d prompts of conferences are not there: callers are not offered what they cannot hear of", all-there, all).
			add(d.live.conf+"/"+freeswitchconf.Sounds, d.renderIt()+" --with sounds")
		return
	}
	d.say("prompts", OK, "all %d prompts of conferences are there; %s", all, names)
}
