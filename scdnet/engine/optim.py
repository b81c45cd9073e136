"""Optimizer and learning-rate schedule, from timm."""

from collections.abc import Iterable
from typing import Any

from timm.optim import create_optimizer_v2, param_groups_layer_decay
from timm.scheduler import CosineLRScheduler, MultiStepLRScheduler
from timm.scheduler.scheduler import Scheduler
from torch import nn
from torch.optim import Optimizer

from scdnet.config import EpochOptimConfig

# Keys of a parameter group that say how to compute, not what.
MACHINE_KEYS = ("foreach", "fused", "capturable")
# timm's own `sgd` has Nesterov momentum.
TIMM_NAMES = {"sgd": "momentum", "adamw": "adamw"}


def make_optimizer(
    parameters: Iterable[nn.Parameter] | Iterable[dict[str, Any]], config: EpochOptimConfig
) -> Optimizer:
    """Make the optimizer of `parameters`, or of groups of them; all of them have weight decay.

    It runs as one or few fused kernels.
    """
    groups: list[Any] = list(parameters)
    first = groups[0]
    is_on_gpu = (first["params"][0] if isinstance(first, dict) else first).is_cuda
    options: dict[str, Any] = {"fused": True}
    if config.name == "adamw":
        options["betas"] = (config.momentum, 0.999)
        if is_on_gpu:
            # Needed within a CUDA graph.
            options["capturable"] = True
    else:
        options["momentum"] = config.momentum
    return create_optimizer_v2(
        groups,
        opt=TIMM_NAMES[config.name],
        lr=config.lr,
        weight_decay=config.weight_decay,
        **options,
    )


def layer_groups(
    model: nn.Module, config: EpochOptimConfig, layer_decay: float
) -> list[dict[str, Any]]:
    """Return parameter groups whose learning rate falls by `layer_decay` per layer below the head.

    The layers are those of the model's `group_matcher`.
    """
    groups = param_groups_layer_decay(model, layer_decay=layer_decay)
    # timm exempts norms and biases from weight decay.
    return [{**group, "weight_decay": config.weight_decay} for group in groups]


def load_optimizer(optimizer: Optimizer, state: dict[str, Any]) -> None:
    """Load `state`, which may come from another device, but compute as this device does."""
    own = [
        {key: group[key] for key in MACHINE_KEYS if key in group}
        for group in optimizer.param_groups
    ]
    groups = [saved | values for saved, values in zip(state["param_groups"], own, strict=True)]
    optimizer.load_state_dict({**state, "param_groups": groups})


def make_schedule(optimizer: Optimizer, config: EpochOptimConfig) -> Scheduler:
    """Make the schedule; call its `step(epoch)` before each epoch, counted from 0.

    If the config counts steps, `step(step)` before each step.
    """
    warmup: dict[str, Any] = {
        "warmup_t": config.warmup_epochs,
        "warmup_lr_init": config.lr / (config.warmup_epochs + 1),
        "warmup_prefix": False,
    }
    if config.schedule == "cosine":
        return CosineLRScheduler(optimizer, t_initial=config.duration, **warmup)
    # timm drops the rate one epoch, or step, before its milestone.
    milestones = [milestone + 1 for milestone in config.milestones]
    return MultiStepLRScheduler(optimizer, decay_t=milestones, decay_rate=0.1, **warmup)
