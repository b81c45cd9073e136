#!/usr/bin/env python3
import statistics
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from bench_lib import (
    bench_parser,
    count_work,
    describe_machine,
    floor_seconds,
    interleaved,
    largest_difference,
    peak_gb,
    seconds,
    synthetic_clips,
    write_json,
)
from torch import Tensor

from scdnet.cli import run_command
from scdnet.config import Config
from scdnet.engine.build import encoder_sizes
from scdnet.engine.device import disable_malloc_trim, resolve_device, seed_everything, set_precision
from scdnet.engine.official import scdnet_weights
from scdnet.engine.train.diagnostics import step_diagnostics
from scdnet.engine.train.state import Training, start_training
from scdnet.losses import contrast_losses
from tests.reference import encoder as reference

LITERAL_BATCH = 64  # clips at most: more do not fit a GPU in float32
WARM_UP = 4  # steps before any is timed; on a GPU the last of them captures the graph


def literal_step(reference_model: reference.SCDNet, config: Config) -> Callable[[Tensor, Tensor], None]:
    """A training step as a paper's code has it."""
    optim = config.optim
    parameters = reference_model.encoder_q.parameters()
    optimizer = torch.optim.SGD(
        parameters, optim.lr, momentum=optim.momentum, weight_decay=optim.weight_decay
    )

    def step(query_view: Tensor, key_view: Tensor) -> None:
        loss = reference_model.losses(query_view, key_view).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def seconds_of_parts(
    training: Training, views: tuple[Tensor, Tensor], config: Config
) -> dict[str, float]:
    """One step taken to pieces, each waited for: what a graph or a fused kernel saves is not saved here."""
    model, device, taken = training.model, views[0].device, {}
    precision = set_precision(config.precision, device)
    results = {}

    def part(name: str, work: Callable[[], object]) -> None:
        taken[name] = seconds(lambda: results.update({name: work()}), device)

    def forward(side: torch.nn.Module, view: Tensor) -> tuple[Tensor, ...]:
        with precision(), torch.set_grad_enabled(side is model.query):
            return side(view)

    part("momentum", model.update_momentum)
    part("key", lambda: forward(model.key, views[1]))
    part("query", lambda: forward(model.query, views[0]))
    temperature = config.model.temperature
    query, key = results["query"], results["key"]
    part(
        "loss",
        lambda: contrast_losses(
            model.objective.pairs, query, key, model.negatives(), temperature
        ).sum(),
    )
    training.optimizer.zero_grad(set_to_none=True)
    part("backward", results["loss"].backward)
    part("watch", lambda: step_diagnostics(query, key, model.query.parameters()))
    part("update", training.optimizer.step)
    part("queues", lambda: model.enqueue(key))
    return taken


class Contestants(NamedTuple):
    """The same model three times, with the same weights."""

    literal: Callable[[], object]  # its step, in float32
    ours: Callable[[], object]  # the step as training takes it
    eager: Training  # the same without compilation: to be counted and taken to pieces
    difference: float  # between the features of the first and the last, in float32


def build(config: Config, views: tuple[Tensor, Tensor]) -> Contestants:
    """Both, after the steps that libraries, compilers and allocators need to get going."""
    device, model = views[0].device, config.model
    seed_everything(0)
    sizes = {
        "projection_dim": model.projection_dim,
        "queue_size": model.queue_size,
        "momentum": model.momentum,
    }
    reference_model = reference.SCDNet(encoder_sizes(config), **sizes).to(device).train()
    training, eager = (
        start_training(c, device) for c in (config, config.model_copy(update={"compile": "off"}))
    )
    for own in (training, eager):
        own.model.load_state_dict(scdnet_weights(reference_model.state_dict()))
    set_precision("fp32", device)
    difference = largest_difference(
        eager.model.query.encoder, reference_model.encoder_q.encoder, views[0]
    )
    step = literal_step(reference_model, config)

    def literal_in_fp32() -> None:
        set_precision("fp32", device)
        step(*(x[:LITERAL_BATCH] for x in views))

    def ours() -> None:
        set_precision(config.precision, device)
        training.step(*views)

    for _ in range(WARM_UP):
        literal_in_fp32()
        ours()
        eager.step(*views)
    return Contestants(literal_in_fp32, ours, eager, difference)


