#!/usr/bin/env bash
# Installs, upgrades, removes and purges the newest package of dist in a fresh Debian, and says what is left. Needs root and
# mmdebstrap; takes a minute, so CI does not run it.
set -euo pipefail
cd "$(dirname "$0")/.."
package=$(find dist -name "signalbox_*_$(dpkg --print-architecture).deb" -printf '%T@ %p\n' | sort -n | tail -1 | cut -d' ' -f2)
root=$(mktemp -d)/root
trap 'rm -rf "$(dirname "$root")"' EXIT

mmdebstrap --quiet --variant=minbase --include=systemd,systemd-sysv bookworm "$root"
cp "$package" "$root/signalbox.deb"
inside() { chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive "$@"; }
fail() { echo "FAILED: $*" >&2; exit 1; }
listing() { (cd "$root" && find etc usr var lib -xdev ! -path 'var/lib/dpkg/*' ! -path 'var/log/*' ! -path 'var/cache/*' ! -path 'var/lib/apt/*' -printf '%p %y\n' | sort); }
before=$(listing)
before_users=$(cat "$root"/etc/passwd "$root"/etc/group "$root"/etc/shadow | sort)

echo "== install $package"
inside apt-get install -y -qq --no-install-recommends /signalbox.deb
inside getent passwd signalbox || fail "no user"
inside stat -c '%a %U:%G' /etc/signalbox/token.key | grep -q '^640 root:signalbox$' || fail "rights of the key"
[ "$(wc -c <"$root/etc/signalbox/token.key")" = 64 ] || fail "the key is not 32 bytes"
! inside systemctl is-enabled signalbox-proxy signalbox-sidecar || fail "enabled without being asked"

echo "== the five steps of README.Debian, as far as nothing runs"
inside sh -c 'install -m 0640 -g signalbox /dev/null /etc/signalbox/event-socket.password && echo a-password-of-this-switch >/etc/signalbox/event-socket.password'
inside runuser -u signalbox -- signalbox check-config --config /etc/signalbox/signalbox.yaml | tail -1
inside runuser -u signalbox -- signalbox provision apply /usr/share/doc/signalbox/examples/provision.yaml --config /etc/signalbox/signalbox.yaml
inside runuser -u signalbox -- signalbox explain --config /etc/signalbox/signalbox.yaml --from +12125550123 --to +14155550100 | head -3
inside systemctl enable signalbox-proxy signalbox-sidecar

echo "== upgrade: the operator's edits stay"
echo '# mine' >>"$root/etc/signalbox/signalbox.yaml"
key=$(cat "$root/etc/signalbox/token.key")
inside dpkg -i --force-confdef --force-confold /signalbox.deb
tail -1 "$root/etc/signalbox/signalbox.yaml" | grep -q mine || fail "the configuration was replaced"
[ "$key" = "$(cat "$root/etc/signalbox/token.key")" ] || fail "the key was replaced"

echo "== remove: configuration and store stay"
inside apt-get remove -y -qq signalbox
[ -e "$root/etc/signalbox/signalbox.yaml" ] || fail "remove took the configuration"
[ -e "$root/var/lib/signalbox/signalbox.db" ] || fail "remove took the store"

echo "== purge: nothing stays"
inside apt-get purge -y -qq signalbox
left=$(diff <(echo "$before") <(listing) | grep '^>' | grep -v '/\(passwd\|group\|shadow\|gshadow\)-' || true)
[ -z "$left" ] || fail "a purge left: $left"
[ "$before_users" = "$(cat "$root"/etc/passwd "$root"/etc/group "$root"/etc/shadow | sort)" ] || fail "a purge left the user"
echo "== good"
