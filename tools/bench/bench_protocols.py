#!/usr/bin/env python3
import resource
from collections.abc import Callable
from functools import partial

import torch
from bench_lib import bench_parser, describe_machine, finish, interleaved_seconds, wall_seconds
from sklearn.neighbors import KNeighborsClassifier

from scdnet.cli import run_command
from scdnet.config import LinearConfig
from scdnet.engine.device import resolve_device
from scdnet.eval.features import Features
from scdnet.eval.knn import accuracy_1nn, retrieve
from scdnet.eval.linear import linear_probe

NUM_CLASSES = 60
NUM_FEATURES = 4096
# Sizes of the training and the test split; the linear probe has those of NTU-60, x-sub.
SIZES = {"linear": (40_091, 16_487), "compared": (20_000, 2_000), "retrieval": (100_000, 50_000)}


def synthetic_features(num: int, seed: int) -> Features:
    """Return features that scatter around a direction for each class."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.randint(NUM_CLASSES, (num,), generator=generator)
    shared = torch.Generator().manual_seed(99)
    centers = torch.randn(NUM_CLASSES, NUM_FEATURES, generator=shared)
    x = torch.randn(num, NUM_FEATURES, generator=generator).mul_(8).add_(centers[y])
    return Features(x, y)


def scikit_1nn(gallery: Features, queries: Features) -> float:
    """Return the 1-NN accuracy in percent by scikit-learn's brute force."""
    model = KNeighborsClassifier(1, metric="cosine", algorithm="brute")
    model.fit(gallery.x.numpy(), gallery.y.numpy())
    return 100 * model.score(queries.x.numpy(), queries.y.numpy())


def peak_mb() -> float:
    """Return the peak memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def main() -> None:
    """Time the linear probe and kNN retrieval, also against scikit-learn, on synthetic features."""
    parser = bench_parser(main.__doc__, rounds=3)
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    for name, default in SIZES.items():
        parser.add_argument(
            f"--{name}", type=int, nargs=2, default=default, metavar=("TRAIN", "TEST")
        )
    args = parser.parse_args()
    device = resolve_device(args.device)

    train, test = (synthetic_features(num, seed) for seed, num in enumerate(args.linear))
    probe = partial(
        linear_probe, train, test, LinearConfig(), num_classes=NUM_CLASSES, seed=0, device=device
    )
    linear = wall_seconds(probe, device)
    print(f"linear probe, 80 epochs on {len(train.x)} x {NUM_FEATURES}: {linear:.1f} s")
    # Free the memory before that of the retrieval is measured.
    del train, test, probe

    gallery, queries = (synthetic_features(num, seed) for seed, num in enumerate(args.compared))
    retrieval = partial(retrieve, gallery, queries, num_classes=NUM_CLASSES, device=device)
    works: dict[str, Callable[[], float]] = {
        "scikit-learn, 1-NN": partial(scikit_1nn, gallery, queries),
        "scdnet, 1-NN": partial(accuracy_1nn, gallery, queries, device),
        "scdnet, all metrics": lambda: retrieval().metrics["knn@1"],
    }
    scores = [work() for work in works.values()]
    assert max(scores) - min(scores) < 0.1, scores
    seconds = interleaved_seconds(works, device, args.rounds)
    for name, value in seconds.items():
        speedup = seconds["scikit-learn, 1-NN"] / value
        print(
            f"{name}, {len(queries.x)} queries in {len(gallery.x)}: {value:.2f} s, "
            f"speedup {speedup:.2f}"
        )

    gallery, queries = (synthetic_features(num, seed) for seed, num in enumerate(args.retrieval))
    before = peak_mb()
    retrieval = partial(retrieve, gallery, queries, num_classes=NUM_CLASSES, device=device)
    full = wall_seconds(retrieval, device)
    print(
        f"{len(queries.x)} queries in {len(gallery.x)}: {full:.0f} s, "
        f"{len(queries.x) / full:.0f} queries/s, peak memory {before:.0f} -> {peak_mb():.0f} MB"
    )
    seconds |= {"linear": linear, "retrieval": full}
    finish({"machine": describe_machine(device), "seconds": seconds}, args.json)


if __name__ == "__main__":
    run_command(main)
