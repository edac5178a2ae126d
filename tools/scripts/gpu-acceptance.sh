#!/usr/bin/env bash
# Holds what heatsink serves against what nvidia-smi says, on a machine with a real NVIDIA GPU.
#
#   tools/scripts/gpu-acceptance.sh [PATH-TO-heatsink] [OUTPUT-FOLDER]
#
# Needs bash, awk, curl and the driver's own nvidia-smi; python3 where it is there, for the load.
# Three phases: idle, under load, and under the same load with the power limit at its lowest. Each
# round asks nvidia-smi just before and just after a scrape, GPU by GPU. A value passes if it
# lies between the two answers, widened by the tolerance of its row below. What nvidia-smi answers
# with [N/A] or the like has to be absent from the page, and the other way round.
#
# Lowering the power limit needs root; afterwards, and however the script ends, it is as it was.
#
# ROUNDS=10     rounds per phase
# WARM_UP=15    seconds before a phase's first round; heatsink reads what seldom changes every 10 s
# CAPPED=0      leaves the power limit alone, and the third phase out
# THROUGH=      flags for heatsink, such as `--source dcgm` or `-r localhost:5555`: the same numbers
#               through DCGM; rows that DCGM does not serve, such as PCIe traffic, then fail
#
# Exit status: 0 all passed, 1 something differs, 2 it could not be run.
set -euo pipefail
export LC_ALL=C

