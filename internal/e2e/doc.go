// Package e2e plays whole calls on a whole Signalbox: proxy, sidecar and store as processes of their own, around a switch
// that is the simulator (tests whose names begin with TestSim) or a real FreeSWITCH (TestReal, when SIGNALBOX_FREESWITCH
// names its binary; without it they skip and say so).
//
// Every scenario is written once, as a story of package lab, and runs on both switches. Where the two differ the simulator is
// wrong. A chapter is what runs on one rig: acts one after the other, the stories of an act at the same time, each on its
// own number. A stroke is a fault that several calls, each in another state, meet at the same moment.
//
// Invariants, asserted at the end of each chapter whatever its stories were: the simulator was asked nothing that it does not
// know, the switch has no channel left, every call record is closed, and no log that proxy or sidecar wrote at level info holds
// a telephone number in clear.
//
// Concurrency: chapters run in parallel, each with its own rig; a story runs in one goroutine of lab.Run and owns its stage.
package e2e
