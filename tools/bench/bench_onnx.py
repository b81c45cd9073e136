#!/usr/bin/env python3
from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from bench_lib import CPU, bench_parser, describe_machine, finish, interleaved_seconds
from tabulate import tabulate

from scdnet.cli import run_command
from scdnet.engine.checkpoint import load_encoder
from scdnet.engine.device import disable_malloc_trim, seed_everything
from scdnet.eval.features import encode
from scdnet.eval.onnx_export import OUTPUT, export_onnx, open_session
from scdnet.models.encoder import DualPathEncoder, EncoderSizes
from scdnet.skeletons import NTU_25

BATCHES = (1, 16, 64)
WARM_UP = 3
TORCH = "torch"
ONNX = "onnxruntime"
# The number of clips among 16 that have a second body: all, and as many as in NTU RGB+D. The graph
# does the same work for an absent body, torch does none.
TWO_PEOPLE = (16, 3)


def sample_clips(encoder: DualPathEncoder, num: int, two_people: int) -> torch.Tensor:
    """Draw clips (N, C, T, V, M) of noise, of which so many of 16 have a second body."""
    sizes = encoder.sizes
    clips = torch.randn(num, 3, sizes.num_frames, encoder.skeleton.num_joints, sizes.num_bodies)
    is_alone = torch.arange(num) % 16 < 16 - two_people
    clips[is_alone, ..., 1:] = 0
    return clips


def make_works(
    encoder: DualPathEncoder, run: Callable[..., object], clips: torch.Tensor
) -> dict[str, Callable[[], object]]:
    """Return one forward pass of each over the same clips."""
    given = {"clips": clips.numpy()}
    return {TORCH: partial(encode, encoder, clips), ONNX: partial(run, [OUTPUT], given)}


def main() -> None:
    """Compare onnxruntime with torch on the CPU: features of evaluation views, by batch.

    The encoder is that of a checkpoint, or one without training of the sizes that are given.
    """
    parser = bench_parser(main.__doc__, rounds=21)
    parser.add_argument("--checkpoint", type=Path, help="default: an encoder without training")
    parser.add_argument("--base-channels", type=int, default=32)
    parser.add_argument("--embed-dim", type=int, default=512)
    parser.add_argument("--num-frames", type=int, default=32)
    parser.add_argument("--num-bodies", type=int, default=2)
    args = parser.parse_args()
    disable_malloc_trim()
    seed_everything(0)
    if args.checkpoint:
        encoder = load_encoder(args.checkpoint)
    else:
        sizes = EncoderSizes(
            base_channels=args.base_channels,
            embed_dim=args.embed_dim,
            num_frames=args.num_frames,
            num_bodies=args.num_bodies,
        )
        encoder = DualPathEncoder(sizes, NTU_25).eval()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "encoder.onnx"
        stream = "all" if encoder.sizes.num_streams > 1 else "joint"
        written = export_onnx(encoder, path, stream=stream)
        session = open_session(path, num_threads=torch.get_num_threads())
    rows = []
    record: dict[str, object] = {"machine": describe_machine(), "sizes": vars(encoder.sizes)}
    shares = TWO_PEOPLE if encoder.sizes.num_bodies > 1 else (0,)
    for num, two_people in product(BATCHES, shares):
        works = make_works(encoder, session.run, sample_clips(encoder, num, two_people))
        for work in [*works.values()] * WARM_UP:
            work()
        seconds = interleaved_seconds(works, CPU, args.rounds)
        record[f"seconds, batch {num}, {two_people} of 16 with two people"] = seconds
        times = [1e3 * seconds[name] for name in (TORCH, ONNX)]
        rows.append([num, two_people, *times, times[0] / times[1]])
    print(f"{encoder.sizes}; largest difference {written.largest_difference:.1e}")
    headers = ["batch", "two people of 16", "torch, ms", "onnxruntime, ms", "speedup"]
    print(tabulate(rows, headers, floatfmt=".2f"))
    finish(record, args.json)


if __name__ == "__main__":
    run_command(main)
