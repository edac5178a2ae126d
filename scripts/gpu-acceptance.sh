#!/usr/bin/env bash
# Holds what heatsink serves against what nvidia-smi says, on a machine with a real NVIDIA GPU.
#
#   scripts/gpu-acceptance.sh [PATH-TO-heatsink] [OUTPUT-FOLDER]
#
# Needs bash, awk, curl and the driver's own nvidia-smi; python3 where it is there, for the load.
# Each round asks nvidia-smi just before and just after a scrape, GPU by GPU. A value passes if it
# lies between the two answers, widened by the tolerance of its row below. What nvidia-smi answers
# with [N/A] or the like has to be absent from the page, and the other way round.
#
# ROUNDS=10     rounds per phase (idle, then under load)
# WARM_UP=15    seconds of load before its first round
#
# Exit status: 0 all passed, 1 something differs, 2 it could not be run.
set -euo pipefail
export LC_ALL=C

# kind: number; flag (Yes and No count as 1 and 0); bits (a hexadecimal mask: a bit set in both
# answers has to be set, one set in neither must not be); text (the label of every series of that
# GPU). Where several columns are given, the first that this nvidia-smi knows is taken.
#
# heatsink reads once a second, so a value may be a second older than the question of nvidia-smi:
# that, and nothing else, is what the tolerances are for.
table() {
  sed -e 's/[[:space:]]*|[[:space:]]*/|/g' <<'ROWS'
label:UUID                              | uuid                                  | 1 | 0  | 0 | text   | identity
label:gpu                               | index                                 | 1 | 0  | 0 | text   | identity
label:pci_bus_id                        | pci.bus_id                            | 1 | 0  | 0 | text   | identity
label:modelName                         | name                                  | 1 | 0  | 0 | text   | identity
label:DCGM_FI_DRIVER_VERSION            | driver_version                        | 1 | 0  | 0 | text   | identity
DCGM_FI_DEV_SM_CLOCK                    | clocks.sm                             | 1 | 45 | 8 | number | at the power limit it moves by several steps of 15 MHz between two reads
DCGM_FI_DEV_MEM_CLOCK                   | clocks.mem                            | 1 | 10 | 0 | number | constant within a power state
DCGM_FI_DEV_GPU_TEMP                    | temperature.gpu                       | 1 | 2  | 0 | number | whole degrees, a second apart
DCGM_FI_DEV_MEMORY_TEMP                 | temperature.memory                    | 1 | 2  | 0 | number | whole degrees, a second apart
DCGM_FI_DEV_POWER_USAGE                 | power.draw                            | 1 | 5  | 5 | number | NVML's own accuracy is 5 W; under load it moves within a second
DCGM_FI_DEV_GPU_UTIL                    | utilization.gpu                       | 1 | 10 | 0 | number | the driver's window is 1/6 s to 1 s, so two reads see other windows
DCGM_FI_DEV_MEM_COPY_UTIL               | utilization.memory                    | 1 | 10 | 0 | number | as utilization.gpu
DCGM_FI_DEV_ENC_UTIL                    | utilization.encoder                   | 1 | 5  | 0 | number | as utilization.gpu, but nothing encodes here
DCGM_FI_DEV_DEC_UTIL                    | utilization.decoder                   | 1 | 5  | 0 | number | as utilization.gpu, but nothing decodes here
DCGM_FI_DEV_FB_USED                     | memory.used                           | 1 | 16 | 0 | number | MiB; the driver itself takes and gives back a little
DCGM_FI_DEV_FB_FREE                     | memory.free                           | 1 | 16 | 0 | number | MiB; as memory.used
DCGM_FI_DEV_FB_TOTAL                    | memory.total                          | 1 | 1  | 0 | number | MiB; rounding only
DCGM_FI_DEV_FB_RESERVED                 | memory.reserved                       | 1 | 1  | 0 | number | MiB; rounding only
DCGM_FI_DEV_FAN_SPEED                   | fan.speed                             | 1 | 3  | 0 | number | per cent; follows the temperature
DCGM_FI_DEV_ECC_SBE_VOL_TOTAL           | ecc.errors.corrected.volatile.total   | 1 | 0  | 0 | number | a count that stands still on a healthy GPU
DCGM_FI_DEV_ECC_DBE_VOL_TOTAL           | ecc.errors.uncorrected.volatile.total | 1 | 0  | 0 | number | a count that stands still on a healthy GPU
DCGM_FI_DEV_CORRECTABLE_REMAPPED_ROWS   | remapped_rows.correctable             | 1 | 0  | 0 | number | a count that stands still on a healthy GPU
DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS | remapped_rows.uncorrectable           | 1 | 0  | 0 | number | a count that stands still on a healthy GPU
DCGM_FI_DEV_ROW_REMAP_FAILURE           | remapped_rows.failure                 | 1 | 0  | 0 | flag   | it is or it is not
DCGM_FI_DEV_PCIE_REPLAY_COUNTER         | pcie.replay.counter pcie.replay_count | 1 | 0  | 0 | number | a count that stands still on a healthy link
DCGM_FI_DEV_CLOCK_THROTTLE_REASONS      | clocks_event_reasons.active clocks_throttle_reasons.active | 1 | 0 | 0 | bits | bits that differ between the two answers are free
ROWS
}

