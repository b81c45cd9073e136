#!/usr/bin/env python3
import statistics
from pathlib import Path

from tabulate import tabulate

from scdnet.cli import config_parser, run_command
from scdnet.config_file import load_config
from scdnet.data.clips import load_clips
from scdnet.engine.device import disable_malloc_trim, resolve_device
from scdnet.eval.features import Features, extract_features, load_encoder_or_baseline
from scdnet.eval.knn import retrieve, split_features
from scdnet.results.record import ModuleBaseline

# UI-PRMD: class c is exercise c % 10, done correctly (c < 10) or wrongly.
NUM_CLASSES = 20
NUM_EXERCISES = 10
NUM_RANDOM = 3


def main() -> None:
    """Evaluate checkpoints and baselines by 1-NN on UI-PRMD's 20 classes and 10 exercises."""
    parser = config_parser("", main.__doc__)
    parser.prog = "bench_uiprmd.py"
    parser.add_argument(
        "--checkpoint", nargs="+", default=[], type=Path, help="checkpoints, one per seed"
    )
    args = parser.parse_args()
    config = load_config(args.config, args.overrides)
    clips = load_clips(config.data, config.stream, resolve_device(config.device))
    disable_malloc_trim()

    def evaluate(source: Path | ModuleBaseline, seed: int) -> list[float]:
        encoder, _ = load_encoder_or_baseline(
            source, config.model_copy(update={"seed": seed}), clips.skeleton
        )
        features = extract_features(encoder, clips, config.precision)
        numbers = []
        for num_classes in (NUM_CLASSES, NUM_EXERCISES):
            labeled = Features(features.x, features.y % num_classes)
            gallery, queries = split_features(labeled, clips)
            metrics = retrieve(gallery, queries, num_classes=num_classes).metrics
            numbers += [metrics["knn@1"], metrics["map"]]
        return numbers

    random_init = [evaluate("random-init", seed) for seed in range(NUM_RANDOM)]
    trained = [evaluate(path, config.seed) for path in args.checkpoint]
    rows = {"raw": evaluate("raw", 0)}
    rows |= {f"random-init, seed {seed}": numbers for seed, numbers in enumerate(random_init)}
    rows |= dict(zip(map(str, args.checkpoint), trained, strict=True))
    for name, group in (("random-init, mean", random_init), ("trained, mean", trained)):
        if group:
            rows[name] = [statistics.mean(column) for column in zip(*group, strict=True)]
    columns = [f"{metric}, {n}" for n in (NUM_CLASSES, NUM_EXERCISES) for metric in ("1-NN", "map")]
    headers = [f"UI-PRMD {config.data.benchmark}, {config.stream}, percent", *columns]
    print(tabulate([[name, *row] for name, row in rows.items()], headers, floatfmt=".1f"))


if __name__ == "__main__":
    run_command(main)
