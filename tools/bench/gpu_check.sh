#!/usr/bin/env bash
# Everything that needs a GPU, in one go: the GPU tests, the benchmarks, a training of three minutes. Prints one table at
# the end; logs and JSON records go to the folder given (default: gpu_check).
#
#   tools/gpu_check.sh [FOLDER] [STORE]      STORE: a sequence store to train on; without one, made-up recordings
#
# PYTHON=... names the interpreter (default: python3). Goes on where a part fails, and ends with the number of failures.
set -u
out=$(realpath -m "${1:-gpu_check}") store=${2:+$(realpath -m "$2")} python=${PYTHON:-python3} failures=0
cd "$(dirname "$0")/../.." || exit 2
export PYTHONPATH=. PYTHONUNBUFFERED=1
"$python" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' || { echo "torch finds no GPU" >&2; exit 2; }
mkdir -p "$out"

part() { # NAME SECONDS COMMAND...: runs it, keeps its output, counts a failure
    local name=$1 limit=$2 start=$SECONDS
    shift 2
    if timeout "$limit" "$@" > "$out/$name.log" 2>&1; then state=ok; else state="FAILED ($?)" failures=$((failures + 1)); fi
    printf '%-28s %-14s %5d s\n' "$name" "$state" $((SECONDS - start)) | tee -a "$out/parts.txt"
}

: > "$out/parts.txt"
options=(precision=bf16 runs_dir="$out" name=run)
if [ -z "$store" ]; then
    store=$out/demo.h5
    options+=(model.queue_size=256 save_every=50) # some 500 recordings make a short epoch
    part data_raw 120 "$python" data_prep/demo_gendata.py --out "$out/demo_raw" --overwrite
    part data_store 60 "$python" data_prep/ntu_gendata.py --dataset ntu60 --raw "$out/demo_raw" --out "$store" --overwrite
else
    options+=(save_every=1)
fi
options+=(data.store="$store")
part tests 600 "$python" -m pytest tests/engine/test_gpu.py tests/engine/test_official.py tests/models/test_reference.py
for batch in 64 256; do
    part "train_bf16_$batch" 240 "$python" tools/bench/bench_train.py --precision bf16 --batch $batch --json "$out/train_bf16_$batch.json"
done
part train_tf32_64 240 "$python" tools/bench/bench_train.py --precision tf32 --batch 64 --json "$out/train_tf32_64.json"
part train_bf16_64_eager 240 "$python" tools/bench/bench_train.py --precision bf16 --batch 64 --compile off --json "$out/train_bf16_64_eager.json"
part eval_bf16 120 "$python" tools/bench/bench_eval.py --precision bf16 --json "$out/eval_bf16.json"
part eval_fp32 120 "$python" tools/bench/bench_eval.py --json "$out/eval_fp32.json"
part objectives 240 "$python" tools/bench/bench_objectives.py -c configs/ntu60_xsub.yaml precision=bf16
part views_64 60 "$python" tools/bench/bench_views.py --device cuda --batch 64
part views_256 60 "$python" tools/bench/bench_views.py --device cuda --batch 256
# the paper's model and optimiser, stopped by the clock if it has not ended by then (124)
part training 200 bash -c 'timeout -s INT 180 "$@"; state=$?; [ $state = 0 ] || [ $state = 124 ]' train \
    "$python" tools/train.py -c configs/ntu60_xsub.yaml --overwrite "${options[@]}"
part linear 120 "$python" tools/eval_linear.py -c configs/ntu60_xsub.yaml "${options[@]}" --checkpoint "$out/run/last.pt"
part protocols 180 "$python" tools/bench/bench_protocols.py
part retrieval 180 "$python" tools/eval_knn.py -c configs/ntu60_xsub.yaml "${options[@]}" \
    --checkpoint raw --checkpoint none --checkpoint "$out/run/last.pt"

echo && cat "$out/parts.txt" && echo
"$python" - "$out" <<'TABLE'
import json, pathlib, sys

folder = pathlib.Path(sys.argv[1])
print(f"{'':24}{'batch':>6}{'precision':>10}{'clips/s':>10}{'of floor':>10}{'against literal fp32':>22}")
for path in sorted(folder.glob("*.json")):
    record = json.loads(path.read_text())
    own = record["seconds"].get("step", record["seconds"].get("features"))
    rate, reached = record["batch"] / own, record["floor_seconds"] / own
    ratio = rate * record["seconds"]["literal"] / record.get("literal_batch", record["batch"])
    print(f"{path.stem:24}{record['batch']:6}{record['precision']:>10}{rate:10.0f}{reached:10.0%}{ratio:22.2f}")
epochs = [json.loads(line) for line in (folder / "run" / "metrics.jsonl").read_text().splitlines()]
last = epochs[-1]
print(f"training: {len(epochs)} epochs, loss {epochs[0]['loss']:.2f} to {last['loss']:.2f}, "
      f"{last['clips_per_second']:.0f} clips/s, data share {last['data_share']:.3f}")
TABLE
grep -h "pairs of views" "$out"/views_*.log
cat "$out/objectives.log"
tail -n 5 "$out/retrieval.log"
cat "$out/linear.log" "$out/protocols.log"
grep -hE '[0-9]+ (passed|failed)' "$out/tests.log"
exit $failures
