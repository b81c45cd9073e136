#!/usr/bin/env python3
"""The numbers of docs/uiprmd.md. UI-PRMD: ten exercises, each done correctly (A001-A010) and wrongly (A011-A020)."""

import statistics
from collections.abc import Sequence

import torch

from scdnet.cli import config_parser, run_command
from scdnet.config_file import load_config
from scdnet.data.clips import load_clips
from scdnet.engine.device import disable_malloc_trim, resolve_device
from scdnet.eval.features import (
    RANDOM_INIT,
    RAW,
    Features,
    extract_features,
    load_encoder_or_baseline,
)
from scdnet.eval.knn import retrieve, split_features
from scdnet.results.results_file import format_table

EXERCISES = 10  # class c is exercise c % 10


def main(argv: Sequence[str] | None = None) -> None:
    """1-NN on UI-PRMD's 20 classes and on its 10 exercises, of checkpoints of one config and of two controls."""
    parser = config_parser("bench_uiprmd", main.__doc__)
    parser.add_argument("--checkpoint", nargs="+", default=[], help="checkpoints, one a seed")
    args = parser.parse_args(argv)
    config = load_config(args.config, args.overrides)
    clips = load_clips(config.data, config.stream, resolve_device(config.device))
    disable_malloc_trim()

    def row(name: str, seed: int) -> dict[str, float]:
        encoder, _ = load_encoder_or_baseline(name, config.model_copy(update={"seed": seed}))
        features = extract_features(encoder, clips, config.precision)
        metrics = {}
        for classes, y in ((20, features.y), (EXERCISES, features.y % EXERCISES)):
            found = retrieve(
                *split_features(Features(features.x, y), clips), num_classes=classes
            ).metrics
            metrics |= {f"1-NN, {classes}": found["knn@1"], f"map, {classes}": found["map"]}
        return metrics

    rows = {"raw evaluation views": row(RAW, 0)}
    untrained = [row(RANDOM_INIT, seed) for seed in range(3)]
    trained = [row(name, config.seed) for name in args.checkpoint]
    rows |= {f"untrained, seed {seed}": values for seed, values in enumerate(untrained)}
    rows |= dict(zip(args.checkpoint, trained, strict=True))
    for name, several in (("untrained, mean", untrained), ("trained, mean", trained)):
        if several:
            rows[name] = {
                column: statistics.mean(values[column] for values in several)
                for column in several[0]
            }
    print(f"torch {torch.__version__}, percent")
    print(format_table(f"UI-PRMD {config.data.benchmark}, {config.stream}", rows))


if __name__ == "__main__":
    run_command(main)
