#!/usr/bin/env python3
"""1-NN accuracy of encoders on stores that they have not seen, beside the baselines."""

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from tabulate import tabulate
from torch import Tensor

from scdnet.cli import command_parser, run_command
from scdnet.config import DataConfig
from scdnet.data.clips import Clips, load_clips
from scdnet.data.store import open_sequences
from scdnet.engine.device import disable_malloc_trim, seed_everything
from scdnet.engine.sources import read_pretrained
from scdnet.errors import ScdnetError
from scdnet.eval import raw_pca
from scdnet.eval.features import Features, extract_features
from scdnet.eval.knn import accuracy_1nn
from scdnet.models.encoder import DualPathEncoder

CPU = torch.device("cpu")
# A benchmark in which each subject is the test split once; the queries of all are counted together.
EACH_SUBJECT = "leave-one-subject-out"
RANDOM_SEEDS = (0, 1, 2)


def open_store(
    path: Path, benchmark: str, *, num_frames: int, num_bodies: int, stream: str = "joint"
) -> Clips:
    """Open a store of which every sequence is cut into one evaluation view."""
    config = DataConfig(
        store=path, benchmark=benchmark, num_frames=num_frames, num_bodies=num_bodies
    )
    return load_clips(config, stream, CPU)


def training_splits(clips: Clips) -> Iterator[Tensor]:
    """Yield where a sequence belongs to the training split (N,) bool, for each split."""
    if clips.benchmark != EACH_SUBJECT:
        if clips.benchmark not in clips.splits:
            raise ScdnetError(f"{clips.store}: no benchmark {clips.benchmark!r}")
        yield clips.splits[clips.benchmark]
        return
    with open_sequences(clips.store) as store:
        subject = torch.from_numpy(store.table.subject)
    for number in subject.unique():
        yield subject != number


def score(clips: Clips, features: Callable[[Clips], Tensor]) -> float:
    """Return the 1-NN accuracy in percent over the queries of all splits.

    `features` returns those of all sequences (N, D), and may look at the training split.
    """
    hits = 0.0
    total = 0
    for is_train in training_splits(clips):
        split = replace(clips, splits={clips.benchmark: is_train})
        x = features(split)
        gallery, queries = (Features(x[rows], clips.label[rows]) for rows in (is_train, ~is_train))
        hits += accuracy_1nn(gallery, queries, CPU) * len(queries.y)
        total += len(queries.y)
    return hits / total


def score_encoder(encoder: DualPathEncoder, stream: str, path: Path, benchmark: str) -> float:
    """Return the 1-NN accuracy of an encoder of a stream in percent."""
    sizes = encoder.sizes
    clips = open_store(
        path,
        benchmark,
        num_frames=sizes.num_frames,
        num_bodies=sizes.num_bodies,
        stream=stream,
    )
    if clips.skeleton != encoder.skeleton:
        raise ScdnetError(
            f"{path}: has the joints of {clips.skeleton.name}, but the encoder those of "
            f"{encoder.skeleton.name}; convert it with --to {encoder.skeleton.name}"
        )
    x = extract_features(encoder, clips).x
    return score(clips, lambda _: x)


def score_baselines(path: Path, benchmark: str) -> dict[str, float]:
    """Return the 1-NN accuracies of raw views and raw-pca in percent."""
    clips = open_store(
        path, benchmark, num_frames=raw_pca.NUM_FRAMES, num_bodies=raw_pca.NUM_BODIES
    )
    rows = torch.arange(len(clips.label)).split(256)
    views = torch.cat(list(clips.evaluation_views(rows))).flatten(1)
    return {
        "raw views": score(clips, lambda _: views),
        "raw-pca": score(clips, raw_pca.extract_raw_pca),
    }


def randomize(encoder: DualPathEncoder, seed: int) -> DualPathEncoder:
    """Return an untrained encoder of the same sizes, with the same components."""
    seed_everything(seed)
    other = DualPathEncoder(encoder.sizes, encoder.skeleton)
    other.components = encoder.components
    return other.eval()


def parse_store(text: str) -> tuple[Path, str]:
    """Split PATH:BENCHMARK."""
    path, colon, benchmark = text.rpartition(":")
    if not colon:
        raise argparse.ArgumentTypeError(f"expected PATH:BENCHMARK, found {text!r}")
    return Path(path), benchmark


def evaluate(
    stores: Sequence[tuple[Path, str]], sources: Sequence[str]
) -> list[dict[str, str | float]]:
    """Return a row for each store and encoder."""
    pretrained = {source: read_pretrained(source) for source in sources}
    # The authors' checkpoints, which state no stream, are encoders of joints.
    encoders = {source: (one.build(), one.stream or "joint") for source, one in pretrained.items()}
    first, stream = encoders[sources[0]]
    rows: list[dict[str, str | float]] = []
    for path, benchmark in stores:
        scores = score_baselines(path, benchmark)
        for seed in RANDOM_SEEDS:
            scores[f"untrained, components of the first, seed {seed}"] = score_encoder(
                randomize(first, seed), stream, path, benchmark
            )
        for name, (encoder, own) in encoders.items():
            scores[name] = score_encoder(encoder, own, path, benchmark)
        for name, value in scores.items():
            above = value - scores["raw-pca"]
            rows.append(
                {"store": path.stem, "benchmark": benchmark, "features": name}
                | {"1-NN": value, "above raw-pca": above}
            )
    return rows


def main(argv: Sequence[str] | None = None) -> None:
    """Evaluate encoders on stores that they have not seen, beside the baselines."""
    parser = command_parser("", main.__doc__)
    parser.add_argument(
        "--encoder", action="append", required=True, help="name, directory or checkpoint"
    )
    parser.add_argument(
        "--store",
        action="append",
        required=True,
        type=parse_store,
        metavar="PATH:BENCHMARK",
        help=f"a store with the joints of the encoder; BENCHMARK may be {EACH_SUBJECT}",
    )
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    args = parser.parse_args(argv)
    disable_malloc_trim()
    rows = evaluate(args.store, args.encoder)
    print(tabulate(rows, headers="keys", tablefmt="github", floatfmt=".1f"))
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    run_command(main)
