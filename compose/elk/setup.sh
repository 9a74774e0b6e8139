#!/bin/bash
# Puts policy, template, saved objects and the rule in place. May run again.
set -eu
cd "$(dirname "$0")"
E=http://elasticsearch:9200 K=http://kibana:5601
wait_for() { until curl -fsS -o /dev/null "$1"; do sleep 2; done; }
put() { curl -fsS -X PUT "$1" -H 'Content-Type: application/json' --data-binary "@$2" && echo; }

wait_for "$E/_cluster/health?wait_for_status=yellow&timeout=5s"
put "$E/_ilm/policy/rtmp-hmonitor-logs" elasticsearch/lifecycle-policy.json
put "$E/_index_template/rtmp-hmonitor-logs" elasticsearch/index-template.json

wait_for "$K/api/status"
curl -fsS -X POST "$K/api/saved_objects/_import?overwrite=true" -H 'kbn-xsrf: true' -F file=@kibana/saved-objects.ndjson && echo
# There already: nothing to do.
code=$(curl -sS -o /dev/null -w '%{http_code}' "$K/api/alerting/rule/rtmp-hmonitor-errors")
[ "$code" = 200 ] || curl -fsS -X POST "$K/api/alerting/rule/rtmp-hmonitor-errors" -H 'kbn-xsrf: true' -H 'Content-Type: application/json' \
    --data-binary @kibana/alert-errors.json
