#!/usr/bin/env bash
# Run everything that needs a GPU: the benchmarks, a training of 65 s, the evaluations and the GPU
# tests. Print one table at the end; logs and JSON records go to DIRECTORY (default: gpu_check).
#
#   tools/bench/gpu_check.sh [DIRECTORY] [STORE]
#
# STORE is a sequence store to train on; without one, synthetic recordings are made.
# PYTHON=... names the interpreter (default: python3) of an environment with scdnet installed.
# Eager steps come first, steps as CUDA graphs after them. Each part has a time limit, together less
# than 15 minutes. A part that fails does not stop the others; the exit status is the number of
# failures.
set -u
out=$(realpath -m "${1:-gpu_check}")
store=${2:+$(realpath -m "$2")}
python=${PYTHON:-python3}
failures=0
cd "$(dirname "$0")/../.." || exit 2
export PYTHONPATH=. PYTHONUNBUFFERED=1
if ! "$python" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; then
    echo "error: torch finds no GPU" >&2
    exit 2
fi
mkdir -p "$out"
: > "$out/parts.txt"

# Run a part within a time limit, keep its output and count a failure: part NAME SECONDS COMMAND...
part() {
    local name=$1 limit=$2 start=$SECONDS state=ok
    shift 2
    timeout -k 5 "$limit" "$@" > "$out/$name.log" 2>&1 || state="FAILED ($?)"
    [ "$state" = ok ] || failures=$((failures + 1))
    printf '%-28s %-14s %5d s\n' "$name" "$state" $((SECONDS - start)) | tee -a "$out/parts.txt"
}

# Run a benchmark that writes a record: bench NAME SECONDS SCRIPT OPTION...
bench() {
    local name=$1 limit=$2 script=$3
    shift 3
    part "$name" "$limit" "$python" "tools/bench/$script.py" "$@" --json "$out/$name.json"
}

options=(-c ntu60_xsub precision=bf16 runs_dir="$out" name=run)
if [ -z "$store" ]; then
    store=$out/demo.h5
    # An epoch of 720 recordings is short.
    options+=(model.queue_size=256 save_every=50)
    part data_raw 20 "$python" -m scdnet prepare demo --out "$out/demo_raw" --overwrite
    part data_store 15 "$python" -m scdnet prepare ntu --dataset ntu60 --raw "$out/demo_raw" \
        --out "$store" --overwrite
else
    options+=(save_every=1)
fi
options+=(data.store="$store")

# Eager steps.
bench train_bf16_64 80 bench_train --precision bf16 --batch 64
bench eval_bf16 45 bench_eval --precision bf16
bench eval_fp32 50 bench_eval
# A training that has not ended after 65 s is interrupted (124), which is no failure.
part training 80 bash -c 'timeout -s INT 65 "$@"; state=$?; [ $state = 0 ] || [ $state = 124 ]' \
    train "$python" -m scdnet train "${options[@]}" --overwrite
part linear 45 "$python" -m scdnet linear "${options[@]}" --checkpoint "$out/run/last.pt"
part retrieval 45 "$python" -m scdnet knn "${options[@]}" \
    --baseline raw --baseline random-init --checkpoint "$out/run/last.pt"

# Steps as CUDA graphs.
part doctor 50 "$python" -m scdnet doctor --gpu "${options[@]}"
# In one process: several on one GPU disturb each other. -v names the test that hangs.
part tests 150 "$python" -m pytest -vv tests/engine/test_gpu.py tests/engine/train/test_rehearsal.py
bench train_bf16_64_graphed 80 bench_train --precision bf16 --batch 64 --compile auto
bench train_bf16_256_graphed 80 bench_train --precision bf16 --batch 256 --compile auto
bench objectives 70 bench_objectives -c ntu60_xsub precision=bf16 compile=auto
part protocols 80 "$python" tools/bench/bench_protocols.py

echo
cat "$out/parts.txt"
echo
"$python" - "$out" <<'TABLE'
import json
import pathlib
import sys

from tabulate import tabulate

directory = pathlib.Path(sys.argv[1])
rows = []
for path in [*sorted(directory.glob("train_*.json")), *sorted(directory.glob("eval_*.json"))]:
    record = json.loads(path.read_text())
    batch = record["batch"]
    rate = {name: batch[name] / record["seconds"][name] for name in batch}
    reached = record["floor_seconds"] / record["seconds"]["scdnet"]
    speedup = rate["scdnet"] / rate["reference"]
    rows.append([path.stem, batch["scdnet"], record["precision"], rate["scdnet"], reached, speedup])
headers = ["", "batch", "precision", "clips/s", "of floor", "speedup to reference in fp32"]
print(tabulate(rows, headers, floatfmt=("", "", "", ".0f", ".2f", ".2f")))
metrics = directory / "run" / "metrics.jsonl"
epochs = [json.loads(line) for line in metrics.read_text().splitlines()]
print(f"training: {len(epochs)} epochs")
for epoch in (*epochs[:1], *epochs[-1:]):
    print(
        f"epoch {epoch['epoch']}: loss {epoch['loss']:.2f}, {epoch['clips_per_second']:.0f} clips/s, "
        f"data_time_fraction {epoch['data_time_fraction']:.3f}"
    )
TABLE
cat "$out/doctor.log" "$out/objectives.log"
tail -n 5 "$out/retrieval.log"
cat "$out/linear.log" "$out/protocols.log"
grep -hE '[0-9]+ (passed|failed)' "$out/tests.log"
exit $failures