say() { printf '%s\n' "$*"; }
cannot() { say "gpu-acceptance: $*" >&2; exit 2; }

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
heatsink=${1:-$root/target/release/heatsink}
rounds=${ROUNDS:-10}
warm_up=${WARM_UP:-15}
for tool in awk curl nvidia-smi timeout; do
  command -v "$tool" >/dev/null || cannot "$tool is not here"
done
[[ -x $heatsink ]] || cannot "no program at $heatsink; build it: cargo build --release"

smi() { timeout 60 nvidia-smi "$@" --format=csv,noheader,nounits; }

# Everything here reads its input to the end (awk, not head): a closed pipe would count as failure.
first=$(smi --query-gpu=name,driver_version | awk 'NR == 1') || cannot "nvidia-smi: $first"
gpu_name=$(awk -F', ' '{ print $1 }' <<<"$first")
driver=$(awk -F', ' '{ print $2 }' <<<"$first")
slug=$(tr -cs '[:alnum:]' '-' <<<"${gpu_name,,}")
out=${2:-$root/docs/hardware/${slug%-}-$driver}
mkdir -p "$out"
work=$(mktemp -d)
server='' load=''
stop() {
  local pid=$1
  [[ -n $pid ]] || return 0
  # It may have ended by itself; and one that was told to end has an exit status to match.
  kill "$pid" 2>/dev/null || true
  wait "$pid" 2>/dev/null || true
}
trap 'stop "$load"; stop "$server"; rm -rf "$work"' EXIT

# ---- heatsink, on a port that nobody else has --------------------------------------------------

for _ in {1..50}; do
  port=$((20000 + RANDOM % 20000))
  (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
done
url=http://127.0.0.1:$port
# Without the host's name: what is kept here is about the GPU.
"$heatsink" --address "127.0.0.1:$port" -c 1000 --no-hostname >"$out/heatsink.log" 2>&1 &
server=$!
for ((try = 0; ; try++)); do
  curl -fsS -m 2 -o /dev/null "$url/ready" 2>/dev/null && break
  kill -0 "$server" 2>/dev/null || cannot "heatsink ended; see $out/heatsink.log"
  ((try < 150)) || cannot "heatsink is not ready after 30 s; see $out/heatsink.log"
  sleep 0.2
done

# ---- which columns this nvidia-smi knows -------------------------------------------------------

knows() {
  local answer
  answer=$(smi "$1" 2>&1) && [[ $answer != *'not a valid field'* ]]
}
: >"$work/plan"
: >"$work/not-compared"
gpu_columns='' row_columns=''
while IFS='|' read -r field columns scale absolute relative kind _; do
  found=''
  for column in $columns; do
    if knows "--query-gpu=uuid,$column"; then
      gpu_columns+=",$column" found=$column
    elif [[ $column == remapped_rows.* ]] && knows "--query-remapped-rows=gpu_uuid,$column"; then
      row_columns+=",$column" found=$column
    fi
    [[ -z $found ]] || break
  done
  if [[ -n $found ]]; then
    printf '%s\t' "$field" "$found" "$scale" "$absolute" "$relative" >>"$work/plan"
    printf '%s\n' "$kind" >>"$work/plan"
  else
    say "$field: nvidia-smi $driver has no column ${columns// / or }" >>"$work/not-compared"
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

# From a page to the same lines: uuid, family or label, value.
unfold_page() {
  awk 'BEGIN { OFS = "\t" }
    /^DCGM_/ && match($0, /[{,]UUID="[^"]*"/) {
      uuid = substr($0, RSTART + 7, RLENGTH - 8)
      family = substr($0, 1, index($0, "{") - 1)
      labels = substr($0, index($0, "{") + 1)
      value = $0
      sub(/.*} */, "", value)
      sub(/ .*/, "", value)
      print uuid, family, value
      while (match(labels, /^,?[A-Za-z_][A-Za-z0-9_]*="([^"\\]|\\.)*"/)) {
        pair = substr(labels, RSTART, RLENGTH)
        labels = substr(labels, RLENGTH + 1)
        sub(/^,/, "", pair)
        at = index(pair, "=")
        print uuid, "label:" substr(pair, 1, at - 1), substr(pair, at + 2, length(pair) - at - 2)
      }
    }' "$1"
}

