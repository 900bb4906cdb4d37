package sipp

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestSIPpsStatisticsAreRead(t *testing.T) {
	const head = "StartTime;TargetRate;TotalCallCreated;CurrentCall;SuccessfulCall(P);SuccessfulCall(C);FailedCall(C);Retransmissions(C);\n"
	for in, want := range map[string]Tally{
		head:                          {},
		head + "x;50;10;4;1;5;1;2;\n": {10, 4, 5, 1, 2},
		head + "x;50;10;4;1;5;1;2;\ny;50;20;1;1;18;1;3;\n": {20, 1, 18, 1, 3},
		head + "x;50;10;4;1;5;1;2;\ny;50;20;1;1;18":        {10, 4, 5, 1, 2}, // half written
	} {
		if got, err := parseTally(in); err != nil || got != want {
			t.Errorf("%q: %+v, %v, want %+v", in, got, err, want)
		}
	}
	if _, err := parseTally("StartTime;\nx;\n"); err == nil {
		t.Error("statistics without the counts were taken")
	}
}

func TestSIPpsResponseTimesAreRead(t *testing.T) {
	got, err := parseTimes(strings.NewReader("Date_ms;response_time_ms;rtd_no\n104.001;12;setup\n204.001;7.5;setup\n"))
	if want := []time.Duration{12 * time.Millisecond, 7500 * time.Microsecond}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
}

func TestSIPpsFaultsAreToldWithoutItsOwnTroubles(t *testing.T) {
	const stamp = "2026-11-27\t10:02:01.093892\t1795773721.093892: "
	got := callFaults("The following events occurred:\n" + stamp + "Overload warning: the minor watchdog timer 500ms has been tripped (592)" +
		stamp + "Dead call 1 (successful), received 'SIP/2.0 200 OK\r\nVia: x\r\n'" +
		stamp + "Aborting call on unexpected message for Call-Id '2': while expecting '180', received 'SIP/2.0 408 Request Timeout\r\nVia: y\r\n'")
	if want := "Aborting call on unexpected message for Call-Id '2': while expecting '180', received 'SIP/2.0 408 Request Timeout\n    Via: y\n    '"; got != want {
		t.Errorf("got %q", got)
	}
}
