#!/usr/bin/env bash
# Builds dist/signalbox_VERSION_ARCH.deb out of the checkout, for GOARCH or this machine. One commit gives the same bytes each
# time: the version is the commit's, every date in the package is the commit's, the program knows no path of the machine.
set -euo pipefail
cd "$(dirname "$0")/.."

# 1.4.0 for the commit tagged v1.4.0, 1.4.0+3.g1234567 three commits later, 0.0.0+20261127.g1234567 without any tag.
version() {
  local tag
  if tag=$(git describe --tags --match 'v[0-9]*' 2>/dev/null); then
    tag=${tag#v}
    sed -E 's/-([0-9]+)-g([0-9a-f]+)$/+\1.g\2/; s/-/~/' <<<"$tag"
  else
    git log -1 --date=format:%Y%m%d --format=0.0.0+%cd.g%h
  fi
}

arch=${GOARCH:-$(go env GOARCH)}
VERSION=$(version)
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
[ -z "$(git status --porcelain --untracked-files=no)" ] || VERSION+=.dirty
STAGE=dist/stage-$arch
export VERSION SOURCE_DATE_EPOCH ARCH=$arch STAGE

rm -rf "$STAGE"
mkdir -p "$STAGE"
CGO_ENABLED=0 GOOS=linux GOARCH=$arch go build -trimpath -ldflags='-s -w -buildid=' -o "$STAGE/signalbox" ./cmd/signalbox
gzip -9n <packaging/signalbox.1 >"$STAGE/signalbox.1.gz"
{
  printf 'signalbox (%s) unstable; urgency=medium\n\n  * What changed stands in CHANGELOG.md beside this file.\n\n' "$VERSION"
  printf ' -- Signalbox maintainers <maintainers@signalbox.example>  %s\n' "$(LC_ALL=C date -u -R -d "@$SOURCE_DATE_EPOCH")"
} | gzip -9n >"$STAGE/changelog.gz"

go -C packaging tool nfpm package --config "$PWD/packaging/nfpm.yaml" --packager deb --target "$PWD/dist/"