# ---- one round ---------------------------------------------------------------------------------

# Files: plan, before, after, page. A line for each GPU and field: phase, round, uuid, field,
# verdict, difference, before, served, after.
compare() {
  awk -F'\t' -v phase="$1" -v round="$2" '
    function absent(v) { return v == "" || v == "N/A" || v ~ /^\[.*\]$/ }
    function hex(v,   i, n) {
      v = tolower(v); sub(/^0x/, "", v)
      for (i = 1; i <= length(v); i++) n = n * 16 + index("0123456789abcdef", substr(v, i, 1)) - 1
      return n + 0
    }
    function flag(v) { return v ~ /^[Yy]es$/ ? 1 : v ~ /^[Nn]o$/ ? 0 : v }
    # How many bits of v are set in neither answer, or unset though set in both.
    function odd_bits(v, a, b,   i, n) {
      for (i = 0; i < 53; i++) {
        n += (v % 2 > a % 2 && v % 2 > b % 2) || (v % 2 < a % 2 && v % 2 < b % 2)
        v = int(v / 2); a = int(a / 2); b = int(b / 2)
      }
      return n + 0
    }
    function out(verdict, difference) {
      print phase, round, uuid, field, verdict, difference, b == "" ? "-" : b, \
        got == "" ? "-" : got, a == "" ? "-" : a
    }
    BEGIN { OFS = "\t" }
    FILENAME == ARGV[1] {
      plan[++rows] = $1; column[rows] = $2; scale[rows] = $3; absolute[rows] = $4
      relative[rows] = $5; kind[rows] = $6
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
        b = before[uuid, column[r]]; a = after[uuid, column[r]]; got = page[uuid, field]
        if (absent(b) && absent(a)) { if (got == "") out("absent", 0); else out("FAIL", "not in nvidia-smi"); continue }
        if (got == "") { if (absent(a) || absent(b)) out("absent", 0); else out("FAIL", "not on the page"); continue }
        # It came or went between the two questions: hold it against the one answer there is.
        if (absent(b)) b = a
        if (absent(a)) a = b
        if (kind[r] == "text") { if (got == b || got == a) out("pass", 0); else out("FAIL", "another text"); continue }
        if (got !~ /^[-+]?[0-9.]+([eE][-+]?[0-9]+)?$/) { out("FAIL", "not a number"); continue }
        if (kind[r] == "bits") {
          difference = odd_bits(got + 0, hex(b), hex(a))
          out(difference == 0 ? "pass" : "FAIL", difference)
          continue
        }
        low = flag(b) * scale[r]; high = flag(a) * scale[r]
        if (low > high) { swap = low; low = high; high = swap }
        difference = got < low ? low - got : got > high ? got - high : 0
        allowed = relative[r] / 100 * high
        if (allowed < absolute[r]) allowed = absolute[r]
        out(difference <= allowed ? "pass" : "FAIL", difference)
      }
    }' "$work/plan" "$work/before" "$work/after" "$work/page"
}

