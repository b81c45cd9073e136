"""What is contrasted with what, and how much each contrast counts. Source: docs/methods.md."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from scdnet.losses import CROSS_DOMAIN_PAIRS, Pair
from scdnet.models.encoder import NUM_LEVELS, PATHS

BOTH_PATHS = "scd"  # the task whose views both paths see; those of the hierarchical contrast bear the name of a path
INSTANCE = "instance"  # the global anchor, on both features together
DECAY, FLOOR = 0.99, 0.01  # of the moving average of cosines. Source: docs/methods.md


@dataclass(frozen=True)
class Objective:
    """Pairs of projections to be contrasted. A projection is a path's, `temporal`; of a level of it, `temporal_2`."""

    tasks: tuple[str, ...] = (
        BOTH_PATHS,
    )  # a pair of views each, in the order in which the model takes them
    pairs: tuple[Pair, ...] = CROSS_DOMAIN_PAIRS
    levels: tuple[int, ...] = (0, 0, 0, 0)  # of each pair; 0: at none, it counts once
    loss_weights: str = "uniform"  # of the pairs at levels, a key of LOSS_WEIGHTS

    @property
    def projections(self) -> tuple[str, ...]:
        """All that are contrasted, in an order that does not depend on that of the pairs."""
        names = {name for pair in self.pairs for name in pair}
        known = [
            *PATHS,
            INSTANCE,
            *(level_name(path, i) for path in PATHS for i in range(1, NUM_LEVELS + 1)),
        ]
        return tuple(name for name in known if name in names)

    @property
    def keys(self) -> tuple[str, ...]:
        """Those that have a queue, in that order."""
        names = {key for _, key in self.pairs}
        return tuple(name for name in self.projections if name in names)

    def trained_level(self, path: str) -> int:
        """The highest level of a path that a query is made of; what follows it is never trained. 0: none of it is."""
        reached = {path: NUM_LEVELS, INSTANCE: NUM_LEVELS}
        reached |= {level_name(path, level): level for level in range(1, NUM_LEVELS + 1)}
        return max(reached.get(query, 0) for query, _ in self.pairs)

    def __add__(self, other: "Objective") -> "Objective":
        """Both at once; the levels of at most one of them have weights other than `uniform`."""
        kinds = {self.loss_weights, other.loss_weights} - {"uniform"} or {"uniform"}
        (loss_weights,) = kinds
        return Objective(
            self.tasks + other.tasks,
            self.pairs + other.pairs,
            self.levels + other.levels,
            loss_weights,
        )


def level_name(path: str, level: int) -> str:
    """The name of the projection of a level, from 1, of a path."""
    return f"{path}_{level}"


def scd_objective(pairs: tuple[Pair, ...]) -> Objective:
    """Contrast between and within the domains `temporal`, `spatial`, `instance`. Source: SCD-Net, sec. 3.3."""
    return Objective((BOTH_PATHS,), pairs, (0,) * len(pairs))


def hdc_objective(
    subtasks: tuple[str, ...], levels: tuple[int, ...], loss_weights: str
) -> Objective:
    """Each level of each path with itself, by views of the path's own. Source: HDC, as docs/methods.md adapts it."""
    pairs = tuple((level_name(path, level),) * 2 for path in subtasks for level in levels)
    return Objective(subtasks, pairs, levels * len(subtasks), loss_weights)


LOSS_WEIGHTS = {  # of pairs at levels (L,), before they are scaled to a mean of 1, from level and invariance (L,)
    "uniform": lambda level, invariance: torch.ones_like(invariance),
    "depth": lambda level, invariance: level,
    "invariance": lambda level, invariance: invariance,
}


class PairWeights(nn.Module):
    """How much each pair of an objective counts: once, or by its level; no gradient goes into it."""

    invariance: (
        Tensor  # (L,) of each pair at a level: a moving average of the cosine of its positives
    )

    def __init__(self, objective: Objective) -> None:
        super().__init__()
        self._weigh = LOSS_WEIGHTS[objective.loss_weights]
        level = torch.tensor([level for level in objective.levels if level], dtype=torch.float32)
        self.register_buffer("level", level, persistent=False)
        self.register_buffer(
            "others", torch.ones(len(objective.pairs) - len(level)), persistent=False
        )
        self.register_buffer("invariance", torch.ones(len(level)), persistent=len(level) > 0)

    def forward(self) -> Tensor:
        """(pairs,) the weights as they stand; those at levels, which come last, have a mean of 1."""
        weights = self._weigh(self.level, self.invariance)
        return torch.cat([self.others, weights * (self.num_weighted / weights.sum())])

    @property
    def num_weighted(self) -> int:
        """How many pairs, the last ones, are at levels."""
        return len(self.level)

    @torch.no_grad()
    def update_ema(self, cosines: Tensor) -> None:
        """Move the average towards the mean cosines (pairs,) of a batch."""
        self.invariance.lerp_(cosines[len(cosines) - self.num_weighted :], 1 - DECAY).clamp_(
            min=FLOOR
        )
