# SIPp as callers, phones and voicemail systems of docker-compose.yml, and dnsmasq as their DNS.
FROM debian:12.11-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends sip-tester dnsmasq-base \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /tmp
USER nobody
ENTRYPOINT ["sipp"]