phase() {
  local name=$1 round
  for ((round = 1; round <= rounds; round++)); do
    ask_nvidia_smi >"$work/before" || cannot "nvidia-smi stopped answering"
    curl -fsS -m 10 -o "$out/page-$name.prom" "$url/metrics" || cannot "the scrape failed"
    ask_nvidia_smi >"$work/after" || cannot "nvidia-smi stopped answering"
    unfold_page "$out/page-$name.prom" >"$work/page"
    compare "$name" "$round" >>"$out/comparisons.tsv"
    # Longer than a reading interval, so that no two rounds see the same reading.
    sleep 1.3
  done
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

failed=0
printf 'phase\tround\tuuid\tfield\tverdict\tdifference\tbefore\tserved\tafter\n' >"$out/comparisons.tsv"
say "comparing with nvidia-smi: $gpu_name, driver $driver, $rounds rounds idle ..."
sleep 3
phase idle
load_line=''
if start_load; then
  say "$load_line; $rounds rounds after ${warm_up} s ..."
  sleep "$warm_up"
  phase load
  if ! kill -0 "$load" 2>/dev/null; then
    load_line+=' (ended before the rounds did: those were not all under load)'
    failed=1
  fi
  stop "$load"
fi
load=''

"$heatsink" check >"$out/check.txt" 2>&1 && check='exit status 0' || { check="exit status $?"; failed=1; }
timings='in check-timings.txt'
"$heatsink" check --timings >"$out/check-timings.txt" 2>&1 || { timings="exit status $?"; failed=1; }

stopping=$(date +%s%N)
kill -TERM "$server"
wait "$server" && ended='exit status 0' || { ended="exit status $?"; failed=1; }
server=''
ended+=" after $((($(date +%s%N) - stopping) / 1000000)) ms"

# Serial numbers are nobody's business; temperatures are.
nvidia-smi -q | awk 'NR <= 60' | sed -E 's/((Serial|Board ID|GPU PDI).*: ).*/\1(left out)/' >"$out/nvidia-smi-q.txt"

summary() {
  say "GPU        $gpu_name ($(nvidia-smi -L | wc -l) in this machine)"
  say "driver     $driver"
  say "heatsink   $("$heatsink" --version 2>&1 | awk 'NR == 1')"
  say "date       $(date -u +%Y-%m-%d)"
  say "rounds     $rounds idle, $(grep -qs '^load' "$out/comparisons.tsv" && say "$rounds" || say 0) under load"
  say "$load_line" | sed 's/^load: /load       /'
  say "check      $check"
  say "timings    $timings"
  say "SIGTERM    $ended"
  say
  awk -F'\t' '
    NR == 1 { next }
    !($4 in total) { order[++fields] = $4 }
    { total[$4]++ }
    $5 == "pass" { pass[$4]++ }
    $5 == "absent" { absent[$4]++ }
    $5 == "FAIL" { bad[$4]++ }
    $6 ~ /^[0-9.e+-]+$/ { if ($6 + 0 > worst[$4] + 0) worst[$4] = $6 }
    $6 !~ /^[0-9.e+-]+$/ { remark[$4] = $6 }
    END {
      line = "%-40s %8s %8s %8s %10s  %s\n"
      printf line, "field", "compared", "passed", "absent", "worst", "verdict"
      for (i = 1; i <= fields; i++) {
        f = order[i]
        verdict = bad[f] ? "FAIL" (remark[f] ? ": " remark[f] : "") : absent[f] == total[f] ? "absent in both" : "pass"
        printf line, f, total[f], pass[f] + 0, absent[f] + 0, absent[f] == total[f] ? "-" : worst[f] + 0, verdict
      }
    }' "$out/comparisons.tsv"
  say
  say 'compared: GPUs x rounds. worst: how far a value lay outside the two answers of nvidia-smi.'
  say
  say 'Not compared:'
  sed 's/^/  /' "$work/not-compared"
  awk -F'[{ ]' 'FILENAME != ARGV[3] { split($0, row, /[\t:]/); known[row[1]] = 1; next }
    /^DCGM_/ && !($1 in known) && !said[$1]++ { print "  " $1 ": served, and nvidia-smi has no such column" }
    ' "$work/plan" "$work/not-compared" "$out/page-idle.prom"
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