def report(record: dict[str, Any]) -> None:
    """The record as a table."""
    taken, parts, work, floor = (
        record[key] for key in ("seconds", "parts", "work", "floor_seconds")
    )
    ours, batches = taken["step"], {"literal": record["literal_batch"], "step": record["batch"]}
    rate = {name: batch / taken[name] for name, batch in batches.items()}
    print(f"{record['device']}, torch {record['torch']}, commit {record['commit']}")
    sizes = f"batch {record['batch']} (literal: {record['literal_batch']}), D = {record['width']}"
    print(f"{sizes}, {record['precision']}, 3 of 16 clips with two people")
    print(f"{'':22}{'ms':>10}{'clips/s':>10}{'GFLOP':>10}{'GB':>8}{'ratio':>8}")
    for name, label in (("literal", "literal step, fp32"), ("step", "step")):
        w = work[name]
        numbers = f"{1e3 * taken[name]:10.2f}{rate[name]:10.1f}{w['flops'] / 1e9:10.0f}{w['bytes'] / 1e9:8.2f}"
        print(f"{label:22}{numbers}{rate[name] / rate['literal']:8.2f}")
    print(
        f"{'floor of the step':22}{1e3 * floor:10.2f}{record['batch'] / floor:10.1f}{'reached':>18}{floor / ours:9.0%}"
    )
    print(
        "by part, one after the other: "
        + ", ".join(f"{name} {1e3 * value:.1f}" for name, value in parts.items())
    )
    print(f"views, beside the step: {1e3 * taken['views']:.2f} ms")
    if record["peak_gb"] is not None:
        print(
            f"memory of a step beside weights, gradients and optimizer, not compiled: {record['peak_gb']:.1f} GB"
        )
    print(
        f"largest difference of features from the literal ones, in fp32: {record['largest_difference']:.1e}"
    )


def main() -> None:
    """Time training steps against a literal writing of the method (fp32), in turns, and against the machine's floor."""
    parser = bench_parser("bench_train", main.__doc__)
    parser.add_argument("--compile", default="auto", choices=("auto", "off"))
    parser.add_argument("--batch", type=int, default=16)
    args = parser.parse_args()
    data, model = {"batch_size": args.batch}, {"embed_dim": args.width}
    config = Config(precision=args.precision, compile=args.compile, data=data, model=model)
    device = resolve_device(args.device)
    disable_malloc_trim()
    clips, batches = synthetic_clips(config, device)
    generator = torch.Generator().manual_seed(0)
    views = next(clips.training_views(batches, generator))
    contestants = build(config, views)

    parts = [seconds_of_parts(contestants.eager, views, config) for _ in range(3)]
    work = {
        "literal": count_work(contestants.literal),
        "step": count_work(lambda: contestants.eager.step(*views)),
    }
    works = {"literal": contestants.literal, "step": contestants.ours}
    works["views"] = lambda: next(clips.training_views(batches, generator))
    record = {
        **describe_machine(device),
        "precision": args.precision,
        "batch": args.batch,
        "literal_batch": min(args.batch, LITERAL_BATCH),
        "width": args.width,
        "seconds": interleaved(works, device, args.rounds),
        "parts": {name: statistics.median(values[name] for values in parts) for name in parts[0]},
        "work": {name: value._asdict() for name, value in work.items()},
        "floor_seconds": floor_seconds(work["step"], device, args.precision),
        "largest_difference": contestants.difference,
        "peak_gb": peak_gb(lambda: contestants.eager.step(*views), device),
    }
    report(record)
    write_json(args.json, record)


if __name__ == "__main__":
    run_command(main)
