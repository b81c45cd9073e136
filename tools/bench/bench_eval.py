#!/usr/bin/env python3
from collections.abc import Callable
from typing import Any

import torch
from bench_lib import (
    bench_parser,
    count_work,
    describe_machine,
    floor_seconds,
    interleaved,
    largest_difference,
    peak_gb,
    synthetic_clips,
    write_json,
)

from scdnet.cli import run_command
from scdnet.config import Config
from scdnet.engine.build import encoder_sizes
from scdnet.engine.device import disable_malloc_trim, resolve_device, seed_everything, set_precision
from scdnet.engine.official import encoder_weights
from scdnet.eval.features import BATCH, GPU_BATCH
from scdnet.models.encoder import DualPathEncoder
from tests.reference import encoder as reference


def build(
    config: Config, device: torch.device
) -> tuple[dict[str, Callable[[], object]], Callable[[], object], float]:
    """The literal extraction and ours, ours for the counter, and how far the features are apart in fp32."""
    seed_everything(0)
    clips, batches = synthetic_clips(config, device)
    reference_model = reference.Encoder(encoder_sizes(config)).to(device)
    encoder = DualPathEncoder(encoder_sizes(config)).to(device)
    encoder.load_state_dict(encoder_weights(reference_model.state_dict()))
    set_precision("fp32", device)
    difference = largest_difference(encoder, reference_model, next(clips.evaluation_views(batches))[:16])
    encoder.eval(), reference_model.eval()

    def extract(model: torch.nn.Module, precision: str) -> None:
        with set_precision(precision, device)():
            model(next(clips.evaluation_views(batches)))

    def ours() -> None:
        extract(encoder, config.precision)

    in_inference = torch.inference_mode()
    works = {
        "literal": in_inference(lambda: extract(reference_model, "fp32")),
        "features": in_inference(ours),
    }
    counted = torch.no_grad()(ours)  # unlike inference mode this shows the counter all products
    return works, counted, difference


def report(record: dict[str, Any]) -> None:
    """The record as a table."""
    batch, taken, floor = (record[key] for key in ("batch", "seconds", "floor_seconds"))
    print(f"{record['device']}, torch {record['torch']}, commit {record['commit']}")
    print(
        f"features, views included; batch {batch}, D = {record['width']}, 3 of 16 clips with two people"
    )
    for name, label in (("literal", "literal, fp32"), ("features", record["precision"])):
        ratio = taken["literal"] / taken[name]
        print(
            f"{label:16}{1e3 * taken[name]:10.2f} ms{batch / taken[name]:10.0f} clips/s{ratio:8.2f}"
        )
    print(
        f"{'floor':16}{1e3 * floor:10.2f} ms{batch / floor:10.0f} clips/s; reached {floor / taken['features']:.0%}"
    )
    print(
        f"largest difference of features from the literal ones, in fp32: {record['largest_difference']:.1e}"
    )


def main() -> None:
    """Time the extraction of features, views included, against a literal encoder (fp32), in turns."""
    parser = bench_parser("bench_eval", main.__doc__)
    parser.add_argument(
        "--batch", type=int, help="clips a forward; by default as evaluation takes them"
    )
    args = parser.parse_args()
    device = resolve_device(args.device)
    batch = args.batch or (BATCH if device.type == "cpu" else GPU_BATCH)
    model = {"embed_dim": args.width, "queue_size": batch}  # the queue is not used
    config = Config(precision=args.precision, data={"batch_size": batch}, model=model)
    disable_malloc_trim()
    works, counted, difference = build(config, device)
    for _ in range(3):
        for work in works.values():
            work()
    work = count_work(counted)
    record = {
        **describe_machine(device),
        "precision": args.precision,
        "batch": batch,
        "width": args.width,
        "seconds": interleaved(works, device, args.rounds),
        "work": work._asdict(),
        "floor_seconds": floor_seconds(work, device, args.precision),
        "largest_difference": difference,
        "peak_gb": peak_gb(works["features"], device),
    }
    report(record)
    write_json(args.json, record)


if __name__ == "__main__":
    run_command(main)
