#!/usr/bin/env python3
import statistics

import torch
from bench_lib import (
    OURS,
    REFERENCE,
    Work,
    compare,
    comparison_parser,
    finish,
    largest_difference,
    print_comparison,
    synthetic_clips,
    timed,
)
from torch import Tensor

from scdnet.cli import run_command
from scdnet.config import Config
from scdnet.engine.build import encoder_sizes, resolve_sizes
from scdnet.engine.device import disable_malloc_trim, resolve_device, seed_everything, set_precision
from scdnet.engine.official import scdnet_weights
from scdnet.engine.train.diagnostics import step_diagnostics
from scdnet.engine.train.rehearsal import Rehearsal, choose_mode
from scdnet.engine.train.state import Training
from scdnet.losses import contrast_losses
from scdnet.skeletons import NTU_25
from tests.reference import encoder as reference

# A larger batch of the reference implementation does not fit a GPU in float32.
MAX_REFERENCE_BATCH = 64
# The last of these steps captures the graph on a GPU.
WARM_UP = 4


def reference_step(model: reference.SCDNet, config: Config, views: tuple[Tensor, ...]) -> Work:
    """Return a training step in float32 as research code has it."""
    optim = config.optim
    optimizer = torch.optim.SGD(
        model.encoder_q.parameters(),
        optim.lr,
        momentum=optim.momentum,
        weight_decay=optim.weight_decay,
    )
    views = tuple(view[:MAX_REFERENCE_BATCH] for view in views)

    def step() -> None:
        set_precision("fp32", views[0].device)
        loss = model.losses(*views).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def seconds_of_parts(
    training: Training, views: tuple[Tensor, ...], config: Config
) -> dict[str, float]:
    """Time the parts of one eager training step."""
    model = training.model
    device = views[0].device
    precision = set_precision(config.precision, device)
    seconds: dict[str, float] = {}
    with timed(device, seconds, "momentum"):
        model.update_momentum()
    with timed(device, seconds, "key"), precision(), torch.no_grad():
        key = model.key(views[1])
    with timed(device, seconds, "query"), precision():
        query = model.query(views[0])
    with timed(device, seconds, "loss"):
        losses = contrast_losses(
            model.objective.pairs, query, key, model.negatives(), config.model.temperature
        )
        loss = losses.sum()
    training.optimizer.zero_grad(set_to_none=True)
    with timed(device, seconds, "backward"):
        loss.backward()
    with timed(device, seconds, "diagnostics"):
        step_diagnostics(query, key, model.query.parameters())
    with timed(device, seconds, "update"):
        training.optimizer.step()
    with timed(device, seconds, "queues"):
        model.enqueue(key)
    return seconds


def main() -> None:
    """Compare training steps with the reference implementation (fp32) and the machine's floor."""
    parser = comparison_parser(main.__doc__)
    parser.add_argument(
        "--compile", default="off", choices=("off", "auto"), help="as the config key"
    )
    parser.add_argument("--batch", type=int, default=16)
    args = parser.parse_args()
    config = Config(
        precision=args.precision,
        compile=args.compile,
        data={"batch_size": args.batch},
        model={"embed_dim": args.embed_dim},
    )
    device = resolve_device(args.device)
    disable_malloc_trim()
    clips, batches = synthetic_clips(config, device)
    generator = torch.Generator().manual_seed(0)
    views = next(clips.training_views(batches, generator))

    seed_everything(0)
    slow = reference.SCDNet(
        encoder_sizes(config),
        projection_dim=config.model.projection_dim,
        queue_size=resolve_sizes(config.data, config.model, None).queue_size,
        momentum=config.model.momentum,
    )
    slow.to(device).train()
    rehearsal = Rehearsal(config, NTU_25, device)
    training = rehearsal.start(choose_mode(rehearsal))
    # A graphed step can neither be counted nor timed part by part.
    eager = rehearsal.start("eager")
    for own in (training, eager):
        own.model.load_state_dict(scdnet_weights(slow.state_dict()))
    set_precision("fp32", device)
    difference = largest_difference(eager.model.query.encoder, slow.encoder_q.encoder, views[0])

    def step() -> None:
        set_precision(config.precision, device)
        training.step(*views)

    slow_step = reference_step(slow, config, views)
    works = {
        REFERENCE: slow_step,
        OURS: step,
        "views": lambda: next(clips.training_views(batches, generator)),
    }
    counted = {REFERENCE: slow_step, OURS: lambda: eager.step(*views)}
    for work in [slow_step, step, counted[OURS]] * WARM_UP:
        work()
    clips_of = {REFERENCE: min(args.batch, MAX_REFERENCE_BATCH), OURS: args.batch}
    record = compare(works, counted, clips_of, device=device, args=args)
    record["largest_difference"] = difference
    parts = [seconds_of_parts(eager, views, config) for _ in range(3)]
    record["parts"] = {name: statistics.median(one[name] for one in parts) for name in parts[0]}
    print_comparison(record)
    text = ", ".join(f"{name} {1e3 * value:.1f}" for name, value in record["parts"].items())
    print(f"parts of a step one after the other, ms: {text}")
    print(f"views, in addition to the step: {1e3 * record['seconds']['views']:.2f} ms")
    finish(record, args.json)


if __name__ == "__main__":
    run_command(main)
