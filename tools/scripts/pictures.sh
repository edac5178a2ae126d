#!/usr/bin/env bash
# Draws the pictures of the dashboards in docs/pictures: four simulated nodes, a real Prometheus that
# scrapes them with the shipped rules, and `cargo xtask pictures`, which asks it.
#
#   tools/scripts/pictures.sh
#
# Takes a quarter of an hour: by then gpu-node-2 has had its faults, and two of its GPUs are still in
# trouble. Needs `prometheus` on the PATH. PORT=N has Prometheus listen there (default 19100), and the
# nodes at the four ports after it.
set -euo pipefail

port=${PORT:-19100}
seconds=800
root=$(cd "$(dirname "$0")/../.." && pwd)
cd "$root"
cargo build --quiet --package heatsink --package xtask
folder=$(mktemp -d)
trap 'kill $(jobs -p) 2> /dev/null; wait; rm -rf "$folder"' EXIT

cat > "$folder/prometheus.yml" << END
global: {scrape_interval: 5s, evaluation_interval: 5s}
rule_files: ['$root/monitoring/rules/heatsink.rules.yml']
scrape_configs:
  - job_name: heatsink
    honor_labels: true
    static_configs:
END
node=0
for scenario in steady story steady idle; do
  node=$((node + 1))
  address=127.0.0.1:$((port + node))
  target/debug/heatsink --source sim --sim-scenario $scenario --sim-seed $node \
    --extra-collectors monitoring --address $address 2> "$folder/gpu-node-$node.log" &
  echo "      - {targets: ['$address'], labels: {instance: gpu-node-$node}}" >> "$folder/prometheus.yml"
done
prometheus --config.file="$folder/prometheus.yml" --storage.tsdb.path="$folder/data" \
  --web.listen-address=127.0.0.1:$port 2> "$folder/prometheus.log" &

sleep 5
if [ "$(jobs -pr | wc -l)" != 5 ]; then
  tail -n 3 "$folder"/*.log >&2
  exit 1
fi
echo "scraping for $seconds seconds"
sleep $((seconds - 5))
cargo xtask pictures "http://127.0.0.1:$port" --node gpu-node-2 --from $seconds
