package calltest_test

import (
	"testing"

	"github.com/signalbox/signalbox/internal/account"
	"github.com/signalbox/signalbox/internal/call"
	"github.com/signalbox/signalbox/internal/call/calltest"
)

func TestLegKeepsTheContract(t *testing.T) {
	phone := account.Device{Kind: account.DeviceURI, Profile: "external", User: "phone", Host: "192.0.2.7"}
	calltest.Contract(t, func(_ *testing.T, s calltest.Scene) (call.Leg, call.RingOrder) {
		leg := &calltest.Leg{Answers: map[string]call.Result{phone.String(): s.Phone}}
		if s.CallerGone {
			leg.GoneAt = 1
		}
		if s.SwitchGone {
			leg.LostAt = 1
		}
		return leg, call.RingOrder{Devices: []account.Device{phone}}
	})
}
