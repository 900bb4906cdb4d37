package doctor

import (
	"testing"

	"github.com/signalbox/signalbox/dialplan"
)

// What a switch has loaded is hunted as it stands there: the text of an element counts from its first character on.
func TestTheLoadedDialplanIsHuntedAsItIs(t *testing.T) {
	context := &node{name: "context", attrs: map[string]string{"name": "public"}, children: []*node{{name: "extension", attrs: map[string]string{"name": "theirs"},
		children: []*node{{name: "condition", attrs: map[string]string{"field": "destination_number"}, children: []*node{
			{name: "expression", text: `^\+1415<?(\d+)$`},
			{name: "action", attrs: map[string]string{"application": "bridge"}, text: "user/$1"},
		}}}}}}
	tree, err := loadTree(context)
	if err != nil {
		t.Fatal(err)
	}
	result, err := tree.Hunt(t.Context(), &dialplan.Call{Context: "public", Destination: "+14155550100"})
	if err != nil {
		t.Fatal(err)
	}
	if len(result.Actions) != 1 || result.Actions[0].Data != "user/5550100" {
		t.Errorf("the hunt found %+v", result.Actions)
	}
}
