#!/usr/bin/env python3
import resource
from functools import partial

import torch
from bench_lib import describe_machine, interleaved, seconds
from sklearn.neighbors import KNeighborsClassifier

from scdnet.cli import command_parser, run_command
from scdnet.config import LinearConfig
from scdnet.engine.device import resolve_device
from scdnet.eval.features import Features
from scdnet.eval.knn import accuracy_1nn, retrieve
from scdnet.eval.linear import linear_probe

CLASSES, WIDTH = 60, 4096
COMPARED = (20_000, 2_000)  # gallery and queries that are compared with scikit-learn
NTU60_XSUB = (40_091, 16_487)


def synthetic(num: int, seed: int) -> Features:
    """Features around a direction for each class."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.randint(CLASSES, (num,), generator=generator)
    centres = torch.randn(CLASSES, WIDTH, generator=torch.Generator().manual_seed(99))
    return Features(torch.randn(num, WIDTH, generator=generator).mul_(8).add_(centres[y]), y)


def scikit_1nn(gallery: Features, queries: Features) -> float:
    """1-NN alone, by brute force, percent."""
    model = KNeighborsClassifier(1, metric="cosine", algorithm="brute").fit(
        gallery.x.numpy(), gallery.y.numpy()
    )
    return 100 * model.score(queries.x.numpy(), queries.y.numpy())


def peak_mb() -> float:
    """The most memory this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def compare_knn(device: torch.device, rounds: int) -> None:
    """1-NN by us and by scikit-learn, and our whole retrieval with its ranking, in turns."""
    gallery, queries = synthetic(COMPARED[0], 0), synthetic(COMPARED[1], 1)
    works = {
        "scikit-learn, 1-NN": partial(scikit_1nn, gallery, queries),
        "1-NN alone": partial(accuracy_1nn, gallery, queries, device),
        "all metrics": lambda: retrieve(
            gallery, queries, num_classes=CLASSES, device=device
        ).metrics["knn@1"],
    }
    answers = [work() for work in works.values()]
    assert max(answers) - min(answers) < 0.1, answers
    taken = interleaved(works, device, rounds)
    for name, value in taken.items():
        ratio = taken["scikit-learn, 1-NN"] / value
        print(f"  {COMPARED[1]} queries in {COMPARED[0]}, {name}: {value:.2f} s, ratio {ratio:.2f}")


def time_knn(device: torch.device, num_gallery: int, num_queries: int) -> None:
    """One retrieval of full size, and the memory that it adds to the features themselves."""
    gallery, queries = synthetic(num_gallery, 0), synthetic(num_queries, 1)
    before = peak_mb()
    taken = seconds(lambda: retrieve(gallery, queries, num_classes=CLASSES, device=device), device)
    print(f"  {num_queries} queries in {num_gallery}: {taken:.0f} s, {num_queries / taken:.0f} queries/s, "
          f"peak memory {before:.0f} -> {peak_mb():.0f} MB")  # fmt: skip


def time_linear(device: torch.device) -> None:
    """The linear probe on features of NTU-60's size."""
    train, test = (synthetic(num, seed) for seed, num in enumerate(NTU60_XSUB))
    probe = partial(
        linear_probe, train, test, LinearConfig(), num_classes=CLASSES, seed=0, device=device
    )
    print(f"  linear probe, 80 epochs on {NTU60_XSUB[0]} x {WIDTH}: {seconds(probe, device):.1f} s")


def main() -> None:
    """Time kNN retrieval, against scikit-learn where both can, and the linear probe, on made-up features."""
    parser = command_parser("bench_protocols", main.__doc__)
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--gallery", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    device = resolve_device(args.device)
    print(", ".join(f"{key} {value}" for key, value in describe_machine(device).items()))
    time_linear(device)
    compare_knn(device, args.rounds)
    time_knn(device, args.gallery, args.queries)


if __name__ == "__main__":
    run_command(main)
