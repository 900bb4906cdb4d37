#!/usr/bin/env bash
# Boots a Debian in a container with systemd, installs the newest package of dist and has systemd run the hardened units: start,
# health, reload of a good and of a bad file, a killed and a frozen proxy, secrets by LoadCredential, stop, purge. Needs root,
# mmdebstrap and systemd-nspawn, takes some minutes, and leaves nothing; CI does not run it.
set -euo pipefail
cd "$(dirname "$0")/.."
package=$(find dist -name "signalbox_*_$(dpkg --print-architecture).deb" -printf '%T@ %p\n' | sort -n | tail -1 | cut -d' ' -f2)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
root=$folder/root
mmdebstrap --quiet --variant=minbase --include=systemd,systemd-sysv,dbus bookworm "$root"
cp "$package" "$root/signalbox.deb"

cat >"$root/probe.sh" <<'PROBE'
#!/bin/bash
exec >/probe.log 2>&1
trap 'systemctl poweroff' EXIT
set -ex
config=/etc/signalbox/signalbox.yaml
as() { runuser -u signalbox -- "$@"; }
value() { systemctl show -p "$1" --value "$2"; }
until_restarted() { # UNIT TIMES
  for _ in {1..60}; do [ "$(value NRestarts "$1")" = "$2" ] && [ "$(value ActiveState "$1")" = active ] && return; sleep 1; done
  return 1
}

dpkg -i /signalbox.deb
install -m 0640 -g signalbox /dev/null /etc/signalbox/event-socket.password
echo a-password-of-this-switch >/etc/signalbox/event-socket.password
as signalbox provision apply /usr/share/doc/signalbox/examples/provision.yaml --config $config
systemctl enable --now signalbox-sidecar signalbox-proxy
as signalbox health --config $config --role proxy
as signalbox health --config $config --role sidecar 2>&1 | grep 'ok *store' # without a FreeSWITCH it is not ready, but there

systemctl reload signalbox-sidecar signalbox-proxy
sed -i 's/region: US/region: nowhere/' $config
! systemctl reload signalbox-sidecar
journalctl --no-pager -u signalbox-sidecar -o cat | grep 'region is "nowhere"'
sed -i 's/region: nowhere/region: US/' $config
[ "$(value ActiveState signalbox-sidecar)" = active ]

kill -9 "$(value MainPID signalbox-proxy)"
until_restarted signalbox-proxy 1
kill -STOP "$(value MainPID signalbox-proxy)" # the watchdog has to notice
until_restarted signalbox-proxy 2

mkdir -p /etc/systemd/system/signalbox-sidecar.service.d
cp /usr/share/doc/signalbox/examples/credentials.conf /etc/systemd/system/signalbox-sidecar.service.d/
chown root:root /etc/signalbox/token.key /etc/signalbox/event-socket.password
chmod 600 /etc/signalbox/token.key /etc/signalbox/event-socket.password
systemctl daemon-reload
systemctl restart signalbox-sidecar
! as cat /etc/signalbox/token.key
systemctl reload signalbox-sidecar

systemctl stop signalbox-sidecar signalbox-proxy
! journalctl --no-pager -u signalbox-sidecar -o cat | grep -i 'operation not permitted'
[ "$(value Result signalbox-sidecar)" = success ]
rm -r /etc/systemd/system/signalbox-sidecar.service.d
dpkg --purge signalbox
[ ! -e /etc/signalbox ] && [ ! -e /var/lib/signalbox ]
echo all is well
PROBE
chmod +x "$root/probe.sh"
printf '[Unit]\nAfter=multi-user.target\n[Service]\nExecStart=/probe.sh\n' >"$root/etc/systemd/system/probe.service"
ln -s ../probe.service "$root/etc/systemd/system/multi-user.target.wants/probe.service"
timeout 300 systemd-nspawn -D "$root" --private-network --register=no --keep-unit -q --boot </dev/null >"$folder/boot.log" 2>&1 || true
cat "$root/probe.log"
[ "$(tail -1 "$root/probe.log")" = '+ systemctl poweroff' ] && grep -q '^all is well$' "$root/probe.log"
