"""`scdnet prepare synthetic`: write a store of random actions."""

from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from scdnet.cli import command_parser
from scdnet.commands.prepare_demo import add_sizes
from scdnet.data.store_writer import StoreWriter
from scdnet.raw.convert import add_workers, check_output
from scdnet.raw.worker_pool import map_ordered
from scdnet.synthetic.random_dataset import NUM_PEOPLE, SKELETON, RandomPlan, record_action
from scdnet.version import __version__

# The name of the dataset and its benchmark, whose sequences are all for training.
DATASET = "synthetic"
BENCHMARK = "custom"
# Meaning and range of the numbers of RandomPlan.
SIZES = {
    "actions": ("random actions", range(1, 1_000_000)),
    "people": ("people who do each action", range(1, NUM_PEOPLE + 1)),
    "cameras": ("cameras that record each performance", range(1, 1000)),
    "seed": ("seed of the recordings", range(2**32)),
}


def write_store(out: Path, plan: RandomPlan, *, num_workers: int) -> int:
    """Write the recordings of `plan` to a store; returns their number."""
    recorded = map_ordered(
        partial(record_action, plan=plan), range(plan.actions), num_workers=num_workers
    )
    writer = StoreWriter(
        out,
        dataset=DATASET,
        skeleton=SKELETON,
        class_names=tuple(f"action {number}" for number in range(plan.actions)),
        created_by=f"scdnet {__version__}",
        attributes={"plan": str(plan)},
    )
    progress = tqdm(recorded, total=plan.actions, unit=" actions", disable=None)
    with closing(recorded), writer, progress:
        for sequences in progress:
            for sequence in sequences:
                writer.append(sequence)
        num_sequences = len(writer.table().name)
        writer.finish({BENCHMARK: np.ones(num_sequences, dtype=bool)})
    return num_sequences


def main(argv: Sequence[str] | None = None) -> None:
    """Write a store of synthetic people in random actions, to pretrain a general encoder on."""
    parser = command_parser("prepare synthetic", main.__doc__)
    parser.add_argument("--out", type=Path, required=True, metavar="STORE", help="the store")
    add_sizes(parser, SIZES, defaults=RandomPlan._field_defaults)
    add_workers(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier store")
    args = parser.parse_args(argv)
    check_output(args.out, overwrite=args.overwrite)
    plan = RandomPlan(**{name: getattr(args, name) for name in SIZES})
    num_sequences = write_store(args.out, plan, num_workers=args.workers)
    print(f"Sequence store: {args.out}, {num_sequences} sequences of {plan.actions} actions.")
