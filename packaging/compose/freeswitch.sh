#!/bin/sh
# Sourced by the FreeSWITCH image before it starts FreeSWITCH, when vanilla's configuration is in place: adds Signalbox's include
# files and fits vanilla to a container. It may run again on a conf folder that it has changed.
conf=${FREESWITCH_CONF:-/etc/freeswitch}
files=${SIGNALBOX_CONF:-/signalbox/freeswitch-conf}
address=${FREESWITCH_ADDRESS:-10.57.0.20}

cp "$files/dialplan/public/05_signalbox.xml" "$files/dialplan/public/zz_signalbox.xml" "$conf/dialplan/public/"
cp "$files/dialplan/signalbox.xml" "$conf/dialplan/"
mkdir -p "$conf/sounds"
cp -r "$files/sounds/signalbox" "$conf/sounds/"

# The Event Socket for this network namespace alone, that is, for the sidecar.
cat >"$conf/autoload_configs/event_socket.conf.xml" <<XML
<configuration name="event_socket.conf" description="Socket Client">
  <settings>
    <param name="nat-map" value="false"/>
    <param name="listen-ip" value="127.0.0.1"/>
    <param name="listen-port" value="8021"/>
    <param name="password" value="${EVENT_SOCKET_PASSWORD:-lab-only}"/>
    <param name="apply-inbound-acl" value="loopback.auto"/>
  </settings>
</configuration>
XML

# Twenty ports for media, the address that others see, and no question to a STUN server on the Internet.
sed -i \
	-e 's|<!-- *\(<param name="rtp-start-port" value="\)[0-9]*\("/>\) *-->|\116384\2|' \
	-e 's|<!-- *\(<param name="rtp-end-port" value="\)[0-9]*\("/>\) *-->|\116403\2|' \
	"$conf/autoload_configs/switch.conf.xml"
sed -i \
	-e "s|cmd=\"\(stun-\)*set\" data=\"\(external_[a-z]*_ip\)=[^\"]*\"|cmd=\"set\" data=\"\2=${EXTERNAL_IP:-$address}\"|" \
	-e "/data=\"local_ip_v4=/d" \
	-e "s|^<include>|&\n  <X-PRE-PROCESS cmd=\"set\" data=\"local_ip_v4=$address\"/>|" \
	"$conf/vars.xml"
# Modules that look for somebody on the Internet, or for hardware.
sed -i -e 's|^\( *\)<load module="mod_\(signalwire\|verto\|av\)"/>|\1<!-- & -->|' "$conf/autoload_configs/modules.conf.xml"
rm -f "$conf"/sip_profiles/*-ipv6.xml
