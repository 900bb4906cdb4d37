#!/usr/bin/env bash
# Runs every fuzz target of the project, one after the other, for the time given (10s, 10m, ...).
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:-10m}
grep -rlE '^func Fuzz[A-Za-z0-9_]+\(' --include='*_test.go' . | sort | while read -r file; do
  grep -oE '^func Fuzz[A-Za-z0-9_]+' "$file" | awk '{print $2}' | while read -r target; do
    echo "== $(dirname "$file") $target for $time"
    go test -run '^$' -fuzz "^${target}\$" -fuzztime "$time" "$(dirname "$file")" </dev/null
  done
done
