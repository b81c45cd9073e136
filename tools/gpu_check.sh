#!/usr/bin/env bash
# Everything that needs a GPU, in one go and about ten minutes: the GPU tests, the benchmarks, a real training of three
# minutes. Prints one table at the end; logs and JSON records go to the folder given (default: gpu_check).
#
#   tools/gpu_check.sh [FOLDER] [STORE]      STORE: a sequence store to train on; without one, made-up recordings
#
# PYTHON=... names the interpreter (default: python3). Goes on where a part fails, and ends with the number of failures.
set -u
cd "$(dirname "$0")/.." || exit 2
python=${PYTHON:-python3} out=${1:-gpu_check} store=${2:-} failures=0
export PYTHONPATH=. PYTHONUNBUFFERED=1
mkdir -p "$out"

part() { # NAME SECONDS COMMAND...: runs it, keeps its output, counts a failure
    local name=$1 limit=$2 start=$SECONDS
    shift 2
    if timeout "$limit" "$@" > "$out/$name.log" 2>&1; then state=ok; else state="FAILED ($?)" failures=$((failures + 1)); fi
    printf '%-28s %-14s %5d s\n' "$name" "$state" $((SECONDS - start)) | tee -a "$out/parts.txt"
}

: > "$out/parts.txt"
if [ -z "$store" ]; then
    store=$out/demo.h5
    part data 120 bash -c "$python data_prep/demo_gendata.py --out $out/demo_raw --overwrite && \
        $python data_prep/ntu_gendata.py --dataset ntu60 --raw $out/demo_raw --out $store --overwrite"
fi
part tests 300 "$python" -m pytest tests/engine/test_gpu.py tests/engine/test_official.py tests/models/test_literal.py
for batch in 64 256; do
    part "train_bf16_$batch" 240 "$python" tools/bench_train.py --precision bf16 --batch $batch --json "$out/train_bf16_$batch.json"
done
part train_tf32_64 240 "$python" tools/bench_train.py --precision tf32 --batch 64 --json "$out/train_tf32_64.json"
part train_bf16_64_eager 240 "$python" tools/bench_train.py --precision bf16 --batch 64 --compile off --json "$out/train_bf16_64_eager.json"
part eval_bf16 120 "$python" tools/bench_eval.py --precision bf16 --json "$out/eval_bf16.json"
part eval_fp32 120 "$python" tools/bench_eval.py --json "$out/eval_fp32.json"
part views_64 60 "$python" tools/bench_views.py --device cuda --batch 64
part views_256 60 "$python" tools/bench_views.py --device cuda --batch 256
# the paper's model and recipe, stopped by the clock; a checkpoint is written at every epoch
part training 200 bash -c "timeout -s INT 180 $python tools/train.py -c configs/ntu60_xsub.yaml --overwrite \
    data.store=$store precision=bf16 model.queue_size=256 save_every=1 runs_dir=$out name=run; test -f $out/run/last.pt"
part retrieval 60 "$python" tools/eval_knn.py -c configs/ntu60_xsub.yaml data.store="$store" precision=bf16 \
    model.queue_size=256 runs_dir="$out" name=run --checkpoint raw --checkpoint none --checkpoint "$out/run/last.pt"

echo
cat "$out/parts.txt"
for log in train_bf16_64 train_bf16_256 train_tf32_64 train_bf16_64_eager eval_bf16 eval_fp32 views_64 views_256 retrieval; do
    echo && echo "== $log" && tail -n 12 "$out/$log.log"
done
echo && echo '== training, last epochs' && tail -n 3 "$out/run/metrics.jsonl"
grep -E 'passed|failed|skipped' "$out/tests.log" | tail -n 3
exit $failures
