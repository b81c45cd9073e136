"""Conversion of the authors' checkpoints to our names.

Theirs contain one module per subset and branch where ours contain one for all, and convolve over
(T, V) where ours convolve over (V, T). Source: the SCD-Net release: `checkpoint.pth.tar` of the
pretraining, and the files of its linear probe and fine-tuning.
"""

from collections.abc import Mapping
from typing import Any

import torch
from einops import rearrange
from torch import Tensor

Weights = Mapping[str, Tensor]

NUM_UNITS = 3
NUM_SUBSETS = 3
# Our names: their abbreviations.
PATHS = {"temporal": "t", "spatial": "s"}
DOMAINS = {**PATHS, "instance": "i"}


# Prefixes that programs put before the names of all weights of a model that they wrap.
WRAPPERS = ("module.", "_orig_mod.")
# The modules of theirs that are the query encoder: of a pretraining, of the linear probe and
# fine-tuning (beside it `fc`), and of a file with nothing but the encoder.
ENCODERS = ("encoder_q.encoder.", "encoder.", "")
# Ours: of a pretraining, and of a file with nothing but the encoder.
OUR_ENCODERS = ("query.encoder.", "")
# A module that each encoder contains, by their name and by ours.
MARK = "gcn_t."
OUR_MARK = "temporal_stem."


def _subset_convs(*convs: int) -> list[str]:
    return [f"gcn1.convs.{subset}.conv{conv}" for conv in convs for subset in range(NUM_SUBSETS)]


# Our module of a unit: their modules, whose output channels are concatenated in ours.
UNIT_MODULES = {
    "gcn.norm": ["gcn1.bn"],
    "gcn.skip.0": ["gcn1.down.0"],
    "gcn.skip.1": ["gcn1.down.1"],
    "tcn.reduce": [f"tcn1.branches.{branch}.0" for branch in range(4)],
    "tcn.reduce_norm": [f"tcn1.branches.{branch}.1" for branch in range(4)],
    "tcn.convs.0": ["tcn1.branches.0.3.conv"],
    "tcn.convs.1": ["tcn1.branches.1.3.conv"],
    "tcn.norm": ["tcn1.branches.0.3.bn", "tcn1.branches.1.3.bn", "tcn1.branches.2.4"],
    "residual.0": ["residual.conv"],
    "residual.1": ["residual.bn"],
}
# Our tensor of a unit: their modules, the tensor there, and the pattern that joins them.
UNIT_TENSORS = {
    "gcn.adjacency": (["gcn1"], "PA", "1 s u v -> s u v"),
    "gcn.relation_weight": (_subset_convs(1, 2), "weight", "(p s) r c 1 1 -> p s r c"),
    "gcn.relation_bias": (_subset_convs(1, 2), "bias", "(p s) r -> p s r"),
    "gcn.topology_weight": (_subset_convs(4), "weight", "s c r 1 1 -> s c r"),
    "gcn.topology_bias": (_subset_convs(4), "bias", "s c -> s c"),
    "gcn.value_weight": (_subset_convs(3), "weight", "s c i 1 1 -> (c s) i"),
    "gcn.value_bias": (_subset_convs(3), "bias", "s c -> (c s) 1"),
}


def _join(parts: list[Tensor]) -> Tensor:
    # A count of batches is the same in all parts.
    if parts[0].dim() == 0:
        return parts[0]
    whole = torch.cat(parts)
    # (out, in, T, V) -> (out, in, V, T)
    return whole.transpose(2, 3) if whole.dim() == 4 else whole


def _unit(theirs: Weights) -> dict[str, Tensor]:
    ours = {"gcn.alpha": theirs["gcn1.alpha"]}
    for name, modules in UNIT_MODULES.items():
        start = modules[0] + "."
        for leaf in [key.removeprefix(start) for key in theirs if key.startswith(start)]:
            ours[f"{name}.{leaf}"] = _join([theirs[f"{module}.{leaf}"] for module in modules])
    for name, (modules, leaf, pattern) in UNIT_TENSORS.items():
        parts = [theirs[f"{module}.{leaf}"] for module in modules]
        ours[name] = rearrange(parts, pattern, s=NUM_SUBSETS)
    value = [ours["gcn.value_weight"], ours.pop("gcn.value_bias")]
    ours["gcn.value_weight"] = torch.cat(value, dim=1)
    return ours


def within(weights: Weights, prefix: str) -> dict[str, Tensor]:
    """Return the weights whose name starts with `prefix`, without the prefix."""
    return {
        key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)
    }


def find_state(content: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the weights in the content of a checkpoint, without the names of wrappers.

    They are its `state_dict`, or the content is the state dict itself.
    """
    state = content.get("state_dict", content)
    if not isinstance(state, Mapping):
        return {}
    return {
        _unwrap(name): value
        for name, value in state.items()
        if isinstance(name, str) and isinstance(value, Tensor)
    }


def _unwrap(name: str) -> str:
    while name.startswith(WRAPPERS):
        name = name.partition(".")[2]
    return name


def find_encoder(state: Weights) -> dict[str, Tensor]:
    """Return the query encoder in a state dict, by our names; empty if there is none.

    Raises KeyError where one of their weights is missing.
    """
    for prefix in OUR_ENCODERS:
        if any(name.startswith(prefix + OUR_MARK) for name in state):
            return within(state, prefix)
    for prefix in ENCODERS:
        if any(name.startswith(prefix + MARK) for name in state):
            return encoder_weights(within(state, prefix))
    return {}


def _add_prefix(weights: Weights, prefix: str) -> dict[str, Tensor]:
    return {prefix + key: value for key, value in weights.items()}


def encoder_weights(theirs: Weights) -> dict[str, Tensor]:
    """Convert the weights of their module `encoder`. Raises KeyError where one is missing."""
    ours: dict[str, Tensor] = {}
    for path, short in PATHS.items():
        stem = within(theirs, f"gcn_{short}.")
        ours |= _add_prefix(within(stem, "data_bn."), f"{path}_stem.input_norm.")
        for unit in range(NUM_UNITS):
            ours |= _add_prefix(_unit(within(stem, f"l{unit + 1}.")), f"{path}_stem.units.{unit}.")
        ours |= _add_prefix(within(theirs, f"channel_{short}."), f"{path}_path.project.")
        ours |= _add_prefix(within(theirs, f"{short}_encoder."), f"{path}_path.transformer.")
    return ours


def scdnet_weights(theirs: Weights) -> dict[str, Tensor]:
    """Convert the state of their model to that of our `SCDNet`: both encoders, heads, queues."""
    ours: dict[str, Tensor] = {}
    for side, short in (("query", "encoder_q."), ("key", "encoder_k.")):
        half = within(theirs, short)
        ours |= _add_prefix(encoder_weights(within(half, "encoder.")), f"{side}.encoder.")
        for domain, letter in DOMAINS.items():
            ours |= _add_prefix(within(half, f"{letter}_proj."), f"{side}.heads.{domain}.")
    for domain, letter in DOMAINS.items():
        ours[f"queues.{domain}.keys"] = theirs[f"{letter}_queue"].T.contiguous()
        ours[f"queues.{domain}.cursor"] = theirs[f"{letter}_queue_ptr"].squeeze()
    return ours
