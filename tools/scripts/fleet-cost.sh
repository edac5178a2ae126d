#!/usr/bin/env bash
# What a fleet costs one Prometheus: N simulated nodes behind one `heatsink demo --nodes N`, found by
# HTTP service discovery and scraped by a real Prometheus with the shipped rules.
#
#   tools/scripts/fleet-cost.sh NODES [MINUTES] [INTERVAL]      (default: 10 minutes, 15s)
#
# Prints one line of Markdown table, for docs/scaling.md. Needs `prometheus`, `curl`, `jq` and `bc` on
# the PATH, and target/dist/heatsink (or HEATSINK=FILE). RULES=none leaves the rules out; EVALUATE=60s
# evaluates them less often than nodes are scraped. SPEED=15 lets simulated time run: with an interval of
# 1s, samples differ as they would after 15 seconds. REMOTE=1 sends everything on to a second Prometheus,
# as to Thanos or Mimir, and says what that weighs.
set -euo pipefail

for tool in prometheus curl jq bc; do
  command -v "$tool" > /dev/null || { echo "missing: $tool" >&2; exit 1; }
done
nodes=${1:?how many nodes}
minutes=${2:-10}
interval=${3:-15s}
root=$(cd "$(dirname "$0")/../.." && pwd)
heatsink=${HEATSINK:-$root/target/dist/heatsink}
rules=${RULES:-$root/monitoring/rules/heatsink.rules.yml}
folder=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null; wait; rm -rf "$folder"' EXIT

"$heatsink" demo --nodes "$nodes" --speed "${SPEED:-1}" --address 127.0.0.1:19400 > "$folder/demo.log" 2>&1 &
demo=$!
if [ -n "${REMOTE:-}" ]; then
  echo "global: {}" > "$folder/receiver.yml"
  prometheus --config.file="$folder/receiver.yml" --storage.tsdb.path="$folder/received" \
    --web.listen-address=127.0.0.1:19091 --web.enable-remote-write-receiver 2> "$folder/receiver.log" &
fi
{
  echo "global: {scrape_interval: $interval, evaluation_interval: ${EVALUATE:-$interval}}"
  [ "$rules" = none ] || echo "rule_files: ['$rules']"
  [ -z "${REMOTE:-}" ] || echo "remote_write: [{url: 'http://127.0.0.1:19091/api/v1/write'}]"
  echo "scrape_configs:"
  echo "  - job_name: heatsink"
  echo "    honor_labels: true"
  echo "    http_sd_configs: [{url: 'http://127.0.0.1:19400/targets'}]"
  echo "  - job_name: prometheus"
  echo "    static_configs: [{targets: ['127.0.0.1:19090']}]"
} > "$folder/prometheus.yml"
prometheus --config.file="$folder/prometheus.yml" --storage.tsdb.path="$folder/data" \
  --web.listen-address=127.0.0.1:19090 --web.enable-admin-api 2> "$folder/prometheus.log" &
prometheus=$!

# One number from Prometheus.
ask() {
  curl -sf http://127.0.0.1:19090/api/v1/query --data-urlencode "query=$1" |
    jq -r '.data.result[0].value[1] // "none"'
}
# Seconds of processor time that a process has used.
cpu() {
  awk -v tick="$(getconf CLK_TCK)" '{print ($14 + $15) / tick}' "/proc/$1/stat"
}

# The first scrapes make the series; what follows is the everyday cost.
sleep 90
cpu_before=$(cpu $prometheus) demo_before=$(cpu $demo) began=$(date +%s.%N)
sleep $((minutes * 60))
took=$(echo "$(date +%s.%N) - $began" | bc)
prometheus_cores=$(echo "scale=3; ($(cpu $prometheus) - $cpu_before) / $took" | bc)
demo_cores=$(echo "scale=3; ($(cpu $demo) - $demo_before) / $took" | bc)

up=$(ask 'count(up{job="heatsink"} == 1)')
if [ "$up" != "$nodes" ]; then
  echo "only $up of $nodes nodes are up; logs are in $folder" >&2
  trap 'kill $(jobs -p) 2>/dev/null' EXIT
  exit 1
fi
series=$(ask 'prometheus_tsdb_head_series')
scraped=$(ask 'sum(scrape_samples_post_metric_relabeling{job="heatsink"})')
recorded=$(ask 'count({__name__=~".+:.+"})')
appended=$(ask "sum(rate(prometheus_tsdb_head_samples_appended_total[${minutes}m]))")
resident=$(ask 'process_resident_memory_bytes{job="prometheus"}')
slowest=$(ask 'max(scrape_duration_seconds{job="heatsink"})')
evaluation=$(ask 'sum(prometheus_rule_group_last_duration_seconds)')
[ "$evaluation" != none ] || evaluation=0
fleet=$(curl -sf -o /dev/null -w '%{time_total}' http://127.0.0.1:19090/api/v1/query \
  --data-urlencode 'query=sum(instance:heatsink_gpus_up:sum)')

# Everything so far, written as Prometheus keeps it for ever.
samples=$(ask 'sum(prometheus_tsdb_head_samples_appended_total)')
snapshot=$(curl -sf -XPOST http://127.0.0.1:19090/api/v1/admin/tsdb/snapshot | jq -r .data.name)
kept=$(du -sb "$folder/data/snapshots/$snapshot" | cut -f1)

printf '| nodes | series scraped | series recorded | in memory | samples/s | resident MiB | cores | rules, s | slowest scrape, s | bytes/sample kept | demo, cores |\n'
printf '| %d | %d | %s | %d | %.0f | %.0f | %.2f | %.2f | %.3f | %.2f | %.2f |\n' \
  "$nodes" "$scraped" "$recorded" "$series" "$appended" "$(echo "$resident / 1048576" | bc)" \
  "$prometheus_cores" "$evaluation" "$slowest" "$(echo "scale=3; $kept / $samples" | bc)" "$demo_cores"
if [ -n "${REMOTE:-}" ]; then
  sent=$(ask "sum(rate(prometheus_remote_storage_bytes_total[${minutes}m]))")
  count=$(ask "sum(rate(prometheus_remote_storage_samples_total[${minutes}m]))")
  echo "remote write: $(echo "scale=2; $sent / $count" | bc) bytes/sample, $count samples/s" >&2
fi
echo "rules, by group:" >&2
curl -sf http://127.0.0.1:19090/api/v1/query \
  --data-urlencode 'query=sort_desc(prometheus_rule_group_last_duration_seconds)' |
  jq -r '.data.result[] | "  \(.metric.rule_group | split(";")[1]): \(.value[1]) s"' >&2
echo "rules that take longest:" >&2
curl -sf http://127.0.0.1:19090/api/v1/rules |
  jq -r '[.data.groups[].rules[]] | sort_by(-.evaluationTime) | .[:6][] | "  \(.name): \(.evaluationTime) s"' >&2
echo "one query for all nodes by a recording rule: $fleet s" >&2
