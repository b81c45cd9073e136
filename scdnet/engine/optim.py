"""Optimiser and learning-rate schedule, from timm."""

from collections.abc import Iterable
from typing import Any

from timm.optim import create_optimizer_v2, param_groups_layer_decay
from timm.scheduler import CosineLRScheduler, MultiStepLRScheduler
from timm.scheduler.scheduler import Scheduler
from torch import nn
from torch.optim import Optimizer

from scdnet.config import OptimConfig

MACHINE_KEYS = ("foreach", "fused", "capturable")  # of a parameter group: how, not what
TIMM_NAMES = {"sgd": "momentum", "adamw": "adamw"}  # timm's own `sgd` is Nesterov


def make_optimizer(
    parameters: Iterable[nn.Parameter] | Iterable[dict[str, Any]], config: OptimConfig
) -> Optimizer:
    """The optimizer over `parameters`, or groups of them; weight decay falls on every one of them.

    On a GPU it is one kernel, or few.
    """
    parameters = list(parameters)
    first = parameters[0]["params"][0] if isinstance(parameters[0], dict) else parameters[0]
    kwargs = (
        {"betas": (config.momentum, 0.999)}
        if config.name == "adamw"
        else {"momentum": config.momentum}
    )
    if first.is_cuda:
        kwargs["fused"] = True
        if config.name == "adamw":
            kwargs["capturable"] = True  # in a CUDA graph
    return create_optimizer_v2(
        parameters,
        opt=TIMM_NAMES[config.name],
        lr=config.lr,
        weight_decay=config.weight_decay,
        **kwargs,
    )


def layer_groups(model: nn.Module, config: OptimConfig, layer_decay: float) -> list[dict[str, Any]]:
    """Parameter groups whose learning rate falls by `layer_decay` from layer to layer, from the head downwards.

    The layers are those of the model's `group_matcher`.
    """
    groups = param_groups_layer_decay(model, layer_decay=layer_decay)
    return [
        {**group, "weight_decay": config.weight_decay} for group in groups
    ]  # timm leaves norms and biases without


def load_optimizer(optimizer: Optimizer, state: dict[str, Any]) -> None:
    """Take up `state`, which may come from another device, to go on with it as this one computes."""
    own = [
        {key: group[key] for key in MACHINE_KEYS if key in group}
        for group in optimizer.param_groups
    ]
    groups = [saved | values for saved, values in zip(state["param_groups"], own, strict=True)]
    optimizer.load_state_dict({**state, "param_groups": groups})


def make_schedule(optimizer: Optimizer, config: OptimConfig) -> Scheduler:
    """The schedule: call `step(epoch)` before each epoch, counted from 0."""
    first_lr = config.lr / (config.warmup_epochs + 1)
    warmup = {"warmup_t": config.warmup_epochs, "warmup_lr_init": first_lr, "warmup_prefix": False}
    if config.schedule == "cosine":
        return CosineLRScheduler(optimizer, t_initial=config.epochs, **warmup)
    # timm drops the rate one epoch before its milestone
    return MultiStepLRScheduler(
        optimizer, decay_t=[m + 1 for m in config.milestones], decay_rate=0.1, **warmup
    )
