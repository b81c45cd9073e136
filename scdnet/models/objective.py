"""The contrasted pairs of an objective, and the weights of their losses.

Source: docs/objectives.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from scdnet.config import LatentConfig
from scdnet.losses import CROSS_DOMAIN_PAIRS, Pair
from scdnet.models.encoder import NUM_LEVELS, PATHS
from scdnet.models.latent import Latent

# The task whose views both paths see; the tasks of the hierarchical contrast are named by a path.
BOTH_PATHS = "scd"
# The task of which nothing is contrasted: its view is predicted from a part of itself.
LATENT = "latent"
# The global anchor: the projection of both features together.
INSTANCE = "instance"
# The moving average of cosines: its momentum and its lower bound.
EMA_DECAY = 0.99
EMA_FLOOR = 0.01


class Inputs(NamedTuple):
    """The inputs of a training step."""

    # A view (N, C, T, V, M) for each task.
    queries: tuple[Tensor, ...]
    keys: tuple[Tensor, ...]
    # The draws of what is hidden from the query encoder; empty if nothing is.
    hidden: tuple[Tensor, ...]


@dataclass(frozen=True)
class Objective:
    """Pairs of projections to be contrasted.

    A projection is named by its path, `temporal`, or by a level of a path, `temporal_2`.
    """

    # Each task has a pair of views; the model takes them in this order.
    tasks: tuple[str, ...] = (BOTH_PATHS,)
    pairs: tuple[Pair, ...] = CROSS_DOMAIN_PAIRS
    # The level of each pair; a pair at none, 0, has weight 1.
    levels: tuple[int, ...] = (0, 0, 0, 0)
    # The weighting of the pairs at levels, a key of LEVEL_WEIGHTINGS.
    loss_weights: str = "uniform"
    # The prediction beside the contrasts, if there is one.
    latent: Latent | None = None

    @property
    def projections(self) -> tuple[str, ...]:
        """Return all projections in an order that does not depend on the order of the pairs."""
        names = {name for pair in self.pairs for name in pair}
        levels = (level_name(path, i) for path in PATHS for i in range(1, NUM_LEVELS + 1))
        return tuple(name for name in (*PATHS, INSTANCE, *levels) if name in names)

    @property
    def keys(self) -> tuple[str, ...]:
        """Return the projections that have a queue, in that order."""
        names = {key for _, key in self.pairs}
        return tuple(name for name in self.projections if name in names)

    def trained_level(self, path: str) -> int:
        """Return the highest level of a path that contributes to a query, or 0.

        The layers above it receive no gradient.
        """
        if path in self.predicted_paths:
            return NUM_LEVELS
        reached = {path: NUM_LEVELS, INSTANCE: NUM_LEVELS}
        reached |= {level_name(path, level): level for level in range(1, NUM_LEVELS + 1)}
        return max((reached.get(query, 0) for query, _ in self.pairs), default=0)

    @property
    def predicted_paths(self) -> tuple[str, ...]:
        """Return the paths whose hidden tokens are predicted: those that see a view."""
        if self.latent is None:
            return ()
        is_seen = {path: path in self.tasks or not {*self.tasks} <= {*PATHS} for path in PATHS}
        return tuple(path for path in PATHS if is_seen[path])

    @property
    def hiding(self) -> LatentConfig | None:
        """Return how it is drawn what is hidden, or None if nothing is."""
        return None if self.latent is None else self.latent.config

    @property
    def num_views(self) -> int:
        """Return the number of views that a step takes: two for each task, or one."""
        return 2 * len(self.tasks) if self.has_queries else 1

    @property
    def has_queries(self) -> bool:
        """Check whether the query encoder gets whole views, as every contrast gives it."""
        return self.tasks != (LATENT,)

    def split_inputs(self, inputs: Sequence[Tensor]) -> Inputs:
        """Sort the inputs of a step: two views for each task, or one, and what is hidden."""
        views = tuple(inputs[: self.num_views])
        hidden = tuple(inputs[self.num_views :])
        if not self.has_queries:
            return Inputs((), views, hidden)
        return Inputs(views[::2], views[1::2], hidden)

    def __add__(self, other: "Objective") -> "Objective":
        """Combine two objectives, of which at most one weights its levels other than uniformly."""
        (loss_weights,) = {self.loss_weights, other.loss_weights} - {"uniform"} or {"uniform"}
        # A prediction takes the views of a contrast.
        tasks = tuple(task for task in self.tasks + other.tasks if task != LATENT)
        return Objective(
            tasks or (LATENT,),
            self.pairs + other.pairs,
            self.levels + other.levels,
            loss_weights,
            self.latent or other.latent,
        )


def level_name(path: str, level: int) -> str:
    """Return the name of the projection of a level, from 1, of a path."""
    return f"{path}_{level}"


def scd_objective(pairs: tuple[Pair, ...]) -> Objective:
    """Contrast the domains `temporal`, `spatial`, `instance`. Source: SCD-Net, sec. 3.3."""
    return Objective((BOTH_PATHS,), pairs, (0,) * len(pairs))


def hdc_objective(
    subtasks: tuple[str, ...], levels: tuple[int, ...], loss_weights: str
) -> Objective:
    """Contrast each level of each path with itself, by views of the path's own.

    Source: HDC, as docs/objectives.md adapts it.
    """
    names = [level_name(path, level) for path in subtasks for level in levels]
    pairs = tuple((name, name) for name in names)
    return Objective(subtasks, pairs, levels * len(subtasks), loss_weights)


def latent_objective(latent: Latent) -> Objective:
    """Predict hidden tokens, and contrast nothing. Source: docs/objectives.md."""
    return Objective((LATENT,), (), (), latent=latent)


# Weights (L,) from the levels (L,) and the invariances (L,) of the pairs at levels, before they are
# scaled to a mean of 1.
LEVEL_WEIGHTINGS = {
    "uniform": lambda level, invariance: torch.ones_like(invariance),
    "depth": lambda level, invariance: level,
    "invariance": lambda level, invariance: invariance,
}


class LossWeights(nn.Module):
    """The weight of the loss of each pair: 1, or by its level; they receive no gradient."""

    level: Tensor  # (L,)
    # The moving average of the mean cosine of the positives of each pair at a level.
    invariance: Tensor  # (L,)

    def __init__(self, objective: Objective) -> None:
        super().__init__()
        self._weigh = LEVEL_WEIGHTINGS[objective.loss_weights]
        self._num_pairs = len(objective.pairs)
        level = torch.tensor([level for level in objective.levels if level], dtype=torch.float32)
        self.register_buffer("level", level, persistent=False)
        self.register_buffer("invariance", torch.ones(len(level)), persistent=len(level) > 0)

    def forward(self) -> Tensor:
        """Return the weights (pairs,); those at levels, which come last, have a mean of 1."""
        weights = self._weigh(self.level, self.invariance)
        weights = weights * (self.num_weighted / weights.sum())
        return nn.functional.pad(weights, (self._num_pairs - self.num_weighted, 0), value=1)

    @property
    def num_weighted(self) -> int:
        """Return the number of pairs at levels, which are the last ones."""
        return len(self.level)

    @torch.no_grad()
    def update_ema(self, cosines: Tensor) -> None:
        """Move the average towards the mean cosines (pairs,) of a batch."""
        at_levels = cosines[len(cosines) - self.num_weighted :]
        self.invariance.lerp_(at_levels, 1 - EMA_DECAY).clamp_(min=EMA_FLOOR)