# What is held against what:
#   a column of nvidia-smi --query-gpu or --query-remapped-rows; of several, the first that this
#   nvidia-smi knows; `a/b` is a quotient. dmon:N is GPM metric N of nvidia-smi dmon. page:NAME is
#   that family of the same pages.
# In which phases: all, idle, load or capped.
# How, every round:
#   number   between the two answers, times scale
#   word     the same, for what nvidia-smi says in words: Yes, Enabled, Active are 1, P8 is 8
#   bits     a hexadecimal mask: a bit set in both answers has to be set, one set in neither must not
#   text     the label of every series of that GPU
#   set      1 where both answers say Active; else it is free
#   below    below scale where both answers say Active; else it is free
#   peak     no lower than the family has been within the window, less the tolerance
# How, over the rounds of a phase:
#   grows    while both answers say Active: it grows, and no faster than time does
#   mean     the mean of the rounds against the mean of dmon over the same time
#
# heatsink reads once a second, so a value may be a second older than the question of nvidia-smi:
# that, where no other reason is given, is what the tolerances are for.
#
# Not here: labels that the set `all` leaves out; fabric.state, since nvidia-smi says N/A where
# NVML and DCGM have a number; what nvidia-smi nvlink says, which is prose and not a table.
table() {
  sed -e 's/[[:space:]]*|[[:space:]]*/|/g' <<'ROWS'
label:UUID                              | uuid                                  | all | 1 | 0  | 0 | text   | identity
label:gpu                               | index                                 | all | 1 | 0  | 0 | text   | identity
label:pci_bus_id                        | pci.bus_id                            | all | 1 | 0  | 0 | text   | identity
label:modelName                         | name                                  | all | 1 | 0  | 0 | text   | identity
label:DCGM_FI_DRIVER_VERSION            | driver_version                        | all | 1 | 0  | 0 | text   | identity
DCGM_FI_DEV_SM_CLOCK                    | clocks.sm                             | all | 1 | 45 | 8 | number | at the power limit it moves by several steps of 15 MHz between two reads
DCGM_FI_DEV_MEM_CLOCK                   | clocks.mem                            | all | 1 | 10 | 0 | number | constant within a power state
DCGM_FI_DEV_VIDEO_CLOCK                 | clocks.video                          | all | 1 | 45 | 8 | number | goes with the SM clock
DCGM_FI_DEV_MAX_SM_CLOCK                | clocks.max.sm                         | all | 1 | 0  | 0 | number | constant
DCGM_FI_DEV_MAX_MEM_CLOCK               | clocks.max.mem                        | all | 1 | 0  | 0 | number | constant
DCGM_FI_DEV_APP_SM_CLOCK                | clocks.applications.graphics          | all | 1 | 0  | 0 | number | a setting
DCGM_FI_DEV_APP_MEM_CLOCK               | clocks.applications.memory            | all | 1 | 0  | 0 | number | a setting
DCGM_FI_DEV_PSTATE                      | pstate                                | all | 1 | 0  | 0 | word   | stands still within a phase
DCGM_FI_DEV_GPU_TEMP                    | temperature.gpu                       | all | 1 | 2  | 0 | number | whole degrees, a second apart
DCGM_FI_DEV_GPU_TEMP_LIMIT              | temperature.gpu.tlimit                | all | 1 | 2  | 0 | number | whole degrees, a second apart
DCGM_FI_DEV_MEMORY_TEMP                 | temperature.memory                    | all | 1 | 2  | 0 | number | whole degrees, a second apart
DCGM_FI_DEV_POWER_USAGE                 | power.draw                            | all | 1 | 5  | 5 | number | NVML's own accuracy is 5 W; under load it moves within a second
DCGM_FI_DEV_POWER_USAGE_INSTANT         | power.draw.instant                    | all | 1 | 20 | 20 | number | not averaged: it swings with every kernel
DCGM_FI_DEV_POWER_MGMT_LIMIT            | power.limit                           | all | 1 | 1  | 0 | number | whole watts, rounded down
DCGM_FI_DEV_POWER_MGMT_LIMIT_MIN        | power.min_limit                       | all | 1 | 1  | 0 | number | whole watts, rounded down
DCGM_FI_DEV_POWER_MGMT_LIMIT_MAX        | power.max_limit                       | all | 1 | 1  | 0 | number | whole watts, rounded down
DCGM_FI_DEV_POWER_MGMT_LIMIT_DEF        | power.default_limit                   | all | 1 | 1  | 0 | number | whole watts, rounded down
DCGM_FI_DEV_ENFORCED_POWER_LIMIT        | enforced.power.limit                  | all | 1 | 1  | 0 | number | whole watts, rounded down
DCGM_FI_DEV_GPU_UTIL                    | utilization.gpu                       | all | 1 | 10 | 0 | number | the driver's window is 1/6 s to 1 s, so two reads see other windows
DCGM_FI_DEV_MEM_COPY_UTIL               | utilization.memory                    | all | 1 | 10 | 0 | number | as utilization.gpu
DCGM_FI_DEV_ENC_UTIL                    | utilization.encoder                   | all | 1 | 5  | 0 | number | as utilization.gpu, but nothing encodes here
DCGM_FI_DEV_DEC_UTIL                    | utilization.decoder                   | all | 1 | 5  | 0 | number | as utilization.gpu, but nothing decodes here
DCGM_FI_DEV_FB_USED                     | memory.used                           | all | 1 | 16 | 0 | number | MiB; the driver itself takes and gives back a little
DCGM_FI_DEV_FB_FREE                     | memory.free                           | all | 1 | 16 | 0 | number | MiB; as memory.used
DCGM_FI_DEV_FB_TOTAL                    | memory.total                          | all | 1 | 1  | 0 | number | MiB; rounding only
DCGM_FI_DEV_FB_RESERVED                 | memory.reserved                       | all | 1 | 1  | 0 | number | MiB; rounding only
DCGM_FI_DEV_FAN_SPEED                   | fan.speed                             | all | 1 | 3  | 0 | number | per cent; follows the temperature
DCGM_FI_DEV_ECC_CURRENT                 | ecc.mode.current                      | all | 1 | 0  | 0 | word   | a setting
DCGM_FI_DEV_ECC_SBE_VOL_TOTAL           | ecc.errors.corrected.volatile.total   | all | 1 | 0  | 0 | number | a count that stands still on a healthy GPU
DCGM_FI_DEV_ECC_DBE_VOL_TOTAL           | ecc.errors.uncorrected.volatile.total | all | 1 | 0  | 0 | number | a count that stands still on a healthy GPU
DCGM_FI_DEV_ECC_SBE_AGG_TOTAL           | ecc.errors.corrected.aggregate.total  | all | 1 | 0  | 0 | number | a count that stands still on a healthy GPU
DCGM_FI_DEV_ECC_DBE_AGG_TOTAL           | ecc.errors.uncorrected.aggregate.total | all | 1 | 0 | 0 | number | a count that stands still on a healthy GPU
DCGM_FI_DEV_THRESHOLD_SRM               | ecc.errors.uncorrected.aggregate.sram.thresholdExceeded | all | 1 | 0 | 0 | word | it is or it is not
DCGM_FI_DEV_RETIRED_SBE                 | retired_pages.single_bit_ecc.count    | all | 1 | 0  | 0 | number | a count that stands still on a healthy GPU
DCGM_FI_DEV_RETIRED_DBE                 | retired_pages.double_bit.count        | all | 1 | 0  | 0 | number | a count that stands still on a healthy GPU
DCGM_FI_DEV_RETIRED_PENDING             | retired_pages.pending                 | all | 1 | 0  | 0 | word   | they are or they are not
DCGM_FI_DEV_CORRECTABLE_REMAPPED_ROWS   | remapped_rows.correctable             | all | 1 | 0  | 0 | number | a count that stands still on a healthy GPU
DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS | remapped_rows.uncorrectable           | all | 1 | 0  | 0 | number | a count that stands still on a healthy GPU
DCGM_FI_DEV_ROW_REMAP_FAILURE           | remapped_rows.failure                 | all | 1 | 0  | 0 | word   | it is or it is not
DCGM_FI_DEV_ROW_REMAP_PENDING           | remapped_rows.pending                 | all | 1 | 0  | 0 | word   | they are or they are not
DCGM_FI_DEV_BANKS_REMAP_ROWS_AVAIL_MAX     | remapped_rows.histogram.max        | all | 1 | 0  | 0 | number | a count that stands still on a healthy GPU
DCGM_FI_DEV_BANKS_REMAP_ROWS_AVAIL_HIGH    | remapped_rows.histogram.high       | all | 1 | 0  | 0 | number | a count that stands still on a healthy GPU
DCGM_FI_DEV_BANKS_REMAP_ROWS_AVAIL_PARTIAL | remapped_rows.histogram.partial    | all | 1 | 0  | 0 | number | a count that stands still on a healthy GPU
DCGM_FI_DEV_BANKS_REMAP_ROWS_AVAIL_LOW     | remapped_rows.histogram.low        | all | 1 | 0  | 0 | number | a count that stands still on a healthy GPU
DCGM_FI_DEV_BANKS_REMAP_ROWS_AVAIL_NONE    | remapped_rows.histogram.none       | all | 1 | 0  | 0 | number | a count that stands still on a healthy GPU
DCGM_FI_DEV_GET_GPU_RECOVERY_ACTION     | gpu_recovery_action                   | all | 1 | 0  | 0 | word   | None is 0, and so on to Drain and Reset, 4
DCGM_FI_DEV_PCIE_REPLAY_COUNTER         | pcie.replay.counter pcie.replay_count | all | 1 | 0  | 0 | number | a count that stands still on a healthy link
DCGM_FI_DEV_PCIE_LINK_GEN               | pcie.link.gen.current                 | all | 1 | 0  | 0 | number | stands still within a phase
DCGM_FI_DEV_PCIE_MAX_LINK_GEN           | pcie.link.gen.max                     | all | 1 | 0  | 0 | number | constant
DCGM_FI_DEV_PCIE_LINK_WIDTH             | pcie.link.width.current               | all | 1 | 0  | 0 | number | stands still within a phase
DCGM_FI_DEV_PCIE_MAX_LINK_WIDTH         | pcie.link.width.max                   | all | 1 | 0  | 0 | number | constant
DCGM_FI_DEV_CLOCKS_EVENT_REASONS        | clocks_event_reasons.active clocks_throttle_reasons.active | all | 1 | 0 | 0 | bits | bits that differ between the two answers are free
DCGM_FI_DEV_CLOCKS_EVENT_REASON_SW_POWER_CAP_NS            | clocks_event_reasons_counters.sw_power_cap            | all | 1000 | 2e9 | 0 | number | ns, and us there; two seconds, since it counts time
DCGM_FI_DEV_CLOCKS_EVENT_REASON_SYNC_BOOST_NS              | clocks_event_reasons_counters.sync_boost              | all | 1000 | 2e9 | 0 | number | as that of the power cap
DCGM_FI_DEV_CLOCKS_EVENT_REASON_SW_THERM_SLOWDOWN_NS       | clocks_event_reasons_counters.sw_thermal_slowdown     | all | 1000 | 2e9 | 0 | number | as that of the power cap
DCGM_FI_DEV_CLOCKS_EVENT_REASON_HW_THERM_SLOWDOWN_NS       | clocks_event_reasons_counters.hw_thermal_slowdown     | all | 1000 | 2e9 | 0 | number | as that of the power cap
DCGM_FI_DEV_CLOCKS_EVENT_REASON_HW_POWER_BRAKE_SLOWDOWN_NS | clocks_event_reasons_counters.hw_power_brake_slowdown | all | 1000 | 2e9 | 0 | number | as that of the power cap
DCGM_FI_DEV_POWER_VIOLATION             | clocks_event_reasons_counters.sw_power_cap | all | 1000 | 2e9 | 0 | number | the same counter of NVML's
DCGM_FI_DEV_SYNC_BOOST_VIOLATION        | clocks_event_reasons_counters.sync_boost   | all | 1000 | 2e9 | 0 | number | the same counter of NVML's
heatsink_clock_event_active{reason="power_cap"}        | clocks_event_reasons.sw_power_cap clocks_throttle_reasons.sw_power_cap | capped | 1 | 0 | 0 | set | at the lowest limit it stays, so a second's age changes nothing
heatsink_clock_event_seconds_total{reason="power_cap"} | clocks_event_reasons.sw_power_cap clocks_throttle_reasons.sw_power_cap | capped | 1 | 2 | 5 | grows | each end may be a second old; the driver's clock and ours
heatsink_gpu_slowdown_ratio             | clocks_event_reasons.sw_power_cap clocks_throttle_reasons.sw_power_cap | capped | 1 | 0 | 0 | below | a GPU that is held back is not at full speed
heatsink_gpu_slowdown_ratio             | clocks.sm/clocks.max.sm               | capped | 1 | 0.05 | 0 | number | 5 % of full speed: the SM clock moves, and the state's highest may be a step off
heatsink_power_max_watts                | page:DCGM_FI_DEV_POWER_USAGE          | capped | 1 | 5  | 0 | peak   | NVML's own accuracy is 5 W
DCGM_FI_PROF_GR_ENGINE_ACTIVE           | dmon:1                                | idle | 0.01 | 0.05 | 0 | mean | whole per cent, over other seconds
DCGM_FI_PROF_SM_ACTIVE                  | dmon:2                                | idle | 0.01 | 0.05 | 0 | mean | whole per cent, over other seconds
DCGM_FI_PROF_SM_OCCUPANCY               | dmon:3                                | idle | 0.01 | 0.05 | 0 | mean | whole per cent, over other seconds
DCGM_FI_PROF_PIPE_TENSOR_ACTIVE         | dmon:5                                | idle | 0.01 | 0.05 | 0 | mean | whole per cent, over other seconds
DCGM_FI_PROF_DRAM_ACTIVE                | dmon:10                               | idle | 0.01 | 0.05 | 0 | mean | whole per cent, over other seconds
DCGM_FI_PROF_PCIE_TX_BYTES              | dmon:20                               | idle | 1048576 | 67108864 | 10 | mean | whole MiB/s there; nothing is copied, so 64 MiB/s is next to nothing
DCGM_FI_PROF_PCIE_RX_BYTES              | dmon:21                               | idle | 1048576 | 67108864 | 10 | mean | whole MiB/s there; nothing is copied, so 64 MiB/s is next to nothing
DCGM_FI_PROF_GR_ENGINE_ACTIVE           | dmon:1                                | load | 0.01 | 0.10 | 0 | mean | as idle; and between two batches the load waits, more in some seconds than in others
DCGM_FI_PROF_SM_ACTIVE                  | dmon:2                                | load | 0.01 | 0.10 | 0 | mean | as the engine
DCGM_FI_PROF_SM_OCCUPANCY               | dmon:3                                | load | 0.01 | 0.10 | 0 | mean | as the engine
DCGM_FI_PROF_PIPE_TENSOR_ACTIVE         | dmon:5                                | load | 0.01 | 0.10 | 0 | mean | as the engine
DCGM_FI_PROF_DRAM_ACTIVE                | dmon:10                               | load | 0.01 | 0.10 | 0 | mean | as the engine
DCGM_FI_PROF_PCIE_TX_BYTES              | dmon:20                               | load | 1048576 | 67108864 | 10 | mean | as idle: the load stays on the GPU
DCGM_FI_PROF_PCIE_RX_BYTES              | dmon:21                               | load | 1048576 | 67108864 | 10 | mean | as idle: the load stays on the GPU
ROWS
}

