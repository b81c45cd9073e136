#!/usr/bin/env python3
import torch
from bench_lib import (
    OURS,
    REFERENCE,
    compare,
    comparison_parser,
    finish,
    largest_difference,
    print_comparison,
    synthetic_clips,
)
from torch import nn

from scdnet.cli import run_command
from scdnet.config import Config
from scdnet.engine.build import encoder_sizes
from scdnet.engine.device import disable_malloc_trim, resolve_device, seed_everything, set_precision
from scdnet.engine.official import encoder_weights
from scdnet.eval.features import BATCH, GPU_BATCH
from scdnet.models.encoder import DualPathEncoder
from scdnet.skeletons import NTU_25
from tests.reference import encoder as reference

WARM_UP = 3


def main() -> None:
    """Compare feature extraction, views included, with the reference implementation (fp32)."""
    parser = comparison_parser(main.__doc__)
    parser.add_argument(
        "--batch", type=int, help="clips in a forward pass (default: as in evaluation)"
    )
    args = parser.parse_args()
    device = resolve_device(args.device)
    batch = args.batch or (BATCH if device.type == "cpu" else GPU_BATCH)
    # The queue is not used; it only has to be large enough for the batch.
    model = {"embed_dim": args.embed_dim, "queue_size": batch}
    config = Config(precision=args.precision, data={"batch_size": batch}, model=model)
    disable_malloc_trim()
    seed_everything(0)
    clips, batches = synthetic_clips(config, device)
    slow = reference.Encoder(encoder_sizes(config)).to(device)
    encoder = DualPathEncoder(encoder_sizes(config), NTU_25).to(device)
    encoder.load_state_dict(encoder_weights(slow.state_dict()))
    set_precision("fp32", device)
    difference = largest_difference(encoder, slow, next(clips.evaluation_views(batches))[:16])
    # The counter of operations wants no gradients, nor inference mode.
    slow.eval().requires_grad_(False)
    encoder.eval().requires_grad_(False)

    def extract(network: nn.Module, precision: str) -> None:
        with set_precision(precision, device)():
            network(next(clips.evaluation_views(batches)))

    computations = {
        REFERENCE: lambda: extract(slow, "fp32"),
        OURS: lambda: extract(encoder, config.precision),
    }
    works = {name: torch.inference_mode()(work) for name, work in computations.items()}
    for work in [*works.values()] * WARM_UP:
        work()
    clips_of = dict.fromkeys(works, batch)
    record = compare(works, computations, clips_of, device=device, args=args)
    record["largest_difference"] = difference
    print_comparison(record)
    finish(record, args.json)


if __name__ == "__main__":
    run_command(main)
