#!/usr/bin/env bash
# Everything CI asks for, in stages, with the time of each. One stage by name: lint, test, packages, race, e2e, lab.
# What a stage needs and this machine lacks is installed with apt where that is allowed, or the stage says loudly that it
# was skipped.
set -euo pipefail
cd "$(dirname "$0")/.."
export CGO_ENABLED=${CGO_ENABLED:-1}
only=${1:-all}
skipped=()
flaky=()
times=()

# Packages with goroutines of their own: their tests run under the race detector, and where there is one only so. The end-to-end
# suite runs the built binary and is not among them.
concurrent=(./esl/... ./sipproxy/... ./internal/fssim ./internal/fsw/... ./internal/sidecar/... ./internal/treat/...
  ./internal/store ./internal/token/... ./internal/resolve/... ./internal/edge/... ./internal/app/... ./internal/export/... ./internal/telemetry/...
  ./internal/rooms/... ./internal/directory/... ./internal/message/... ./internal/delivery/... ./internal/mwi/...)

stage() { # NAME WHAT COMMAND...
  local name=$1 what=$2 from=$SECONDS
  shift 2
  [ "$only" = all ] || [ "$only" = "$name" ] || return 0
  printf '\n== %s: %s\n' "$name" "$what"
  "$@"
  times+=("$(printf '%4d s  %s: %s' $((SECONDS - from)) "$name" "$what")")
}

# beside begins a stage that works while those behind it wait; joined ends it and shows what it said. Its processes give way to others.
beside() { # NAME WHAT COMMAND...
  [ "$only" = all ] || { stage "$@"; return; }
  beside_name=$1 beside_what=$2 beside_out=$(mktemp) beside_from=$SECONDS
  shift 2
  (
    renice -n 19 -p "$BASHPID" >/dev/null 2>&1 || true
    "$@"
  ) >"$beside_out" 2>&1 &
  beside_pid=$!
}
trap wait EXIT
joined() {
  [ -n "${beside_pid:-}" ] || return 0
  local failed=0
  wait "$beside_pid" || failed=1
  beside_pid=
  printf '\n== %s: %s\n' "$beside_name" "$beside_what"
  cat "$beside_out"
  rm -f "$beside_out"
  times+=("$(printf '%4d s  %s: %s, beside the stage before' $((SECONDS - beside_from)) "$beside_name" "$beside_what")")
  return "$failed"
}

# tests runs go test. Calls have limits of seconds, which a machine that is busy with something else may break: up to three tests that
# failed run once more by themselves, and the end of the output names them. A data race, a panic, a hang or a second failure is final.
tests() {
  local out failed packages
  out=$(mktemp)
  if go test "$@" 2>&1 | tee "$out"; then rm -f "$out"; return 0; fi
  failed=$(sed -nE 's/^--- FAIL: ([A-Za-z0-9_]+) .*/\1/p' "$out" | sort -u)
  packages=$(sed -nE 's/^FAIL[[:space:]]+([^[:space:]]+)[[:space:]].*/\1/p' "$out" | sort -u)
  if grep -qE 'DATA RACE|^panic:|^fatal error:|\[(build|setup) failed\]|test timed out' "$out" || [ -z "$failed" ] || [ "$(wc -l <<<"$failed")" -gt 3 ]; then
    rm -f "$out"
    return 1
  fi
  rm -f "$out"
  printf '\n**** once more, by themselves: %s\n\n' "${failed//$'\n'/ }"
  local options=(-count=1)
  [[ " $* " != *" -race "* ]] || options+=(-race)
  # shellcheck disable=SC2086
  go test "${options[@]}" -run "^(${failed//$'\n'/|})\$" $packages || return 1
  flaky+=("${failed//$'\n'/ }")
}

skip() { printf '\n**** SKIPPED: %s\n\n' "$*"; skipped+=("$*"); }

install() { # BINARY PACKAGE
  command -v "$1" >/dev/null 2>&1 && return 0
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 || return 1
  echo "installing $2"
  [ -n "${apt_updated:-}" ] || apt-get update -qq >/dev/null 2>&1 || true
  apt_updated=1
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$2" >/dev/null 2>&1
}

install_kamailio() { # its package also starts a service, which nobody asked for
  command -v kamailio >/dev/null 2>&1 && return 0
  install kamailio kamailio || return 1
  [ ! -d /run/systemd/system ] || systemctl disable --now kamailio >/dev/null 2>&1 || true
}

install_postgresql() { # its package also starts a server, which nobody asked for: tests start their own
  ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 && return 0
  command -v initdb >/dev/null 2>&1 && return 0
  install pg_lsclusters postgresql && ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || return 1
  [ ! -d /run/systemd/system ] || systemctl disable --now postgresql >/dev/null 2>&1 || true
}

