"""The facts at the head of a report: what was trained, on which data, for how long."""

from collections.abc import Sequence

import torch

from scdnet.config import Config
from scdnet.report.curves import UNITS, Line, read_number
from scdnet.report.payload import Findings
from scdnet.version import __version__


def describe_run(
    configs: Sequence[Config], findings: Findings, *, num_weights: int
) -> list[tuple[str, str]]:
    """Return names and values of the facts; `configs` are those of all runs, the first is shown."""
    config = configs[0]
    table = findings.table
    num_train = int(findings.is_train.sum())
    seeds = ", ".join(str(one.seed) for one in configs)
    model = config.model
    return [
        ("Dataset", f"{table.dataset}, {findings.benchmark}"),
        ("Sequences", f"{num_train:,} training, {len(table.name) - num_train:,} test"),
        ("Classes", f"{table.num_occurring}"),
        ("Skeleton", f"{table.skeleton.name}, {table.skeleton.num_joints} joints"),
        ("Stream", config.stream),
        ("Encoder", f"{num_weights / 1e6:.2f} M parameters, {model.embed_dim} features per path"),
        ("Clips", _describe_clips(config)),
        ("Objective", config.objective),
        ("Seed" if len(configs) == 1 else "Seeds", seeds),
        ("Training", _describe_training(findings.curves[0].lines)),
        ("Versions", f"scdnet {__version__}, torch {torch.__version__}"),
    ]


def _describe_clips(config: Config) -> str:
    num_bodies = config.data.num_bodies
    people = "one body" if num_bodies == 1 else f"{num_bodies} bodies"
    return f"{config.data.num_frames} frames, {people}"


def _describe_training(lines: Sequence[Line]) -> str:
    """Describe how long a training took, by the lines of its metrics.jsonl."""
    seconds = sum(read_number(line.get("seconds")) or 0 for line in lines)
    unit = next((unit for unit in UNITS if lines and unit in lines[-1]), "")
    last = read_number(lines[-1].get(unit)) if unit else None
    if not seconds or last is None:
        return "unknown"
    # Epochs are counted from 0, steps from 1.
    num = round(last) + (unit == "epoch")
    return f"{num:,} {unit}{'s' * (num != 1)} in {_format_duration(seconds)}"


def _format_duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