say() { printf '%s\n' "$*"; }
cannot() { say "gpu-acceptance: $*" >&2; exit 2; }

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
heatsink=${1:-$root/target/dist/heatsink}
rounds=${ROUNDS:-10}
warm_up=${WARM_UP:-15}
# Of heatsink's rolling window; a round within its last 55 s is in it for certain.
window=60 surely_in_window=55
for tool in awk curl nvidia-smi timeout; do
  command -v "$tool" >/dev/null || cannot "$tool is not here"
done
[[ -x $heatsink ]] || cannot "no program at $heatsink; build it: cargo build --profile dist"

smi() { timeout 60 nvidia-smi "$@" --format=csv,noheader,nounits; }

# Everything here reads its input to the end (awk, not head): a closed pipe would count as failure.
first=$(smi --query-gpu=name,driver_version | awk 'NR == 1') || cannot "nvidia-smi: $first"
gpu_name=$(awk -F', ' '{ print $1 }' <<<"$first")
driver=$(awk -F', ' '{ print $2 }' <<<"$first")
slug=$(tr -cs '[:alnum:]' '-' <<<"${gpu_name,,}")
out=${2:-$root/docs/hardware/${slug%-}-$driver}
mkdir -p "$out"
rm -f "$out"/page-*.prom "$out"/dmon-*.txt
work=$(mktemp -d)
server='' load='' dmon=''
stop() {
  local pid=$1
  [[ -n $pid ]] || return 0
  # It may have ended by itself; and one that was told to end has an exit status to match.
  kill "$pid" 2>/dev/null || true
  wait "$pid" 2>/dev/null || true
}

# ---- the power limit ---------------------------------------------------------------------------

declare -A limits=() # by UUID, those that are not as they were
close_to() { awk -v a="$1" -v b="$2" 'BEGIN { exit !(a != "" && a + 1 > b && a < b + 1) }'; }
# Says why it did not, if it did not.
set_limit() {
  local answer now status=0
  answer=$(timeout 60 nvidia-smi -i "$1" -pl "$2" 2>&1) || status=$?
  now=$(smi -i "$1" --query-gpu=power.limit)
  if close_to "$now" "$2"; then return 0; fi
  if ((status != 0)); then awk 'NF { print; exit }' <<<"$answer"; else say "it stayed at $now W"; fi
  return 1
}
restore_limits() {
  local uuid answer failures=0
  for uuid in "${!limits[@]}"; do
    if answer=$(set_limit "$uuid" "${limits[$uuid]}"); then
      unset "limits[$uuid]"
    else
      failures=1
      say "gpu-acceptance: the power limit is NOT as it was; try: nvidia-smi -i $uuid -pl" \
        "${limits[$uuid]} (nvidia-smi -pl: $answer)" >&2
    fi
  done
  return "$failures"
}
# Sets capped_line; false if the limit could not be lowered, and then it is as it was.
lower_limits() {
  local uuid limit lowest answer from='' to=''
  while IFS=', ' read -r uuid limit lowest; do
    if ! [[ $limit =~ ^[0-9.]+$ && $lowest =~ ^[0-9.]+$ ]]; then
      capped_line="not run (nvidia-smi has no power limit that could be lowered on $uuid)"
    elif limits[$uuid]=$limit; ! answer=$(set_limit "$uuid" "$lowest"); then
      capped_line="not run (nvidia-smi -pl $lowest: $answer)"
    else
      [[ "$from/" == *"/$limit/"* ]] || from+=/$limit
      [[ "$to/" == *"/$lowest/"* ]] || to+=/$lowest
      continue
    fi
    restore_limits || failed=1
    return 1
  done < <(smi --query-gpu=uuid,power.limit,power.min_limit)
  [[ -n $from ]] || { capped_line='not run (nvidia-smi does not say the power limit)'; return 1; }
  capped_line="power limit from ${from#/} W to ${to#/} W"
}

