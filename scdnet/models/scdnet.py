"""The pretraining model: query encoder, momentum encoder, queues."""

import copy
from collections.abc import Iterator, Mapping
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scdnet.losses import Projections
from scdnet.models.encoder import DualPathEncoder, EncoderSizes
from scdnet.models.heads import ProjectedEncoder
from scdnet.models.latent import Prediction, latent_views, make_predictors, predict
from scdnet.models.objective import Inputs, LossWeights, Objective
from scdnet.skeleton import Skeleton

SCD = Objective()


class Outputs(NamedTuple):
    """The outputs of a model, for the loss of a step."""

    query: Projections
    key: Projections
    # The paths whose hidden tokens are predicted are the keys.
    predictions: Mapping[str, Prediction]


class KeyQueue(nn.Module):
    """First-in, first-out queue of K unit-length negative keys.

    Source: He et al. 2020 (MoCo), sec. 3.2.
    """

    keys: Tensor  # (K, D)
    # The slot that is overwritten next.
    cursor: Tensor  # ()

    def __init__(self, size: int, dim: int) -> None:
        super().__init__()
        self.register_buffer("keys", F.normalize(torch.randn(size, dim), dim=1))
        self.register_buffer("cursor", torch.zeros((), dtype=torch.long))

    @torch.no_grad()
    def push(self, keys: Tensor) -> None:
        """Replace the oldest keys by `keys` (N, D). Raises ValueError if N > K."""
        size = len(self.keys)
        if len(keys) > size:
            raise ValueError(f"batch of {len(keys)} keys does not fit a queue of {size}")
        slots = (self.cursor + torch.arange(len(keys), device=keys.device)) % size
        self.keys[slots] = keys.to(self.keys.dtype)
        self.cursor.copy_((self.cursor + len(keys)) % size)


class SCDNet(nn.Module):
    """Momentum contrast of two views. Source: Wu et al. 2024 (SCD-Net), sec. 3; docs/method.md 4.

    A training step calls, in this order: `update_momentum`, `forward`, the loss against
    `negatives`, weighted by `loss_weights`, the backward pass and optimizer step on `query`,
    `loss_weights.update_ema`, `enqueue`. `forward` changes no weights and no queue.
    """

    def __init__(
        self,
        sizes: EncoderSizes,
        skeleton: Skeleton,
        *,
        projection_dim: int,
        queue_size: int,
        momentum: float,
        objective: Objective = SCD,
    ) -> None:
        super().__init__()
        self.momentum = momentum
        self.objective = objective
        self.query = ProjectedEncoder(DualPathEncoder(sizes, skeleton), projection_dim, objective)
        self.key = copy.deepcopy(self.query).requires_grad_(False)
        self.queues = nn.ModuleDict(
            {name: KeyQueue(queue_size, projection_dim) for name in objective.keys}
        )
        self.loss_weights = LossWeights(objective)
        # A predictor for each path whose hidden tokens are predicted.
        self.predictors = nn.ModuleDict()
        if objective.latent is not None:
            all_predictors = make_predictors(sizes, skeleton, objective.latent)
            self.predictors.update(
                {path: all_predictors[path] for path in objective.predicted_paths}
            )

    def trained_parameters(self) -> Iterator[nn.Parameter]:
        """Yield the parameters that the loss trains: of the query encoder, then the predictors."""
        yield from self.query.parameters()
        yield from self.predictors.parameters()

    def load_encoder(self, weights: Mapping[str, Tensor]) -> None:
        """Start both encoders from `weights`, which have no components; heads stay as they are."""
        for side in (self.query, self.key):
            side.encoder.load_state_dict(weights)

    @torch.no_grad()
    def update_momentum(self) -> None:
        """Move the key encoder's parameters towards the query encoder's.

        Its batch-norm statistics are its own.
        """
        torch._foreach_lerp_(
            list(self.key.parameters()), list(self.query.parameters()), 1 - self.momentum
        )

    def forward(self, *inputs: Tensor) -> Outputs:
        """Map views (N, C, T, V, M) of the same clips to unit-length queries and keys.

        `inputs` are a query view and a key view for each task of the objective, one after the
        other; where hidden tokens are predicted, what is hidden of the key views follows, and
        without a contrast there are no query views. Only queries and predictions have a gradient.
        """
        views = self.objective.split_inputs(inputs)
        with torch.no_grad():
            key, tokens = self.key.projections_and_tokens(*views.keys)
        query = self.query(*views.queries) if views.queries else {}
        return Outputs(query, key, self._predict(views, tokens))

    def _predict(self, views: Inputs, tokens: Mapping[str, Tensor]) -> dict[str, Prediction]:
        """Predict the hidden tokens of each path from the rest of its key view."""
        latent = self.objective.latent
        if latent is None:
            return {}
        joints, frames, noise = views.hidden
        candidates = {"spatial": joints, "temporal": frames}
        by_path = dict(zip(candidates, noise.unbind(dim=1), strict=True))
        clips = latent_views(self.objective.tasks, views.keys)
        return {
            path: predict(
                self.query.encoder,
                predictor,
                path,
                clips=clips[path],
                target=tokens[path],
                candidates=candidates[path],
                noise=by_path[path],
                latent=latent,
            )
            for path, predictor in self.predictors.items()
        }

    def negatives(self) -> Projections:
        """Return the current keys of the queues, (K, projection_dim) each."""
        return {name: cast(KeyQueue, queue).keys for name, queue in self.queues.items()}

    def enqueue(self, keys: Projections) -> None:
        """Push the keys of a batch into their queues."""
        for name, queue in self.queues.items():
            cast(KeyQueue, queue).push(keys[name])