needs() {
  install sipp sip-tester || skip "SIPp (package sip-tester) is not here and cannot be installed: the scenarios with SIPp as callers do not run"
  install svmap sipvicious || skip "sipvicious is not here and cannot be installed: what scanners learn is not looked at"
  install baresip baresip-core || skip "baresip is not here and cannot be installed: no phone of others registers through the proxy"
  install_kamailio || skip "Kamailio is not here and cannot be installed: calls through Kamailio and Signalbox are not played"
  [ -n "${SIGNALBOX_POSTGRES:-}" ] || install_postgresql || skip "PostgreSQL is not here and cannot be installed: nothing is kept in it"
  install gcc gcc && install_libc || { export CGO_ENABLED=0; skip "no C compiler: nothing runs under the race detector"; }
}
install_libc() { [ -e /usr/include/stdlib.h ] || { [ "$(id -u)" = 0 ] && apt-get install -y -qq libc6-dev >/dev/null 2>&1; }; }

formatted() {
  local bad
  bad=$(git ls-files -co --exclude-standard '*.go' | xargs -r gofmt -l)
  [ -z "$bad" ] || { echo "not gofmt-ed:"; echo "$bad"; return 1; }
}

staticcheck() {
  go tool staticcheck ./...
  [ "$only" != all ] || packaging/deb.sh >/dev/null # what the stage packages compiles is compiled by now
}

vulnerabilities() {
  local out
  if out=$(go tool govulncheck ./... 2>&1); then
    echo "$out" | tail -2
  elif echo "$out" | grep -qE 'fetching vulnerabilities|dial tcp|no such host|connection refused|Forbidden|proxyconnect'; then
    skip "govulncheck could not reach the vulnerability database"
  else
    echo "$out"
    return 1
  fi
}

unit() {
  local packages
  packages=$(go list ./... | grep -vE '/internal/(e2e|lab)$')
  if [ "$only" = all ] && [ "$CGO_ENABLED" = 1 ]; then
    packages=$(grep -vxFf <(go list "${concurrent[@]}") <<<"$packages")
  fi
  # shellcheck disable=SC2086
  SIGNALBOX_FREESWITCH= tests -p 4 $packages
}

race() {
  [ "$CGO_ENABLED" = 1 ] || { skip "race detector"; return 0; }
  SIGNALBOX_FREESWITCH= tests -race -p 4 "${concurrent[@]}" # they wait more than they work
}

# The suite builds and runs the program, which the test cache knows nothing of.
e2e_simulator() { SIGNALBOX_FREESWITCH= tests -count=1 ./internal/lab ./internal/e2e; }

lab() { # the ladders of a lab that failed are worth reading, those of a good one are long. The suite has played all stories already.
  local out stories=()
  out=$(mktemp)
  [ "$only" = lab ] || stories=(--story no-answer-to-voicemail,sidecar-killed-while-two-talk,conference-known-caller)
  if ./bin/signalbox lab "${stories[@]}" >"$out" 2>&1; then
    grep -E '^ [✓✗]|stories as told' "$out"
    rm -f "$out"
  else
    cat "$out"
    rm -f "$out"
    return 1
  fi
}

packages() { # units, package and images, in a module of their own
  command -v dpkg-deb >/dev/null 2>&1 || { skip "dpkg-deb is not here: no Debian package is built and looked at"; return 0; }
  command -v systemd-analyze >/dev/null 2>&1 || skip "systemd-analyze is not here: the units are not looked at by systemd"
  go build -o bin/signalbox ./cmd/signalbox
  packaging/deb.sh >/dev/null
  go -C packaging vet .
  SIGNALBOX_FREESWITCH= go -C packaging test -count=1 .
}

e2e_real() {
  if [ -z "${SIGNALBOX_FREESWITCH:-}" ]; then
    skip "no FreeSWITCH found (SIGNALBOX_FREESWITCH is empty): the end-to-end suite ran against the simulator only"
    return 0
  fi
  echo "FreeSWITCH: $SIGNALBOX_FREESWITCH"
  go test -count=1 -run 'Vanilla(Equals|TreeLoads)' ./dialplan/ # reads its configuration, starts nothing
  tests -count=1 -timeout 8m -run 'TestReal' ./internal/e2e/
  go test -count=1 -run 'RealSwitch|Vanilla' ./dialplan/lint/
  install dnsmasq dnsmasq-base || skip "dnsmasq is not here: docker-compose.yml is not played"
  go -C packaging test -count=1 -run Played .
}

needs
stage build "go build" go build -o bin/signalbox ./cmd/signalbox
stage lint "gofmt" formatted
stage lint "go vet" go vet ./...
stage test "unit tests" unit
beside lint "staticcheck" staticcheck
stage test "the end-to-end suite against the simulator" e2e_simulator
joined
stage lint "govulncheck" vulnerabilities
stage packages "units, Debian package, images and docker-compose.yml" packages
stage race "concurrent packages under the race detector" race
stage lab "signalbox lab on the simulator" lab
stage e2e "the end-to-end suite against a real FreeSWITCH" e2e_real

printf '\n'
printf '%s\n' "${times[@]}"
printf 'in all %d s\n' "$SECONDS"
for s in "${skipped[@]:-}"; do [ -z "$s" ] || printf '**** SKIPPED: %s\n' "$s"; done
for f in "${flaky[@]:-}"; do [ -z "$f" ] || printf '**** FLAKY: failed beside the others, passed by themselves: %s\n' "$f"; done