clean_up() {
  trap '' INT TERM HUP
  restore_limits || true
  stop "$dmon"
  stop "$load"
  stop "$server"
  rm -rf "$work"
}
trap clean_up EXIT

# ---- heatsink, on a free port --------------------------------------------------------------------

for _ in {1..50}; do
  port=$((20000 + RANDOM % 20000))
  (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
done
url=http://127.0.0.1:$port
# Without the host's name: what is kept here is about the GPU.
# shellcheck disable=SC2086 # several flags
"$heatsink" --address "127.0.0.1:$port" -f all --window "${window}s" -c 1000 --no-hostname ${THROUGH:-} \
  >"$out/heatsink.log" 2>&1 &
server=$!
for ((try = 0; ; try++)); do
  curl -fsS -m 2 -o /dev/null "$url/ready" 2>/dev/null && break
  kill -0 "$server" 2>/dev/null || cannot "heatsink ended; see $out/heatsink.log"
  ((try < 150)) || cannot "heatsink is not ready after 30 s; see $out/heatsink.log"
  sleep 0.2
done

# ---- which columns this nvidia-smi knows -------------------------------------------------------

# Of these columns (`,a,b`), those that it knows. It names the first that it does not.
known_columns() {
  local query=$1 columns=$2 answer
  while [[ -n $columns ]]; do
    answer=$(smi "--$query$columns" 2>&1) && [[ $answer != *'not a valid field'* ]] && break
    if [[ $answer =~ \"([^\"]+)\"' is not a valid field' && "$columns," == *",${BASH_REMATCH[1]},"* ]]; then
      columns=$columns,
      columns=${columns/",${BASH_REMATCH[1]},"/,}
      columns=${columns%,}
    else
      say "nvidia-smi --${query%%=*}: $answer" >"$work/refusal"
      columns=''
    fi
  done
  printf '%s' "$columns"
}
: >"$work/plan"
: >"$work/not-compared"
: >"$work/rounds"
candidates=$(table | awk -F'|' '$2 !~ /:/ {
    n = split($2, column, /[ \/]/)
    for (i = 1; i <= n; i++) if (!seen[column[i]]++) printf ",%s", column[i]
  }')
gpu_columns=$(known_columns query-gpu=uuid "$candidates")
[[ -n $gpu_columns ]] || cannot "$(<"$work/refusal")"
row_columns=$(tr ',' '\n' <<<"$candidates" | awk -v known="$gpu_columns," '
  /^remapped_rows/ && !index(known, "," $0 ",") { printf ",%s", $0 }')
row_columns=$(known_columns query-remapped-rows=gpu_uuid "$row_columns")

while IFS='|' read -r field sources phase scale absolute relative kind _; do
  found=''
  for source in $sources; do
    known=1
    if [[ $source != *:* ]]; then
      for column in ${source//\// }; do
        [[ "$gpu_columns$row_columns," == *",$column,"* ]] || known=''
      done
    fi
    [[ -z $known ]] || { found=$source; break; }
  done
  if [[ -n $found ]]; then
    printf '%s\t' "$field" "$found" "$phase" "$scale" "$absolute" "$relative" >>"$work/plan"
    printf '%s\n' "$kind" >>"$work/plan"
  else
    say "$field: nvidia-smi $driver has no column ${sources// / or }" >>"$work/not-compared"
  fi
done < <(table)

# From rows of `uuid, value, value` to lines of uuid, column, value.
unfold() {
  awk -F', *' -v columns="$1" 'BEGIN { OFS = "\t"; split(columns, name, ",") }
    { for (i = 2; i <= NF; i++) { gsub(/^ +| +$/, "", $i); print $1, name[i], $i } }'
}
ask_nvidia_smi() {
  smi "--query-gpu=uuid$gpu_columns" | unfold "uuid$gpu_columns"
  [[ -z $row_columns ]] ||
    smi "--query-remapped-rows=gpu_uuid$row_columns" | unfold "uuid$row_columns"
}

# From a page to the same lines: uuid, family or label, value. A family of heatsink's own is there
# twice, as its name, and with the labels that are not the GPU's: name{reason="power_cap"}.
unfold_page() {
  awk 'BEGIN { OFS = "\t" }
    /^(DCGM|heatsink)_/ && match($0, /[{,]UUID="[^"]*"/) {
      uuid = substr($0, RSTART + 7, RLENGTH - 8)
      family = substr($0, 1, index($0, "{") - 1)
      labels = substr($0, index($0, "{") + 1)
      value = $0
      sub(/.*} */, "", value)
      sub(/ .*/, "", value)
      print uuid, family, value
      others = ""
      while (match(labels, /^,?[A-Za-z_][A-Za-z0-9_]*="([^"\\]|\\.)*"/)) {
        pair = substr(labels, RSTART, RLENGTH)
        labels = substr(labels, RLENGTH + 1)
        sub(/^,/, "", pair)
        at = index(pair, "=")
        if (family !~ /^heatsink_/) print uuid, "label:" substr(pair, 1, at - 1), substr(pair, at + 2, length(pair) - at - 2)
        else if (pair !~ /^(gpu|UUID)=/) others = others (others == "" ? "" : ",") pair
      }
      if (others != "") print uuid, family "{" others "}", value
    }' "$1"
}

# ---- one round ---------------------------------------------------------------------------------

# Files: plan, before, after, page. A line for each GPU and field: phase, round, uuid, field, kind,
# verdict, difference, before, served, after. Verdicts: pass, FAIL, absent (here and there), free
# (any value is right), unasked (nvidia-smi knows the column, but no longer asks the driver).
compare() {
  awk -F'\t' -v phase="$1" -v round="$2" '
    function absent(v) { return v == "" || v == "N/A" || v ~ /^\[.*\]$/ }
    function unasked(v) { return v ~ /deprecated/ }
    function numeric(v) { return v ~ /^[-+]?[0-9.]+([eE][-+]?[0-9]+)?$/ }
    function hex(v,   i, n) {
      v = tolower(v); sub(/^0x/, "", v)
      for (i = 1; i <= length(v); i++) n = n * 16 + index("0123456789abcdef", substr(v, i, 1)) - 1
      return n + 0
    }
    function word(v) {
      if (v ~ /^P[0-9]+$/) return substr(v, 2) + 0
      return (v in number_of) ? number_of[v] : v
    }
    # How many bits of v are set in neither answer, or unset though set in both.
    function odd_bits(v, a, b,   i, n) {
      for (i = 0; i < 53; i++) {
        n += (v % 2 > a % 2 && v % 2 > b % 2) || (v % 2 < a % 2 && v % 2 < b % 2)
        v = int(v / 2); a = int(a / 2); b = int(b / 2)
      }
      return n + 0
    }
    # Of a column, or of a quotient of two.
    function answer(side, source,   part, over, under) {
      if (split(source, part, "/") == 1) return side[uuid, source]
      over = side[uuid, part[1]]; under = side[uuid, part[2]]
      return absent(over) || absent(under) || under + 0 == 0 ? "N/A" : over / under
    }
    function out(verdict, difference) {
      print phase, round, uuid, field, kind[r], verdict, difference, (b == "" ? "-" : b), \
        (got == "" ? "-" : got), (a == "" ? "-" : a)
    }
    BEGIN {
      OFS = "\t"
      number_of["Yes"] = number_of["Enabled"] = number_of["Active"] = 1
      number_of["No"] = number_of["Disabled"] = number_of["Not Active"] = number_of["None"] = 0
      number_of["Reset"] = number_of["GPU Reset"] = 1
      number_of["Reboot"] = number_of["Node Reboot"] = 2
      number_of["Drain P2P"] = 3; number_of["Drain and Reset"] = 4
    }
    FILENAME == ARGV[1] {
      if (($3 != "all" && $3 != phase) || $7 ~ /^(peak|grows|mean)$/) next
      plan[++rows] = $1; source[rows] = $2; scale[rows] = $4; absolute[rows] = $5
      relative[rows] = $6; kind[rows] = $7
      next
    }
    !($1 in seen) { seen[$1] = 1; gpus[++count] = $1 }
    FILENAME == ARGV[2] { before[$1, $2] = $3; next }
    FILENAME == ARGV[3] { after[$1, $2] = $3; next }
    {
      # All series of a GPU have to agree on its labels; where they do not, show both.
      if ($2 ~ /^label:/ && (($1, $2) in page) && page[$1, $2] != $3) page[$1, $2] = page[$1, $2] " and " $3
      else page[$1, $2] = $3
    }
    END {
      for (g = 1; g <= count; g++) for (r = 1; r <= rows; r++) {
        uuid = gpus[g]; field = plan[r]
        b = answer(before, source[r]); a = answer(after, source[r]); got = page[uuid, field]
        if (unasked(b) || unasked(a)) { out("unasked", 0); continue }
        if (kind[r] ~ /^(set|below)$/ && !(b == "Active" && a == "Active")) { out("free", 0); continue }
        if (absent(b) && absent(a)) { if (got == "") out("absent", 0); else out("FAIL", "not in nvidia-smi"); continue }
        if (got == "") { if (absent(a) || absent(b)) out("absent", 0); else out("FAIL", "not on the page"); continue }
        # It came or went between the two questions: hold it against the one answer there is.
        if (absent(b)) b = a
        if (absent(a)) a = b
        if (kind[r] == "text") { if (got == b || got == a) out("pass", 0); else out("FAIL", "another text"); continue }
        if (!numeric(got)) { out("FAIL", "not a number"); continue }
        if (kind[r] == "set") { if (got == 1) out("pass", 0); else out("FAIL", "not 1"); continue }
        if (kind[r] == "below") { if (got + 0 < scale[r] + 0) out("pass", 0); else out("FAIL", "not below " scale[r]); continue }
        if (kind[r] == "bits") {
          difference = odd_bits(got + 0, hex(b), hex(a))
          out(difference == 0 ? "pass" : "FAIL", difference)
          continue
        }
        low = kind[r] == "word" ? word(b) : b
        high = kind[r] == "word" ? word(a) : a
        if (!numeric(low) || !numeric(high)) { out("FAIL", "what nvidia-smi says is not a number"); continue }
        low *= scale[r]; high *= scale[r]
        if (low > high) { swap = low; low = high; high = swap }
        difference = got < low ? low - got : got > high ? got - high : 0
        allowed = relative[r] / 100 * high
        if (allowed < absolute[r]) allowed = absolute[r]
        out(difference <= allowed ? "pass" : "FAIL", difference)
      }
    }' "$work/plan" "$work/before" "$work/after" "$work/page"
}

# What the rows that look at several rounds need of this one: phase, round, time, uuid, what, value.
remember() {
  awk -F'\t' -v phase="$1" -v round="$2" -v time="$3" '
    function keep(what) { print phase, round, time, $1, what, $3 }
    BEGIN { OFS = "\t" }
    FILENAME == ARGV[1] {
      if ($7 !~ /^(peak|grows|mean)$/) next
      served[$1] = 1
      if ($2 ~ /^page:/) served[substr($2, 6)] = 1
      if ($2 !~ /:/) asked[$2] = 1
      next
    }
    FILENAME == ARGV[2] { if ($2 in asked) keep("before:" $2); next }
    FILENAME == ARGV[3] { if ($2 in asked) keep("after:" $2); next }
    $2 in served { keep($2) }
    ' "$work/plan" "$work/before" "$work/after" "$work/page" >>"$work/rounds"
}

# ---- GPM, as nvidia-smi dmon has it ------------------------------------------------------------

gpm_metrics() { awk -F'\t' -v phase="$1" '$3 == phase && $2 ~ /^dmon:/ { print substr($2, 6) }' "$work/plan" | sort -n; }
start_dmon() {
  local began took metrics samples
  metrics=$(gpm_metrics "$1" | paste -sd, -)
  [[ -n $metrics ]] || return 0
  # As many samples, a second apart, as the rounds will take; the first two are always empty.
  began=$(date +%s%N)
  ask_nvidia_smi >/dev/null || cannot "nvidia-smi stopped answering"
  took=$((($(date +%s%N) - began) / 1000000))
  samples=$((rounds * (2 * took + 1400) / 1000 + 3))
  timeout $((samples + 60)) nvidia-smi dmon --gpm-metrics "$metrics" -c "$samples" -d 1 \
    >"$out/dmon-$1.txt" 2>&1 &
  dmon=$!
}
# Writes uuid, metric and mean for each GPU that it showed; a mean is N/A where it never had one.
finish_dmon() {
  local status=0 metrics
  : >"$work/means"
  [[ -n $dmon ]] || return 0
  wait "$dmon" || status=$?
  dmon=''
  metrics=$(gpm_metrics "$1" | paste -sd' ' -)
  if ((status != 0)); then
    say "GPM, $1: nvidia-smi dmon --gpm-metrics ended with exit status $status:" \
      "$(awk 'NF && !/^#/ { if (!n++) print }' "$out/dmon-$1.txt")" >>"$work/not-compared"
    return 0
  fi
  smi --query-gpu=index,uuid >"$work/indices" || cannot "nvidia-smi stopped answering"
  # The metrics are the columns whose unit begins with GPM:, and they come in the order of their
  # numbers, as here; so what dmon calls them need not be known.
  awk -v metrics="$metrics" -v phase="$1" -v refused="$work/not-compared" -v names="$work/dmon-names" '
    BEGIN { OFS = "\t"; wanted = split(metrics, metric, " ") }
    FILENAME == ARGV[1] { sub(/,$/, "", $1); uuid[$1] = $2; next }
    sub(/^# */, "") {
      if ($0 !~ /GPM:/) { for (i = 1; i <= NF; i++) name[i] = $i; next }
      for (i = 1; i <= NF; i++) if (!ready && $i ~ /^GPM:/) { column[++found] = i; unit[found] = $i }
      ready = 1
      next
    }
    ready && ($1 in uuid) {
      shown[$1] = 1
      for (m = 1; m <= found; m++) if ($(column[m]) ~ /^[0-9.]+$/) { sum[$1, m] += $(column[m]); count[$1, m]++ }
    }
    END {
      if (found != wanted) {
        print "GPM, " phase ": nvidia-smi dmon shows " found + 0 " GPM columns, and " wanted " metrics were asked for" >>refused
        exit
      }
      line = ""
      for (m = 1; m <= found; m++) line = line (m == 1 ? "" : ", ") metric[m] " " name[column[m]] " (" unit[m] ")"
      print line >names
      for (gpu in uuid) {
        if (!(gpu in shown)) { print "GPM, " phase ": nvidia-smi dmon does not show GPU " gpu >>refused; continue }
        none = ""
        for (m = 1; m <= found; m++) {
          print uuid[gpu], metric[m], (count[gpu, m] ? sprintf("%.3f", sum[gpu, m] / count[gpu, m]) : "N/A")
          if (!count[gpu, m]) none = none (none == "" ? "" : ", ") metric[m]
        }
        if (none != "") print "GPM, " phase ": nvidia-smi dmon has nothing of GPU " gpu " for metrics " none >>refused
      }
    }' "$work/indices" "$out/dmon-$1.txt" >"$work/means"
}

# ---- one phase ---------------------------------------------------------------------------------

# Files: plan, means, rounds. Lines as those of compare, with `all` for the round where there is
# one verdict for the phase.
compare_rounds() {
  awk -F'\t' -v phase="$1" -v window="$surely_in_window" '
    function out(round, verdict, difference, b, got, a) {
      print phase, round, uuid, field, kind[r], verdict, difference, (b == "" ? "-" : b), \
        (got == "" ? "-" : got), (a == "" ? "-" : a)
    }
    function active(i) { return value[uuid, i, "before:" source[r]] == "Active" && value[uuid, i, "after:" source[r]] == "Active" }
    function grows(   i, got, first, last, from, to, n, fell) {
      for (i = 1; i <= last_round; i++) if (of_phase[i] && active(i)) {
        got = value[uuid, i, field]
        if (got == "") { out("all", "FAIL", "not on the page"); return }
        if (!n++) { first = got; from = at[i] }
        else if (got + 0 < last + 0) fell = 1
        last = got; to = at[i]
      }
      if (n < 2) { out("all", "free", 0); return }
      most = first + (to - from) * (1 + relative[r] / 100) + absolute[r]
      if (fell) out("all", "FAIL", "it fell", first, last, sprintf("%.3f", most))
      else if (last + 0 <= first + 0) out("all", "FAIL", "it did not grow", first, last, sprintf("%.3f", most))
      else if (last > most) out("all", "FAIL", "it grew faster than time", first, last, sprintf("%.3f", most))
      else out("all", "pass", 0, first, last, sprintf("%.3f", most))
    }
    function peak(   i, j, seen, highest, got) {
      for (i = 1; i <= last_round; i++) if (of_phase[i]) {
        highest = ""
        for (j = 1; j <= i; j++) if (at[i] - at[j] <= window) {
          seen = value[uuid, j, substr(source[r], 6)]
          if (seen != "" && (highest == "" || seen + 0 > highest + 0)) highest = seen
        }
        got = value[uuid, i, field]
        if (highest == "") out(number[i], "absent", 0, highest, got)
        else if (got == "") out(number[i], "FAIL", "not on the page", highest, got)
        else out(number[i], got + 0 >= highest - absolute[r] ? "pass" : "FAIL", got + 0 < highest + 0 ? highest - got : 0, highest, got)
      }
    }
    function mean(   i, got, sum, n, theirs, here, difference, allowed) {
      theirs = means[uuid, substr(source[r], 6)]
      if (theirs == "") return
      for (i = 1; i <= last_round; i++) if (of_phase[i]) {
        got = value[uuid, i, field]
        if (got != "") { sum += got; n++ }
      }
      here = n ? sum / n : ""
      if (theirs == "N/A") {
        if (n) out("all", "FAIL", "not in nvidia-smi", theirs, here); else out("all", "absent", 0, theirs)
        return
      }
      if (!n) { out("all", "FAIL", "not on the page", theirs * scale[r]); return }
      theirs *= scale[r]
      difference = here > theirs ? here - theirs : theirs - here
      allowed = relative[r] / 100 * theirs
      if (allowed < absolute[r]) allowed = absolute[r]
      out("all", difference <= allowed ? "pass" : "FAIL", difference, theirs, here)
    }
    BEGIN { OFS = "\t" }
    FILENAME == ARGV[1] {
      if (($3 != "all" && $3 != phase) || $7 !~ /^(peak|grows|mean)$/) next
      plan[++rows] = $1; source[rows] = $2; scale[rows] = $4; absolute[rows] = $5
      relative[rows] = $6; kind[rows] = $7
      next
    }
    FILENAME == ARGV[2] { means[$1, $2] = $3; next }
    {
      if (!(($1, $2) in place)) { place[$1, $2] = ++last_round; at[last_round] = $3; number[last_round] = $2 }
      of_phase[place[$1, $2]] = $1 == phase
      if (!($4 in seen)) { seen[$4] = 1; gpus[++count] = $4 }
      value[$4, place[$1, $2], $5] = $6
    }
    END {
      for (g = 1; g <= count; g++) for (r = 1; r <= rows; r++) {
        uuid = gpus[g]; field = plan[r]
        if (kind[r] == "grows") grows()
        if (kind[r] == "peak") peak()
        if (kind[r] == "mean") mean()
      }
    }' "$work/plan" "$work/means" "$work/rounds"
}

phase() {
  local name=$1 round now
  start_dmon "$name"
  for ((round = 1; round <= rounds; round++)); do
    ask_nvidia_smi >"$work/before" || cannot "nvidia-smi stopped answering"
    curl -fsS -m 10 -o "$out/page-$name.prom" "$url/metrics" || cannot "the scrape failed"
    now=$(date +%s.%N)
    ask_nvidia_smi >"$work/after" || cannot "nvidia-smi stopped answering"
    unfold_page "$out/page-$name.prom" >"$work/page"
    compare "$name" "$round" >>"$out/comparisons.tsv"
    remember "$name" "$round" "$now"
    # Longer than a reading interval, so that no two rounds see the same reading.
    sleep 1.3
  done
  finish_dmon "$name"
  compare_rounds "$name" >>"$out/comparisons.tsv"
}

# ---- load --------------------------------------------------------------------------------------

# Multiplies matrices with PyTorch or CuPy. Where neither is there, the driver's own library is
# enough: it compiles the few lines of PTX below, and copies memory to and fro.
write_load() {
  cat >"$work/load.py" <<'PYTHON'
import ctypes
import threading

PTX = b"""
.version 6.0
.target sm_60
.address_size 64
.visible .entry burn(.param .u64 out, .param .u32 turns)
{
    .reg .f32 %f<6>;
    .reg .b32 %r<4>;
    .reg .b64 %d<2>;
    .reg .pred %p;
    ld.param.u64 %d0, [out];
    ld.param.u32 %r0, [turns];
    mov.u32 %r1, %tid.x;
    mov.u32 %r2, %ctaid.x;
    mov.u32 %r3, %ntid.x;
    mad.lo.u32 %r1, %r2, %r3, %r1;
    cvt.rn.f32.u32 %f0, %r1;
    mov.f32 %f1, %f0;
    mov.f32 %f2, %f0;
    mov.f32 %f3, %f0;
    mov.f32 %f4, 0f3F7FFF58;
    mov.f32 %f5, 0f3DCCCCCD;
again:
    fma.rn.f32 %f0, %f0, %f4, %f5;
    fma.rn.f32 %f1, %f1, %f4, %f5;
    fma.rn.f32 %f2, %f2, %f4, %f5;
    fma.rn.f32 %f3, %f3, %f4, %f5;
    sub.u32 %r0, %r0, 1;
    setp.ne.u32 %p, %r0, 0;
    @%p bra again;
    add.f32 %f0, %f0, %f1;
    add.f32 %f2, %f2, %f3;
    add.f32 %f0, %f0, %f2;
    mul.wide.u32 %d1, %r1, 4;
    add.u64 %d0, %d0, %d1;
    st.global.f32 [%d0], %f0;
    ret;
}
"""


def with_torch():
    import torch

    def work(gpu, started):
        with torch.cuda.device(gpu):
            a = torch.randn(8192, 8192, dtype=torch.float16, device="cuda")
            b = torch.empty_like(a)
            while True:
                for _ in range(20):
                    torch.matmul(a, a, out=b)
                torch.cuda.synchronize()
                started.set()

    return f"PyTorch {torch.__version__}", torch.cuda.device_count(), work


def with_cupy():
    import cupy

    def work(gpu, started):
        with cupy.cuda.Device(gpu):
            a = cupy.random.rand(8192, 8192, dtype=cupy.float32).astype(cupy.float16)
            while True:
                for _ in range(20):
                    b = cupy.matmul(a, a)
                cupy.cuda.Device(gpu).synchronize()
                started.set()

    return f"CuPy {cupy.__version__}", cupy.cuda.runtime.getDeviceCount(), work


def with_driver():
    cuda = ctypes.CDLL("libcuda.so.1")

    def call(name, *args):
        code = getattr(cuda, name)(*args)
        if code != 0:
            raise RuntimeError(f"{name}: CUDA error {code}")

    def work(gpu, started):
        device, context = ctypes.c_int(), ctypes.c_void_p()
        module, kernel = ctypes.c_void_p(), ctypes.c_void_p()
        memory = ctypes.c_uint64()
        half = 512 << 20
        call("cuDeviceGet", ctypes.byref(device), gpu)
        call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
        call("cuCtxSetCurrent", context)
        call("cuModuleLoadData", ctypes.byref(module), PTX)
        call("cuModuleGetFunction", ctypes.byref(kernel), module, b"burn")
        call("cuMemAlloc_v2", ctypes.byref(memory), ctypes.c_size_t(2 * half))
        turns = ctypes.c_uint32(200_000)
        arguments = (ctypes.c_void_p * 2)(
            ctypes.cast(ctypes.byref(memory), ctypes.c_void_p),
            ctypes.cast(ctypes.byref(turns), ctypes.c_void_p),
        )
        other = ctypes.c_uint64(memory.value + half)
        while True:
            for _ in range(4):
                call("cuLaunchKernel", kernel, 2048, 1, 1, 256, 1, 1, 0, None, arguments, None)
                call("cuMemcpyDtoDAsync_v2", other, memory, ctypes.c_size_t(half), None)
            call("cuCtxSynchronize")
            started.set()

    count = ctypes.c_int()
    call("cuInit", 0)
    call("cuDeviceGetCount", ctypes.byref(count))
    return "the CUDA driver library", count.value, work


def main():
    reasons = []
    for attempt in (with_torch, with_cupy, with_driver):
        try:
            name, count, work = attempt()
        except Exception as error:  # whatever is wrong with one, the next may do
            reasons.append(f"{attempt.__name__}: {str(error).splitlines()[0]}")
            continue
        if count == 0:
            reasons.append(f"{attempt.__name__}: sees no GPU")
            continue
        started = [threading.Event() for _ in range(count)]
        for gpu in range(count):
            threading.Thread(target=work, args=(gpu, started[gpu]), daemon=True).start()
        if not all(event.wait(60) for event in started):
            print("load: not run (a GPU did not begin within 60 s)", flush=True)
            return
        print(f"load: {name} on {count} GPU(s)", flush=True)
        threading.Event().wait()
    print("load: not run (" + "; ".join(reasons) + ")", flush=True)


main()
PYTHON
}

start_load() {
  command -v python3 >/dev/null || { load_line='load: not run (no python3 here)'; return 1; }
  write_load
  : >"$work/load.txt"
  python3 "$work/load.py" >"$work/load.txt" 2>"$out/load.log" &
  load=$!
  for _ in {1..900}; do
    load_line=$(awk 'NR == 1' "$work/load.txt")
    [[ -z $load_line ]] || break
    kill -0 "$load" 2>/dev/null || break
    sleep 0.2
  done
  load_line=${load_line:-"load: not run (it ended without a word; see load.log)"}
  [[ $load_line != *'not run'* ]]
}

# ---- the run -----------------------------------------------------------------------------------

still_loaded() {
  kill -0 "$load" 2>/dev/null && return
  [[ $load_line == *'ended before'* ]] || load_line+=' (ended before the rounds did: those were not all under load)'
  failed=1
}

failed=0
printf 'phase\tround\tuuid\tfield\tkind\tverdict\tdifference\tbefore\tserved\tafter\n' >"$out/comparisons.tsv"
say "comparing with nvidia-smi: $gpu_name, driver $driver, $rounds rounds idle after ${warm_up} s ..."
sleep "$warm_up"
phase idle
load_line='' capped_line='not run (no load)'
if start_load; then
  say "$load_line; $rounds rounds after ${warm_up} s ..."
  sleep "$warm_up"
  phase load
  still_loaded
  if [[ ${CAPPED:-1} == 0 ]]; then
    capped_line='not run (CAPPED=0)'
  elif lower_limits; then
    say "$capped_line; $rounds rounds after ${warm_up} s ..."
    sleep "$warm_up"
    phase capped
    still_loaded
    restore_limits || { capped_line+=', AND NOT RESTORED'; failed=1; }
  else
    say "power limit: $capped_line"
  fi
  stop "$load"
fi
load=''

"$heatsink" check --all >"$out/check.txt" 2>&1 && check='exit status 0' || { check="exit status $?"; failed=1; }
sed -i -E 's/(DCGM_FI_DEV_SERIAL +).*/\1(left out)/' "$out/check.txt"
timings='in check-timings.txt'
"$heatsink" check --timings >"$out/check-timings.txt" 2>&1 || { timings="exit status $?"; failed=1; }

stopping=$(date +%s%N)
kill -TERM "$server"
wait "$server" && ended='exit status 0' || { ended="exit status $?"; failed=1; }
server=''
ended+=" after $((($(date +%s%N) - stopping) / 1000000)) ms"

# Without serial numbers, which are not for publication.
nvidia-smi -q | awk 'NR <= 60' | sed -E 's/((Serial|Board ID|GPU PDI).*: ).*/\1(left out)/' >"$out/nvidia-smi-q.txt"

# ---- the summary -------------------------------------------------------------------------------

rounds_of() { grep -qs "^$1"$'\t' "$out/comparisons.tsv" && say "$rounds" || say 0; }

# A line for each field, kind and, for means, phase, of one section: values, capped or gpm.
section() {
  awk -F'\t' -v section="$1" '
    NR == 1 { next }
    {
      its = $5 == "mean" ? "gpm" : $4 ~ /^heatsink_/ ? "capped" : "values"
      if (its != section) next
      key = its == "gpm" ? $4 ", " $1 : its == "capped" ? $4 ", " $5 : $4
      if (!(key in total)) order[++keys] = key
      total[key]++
      if ($6 == "absent") absent[key]++
      else if ($6 == "free") free[key]++
      else if ($6 == "unasked") unasked[key]++
      else {
        judged[key]++
        if ($6 == "pass") pass[key]++
        else { bad[key]++; if ($7 !~ /^[0-9.e+-]+$/) remark[key] = ": " $7 }
        if ($7 ~ /^[0-9.e+-]+$/ && $7 + 0 > worst[key] + 0) worst[key] = $7
      }
    }
    END {
      if (!keys) { print "  nothing was compared"; exit }
      line = "%-62s %8s %8s %8s %10s  %s\n"
      printf line, "field", "compared", "passed", "absent", "worst", "verdict"
      for (i = 1; i <= keys; i++) {
        k = order[i]
        if (bad[k]) verdict = "FAIL" remark[k]
        else if (judged[k]) verdict = "pass"
        else if (absent[k]) verdict = "absent in both"
        else verdict = "not compared"
        printf line, k, judged[k] + 0, pass[k] + 0, absent[k] + 0, judged[k] ? sprintf("%.6g", worst[k]) : "-", verdict
      }
    }' "$out/comparisons.tsv"
}

# Rows of which no round could be judged, beside those that are absent here and there.
never_judged() {
  awk -F'\t' '
    NR == 1 { next }
    !(($4, $5) in judged) { order[++rows] = $4 SUBSEP $5; judged[$4, $5] = 0 }
    $6 == "unasked" { why[$4, $5] = "nvidia-smi knows the column, but no longer asks the driver" }
    $6 == "free" { why[$4, $5] = "sw_power_cap was never Active in both answers" }
    $6 !~ /^(unasked|free)$/ { judged[$4, $5] = 1 }
    END { for (i = 1; i <= rows; i++) if (!judged[order[i]]) { split(order[i], row, SUBSEP); print row[1] ": " why[order[i]] } }
    ' "$out/comparisons.tsv" | awk '!seen[$0]++'
}

# Families on the pages that nothing was held against. Numbers within names are folded: L*.
served_only() {
  awk -F'\t' '
    FILENAME == ARGV[1] { sub(/[{].*/, "", $4); if ($6 ~ /^(pass|FAIL|absent)$/) compared[$4] = 1; next }
    FILENAME == ARGV[2] { sub(/[:,{].*/, ""); compared[$0] = 1; next }
    /^(DCGM|heatsink)_/ {
      sub(/[{ ].*/, "")
      if (($0 in compared) || seen[$0]++) next
      total++
      folded = $0
      gsub(/[0-9]+/, "*", folded)
      if (folded !~ /[*]/ || folded ~ /FP[*]|C[*]C/) folded = $0
      if (!(folded in count)) order[++names] = folded
      count[folded]++; one[folded] = $0
    }
    END {
      print total + 0
      for (i = 1; i <= names; i++) {
        f = order[i]
        print "  " (count[f] > 1 ? f " (" count[f] ")" : one[f])
      }
    }' "$out/comparisons.tsv" "$work/not-compared" "$out"/page-*.prom
}

summary() {
  say "GPU        $gpu_name ($(nvidia-smi -L | wc -l) in this machine)"
  say "driver     $driver"
  say "heatsink   $("$heatsink" --version 2>&1 | awk 'NR == 1')"
  say "date       $(date -u +%Y-%m-%d)"
  say "rounds     $(rounds_of idle) idle, $(rounds_of load) under load, $(rounds_of capped) capped"
  say "$load_line" | sed 's/^load: /load       /'
  say "capped     $capped_line"
  say "check      $check"
  say "timings    $timings"
  say "SIGTERM    $ended"
  say
  say 'Values, in all phases:'
  section values
  say
  say 'compared: GPUs x rounds. worst: how far a value lay outside the two answers of nvidia-smi.'
  say
  say 'With the power limit at its lowest:'
  section capped
  say
  say 'GPM, the means of a phase against those of nvidia-smi dmon --gpm-metrics:'
  [[ ! -s $work/dmon-names ]] || say "  columns of dmon: $(<"$work/dmon-names")"
  section gpm
  say
  say 'Not compared:'
  never_judged >>"$work/not-compared"
  [[ -s $work/not-compared ]] || say '  nothing'
  sed 's/^/  /' "$work/not-compared"
  say
  served_only | awk 'NR == 1 { print "Served, not compared (nvidia-smi has no column for it, or its phase was not run): " $1 " families"; next } { print }'
}
summary | tee "$out/summary.txt"
grep -q "$(printf '\tFAIL\t')" "$out/comparisons.tsv" && failed=1
say
if ((failed)); then
  say "FAILED; all of it is in $out"
else
  say "passed; all of it is in $out"
fi
exit "$failed"
