#!/bin/sh
# keepalived's notify script: TYPE NAME STATE PRIORITY. Without the address this HAProxy's sessions lead nowhere.
[ "$3" = MASTER ] && exit 0
for server in slave-1 slave-2; do
  echo "shutdown sessions server ingest/$server" | /usr/bin/socat -t1 - UNIX-CONNECT:/run/haproxy/admin.sock
done
