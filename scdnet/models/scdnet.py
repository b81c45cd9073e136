"""The pretraining model: query encoder, momentum encoder, queues."""

import copy

import torch
from torch import Tensor, nn

from scdnet.losses import Projections
from scdnet.models.encoder import DualPathEncoder, EncoderSizes
from scdnet.models.heads import ProjectedEncoder
from scdnet.models.queue import KeyQueue
from scdnet.skeleton import NTU_25, Skeleton


class SCDNet(nn.Module):
    """Momentum contrast of two views. Source: Wu et al. 2024 (SCD-Net), sec. 3; docs/method.md 4.

    A training step calls, in this order: `update_momentum`, `forward`, the loss against `negatives`, the backward
    pass and optimiser step on `query`, `enqueue`. `forward` changes no weights and no queue.
    """

    def __init__(
        self,
        sizes: EncoderSizes,
        *,
        projection: int,
        queue_size: int,
        momentum: float,
        skeleton: Skeleton = NTU_25,
    ) -> None:
        super().__init__()
        self.momentum = momentum
        self.query = ProjectedEncoder(DualPathEncoder(sizes, skeleton), projection)
        self.key = copy.deepcopy(self.query).requires_grad_(False)
        self.queues = nn.ModuleDict({domain: KeyQueue(queue_size, projection) for domain in Projections._fields})

    @torch.no_grad()
    def update_momentum(self) -> None:
        """Move the key encoder's parameters (not its batch-norm statistics) towards the query encoder's."""
        keys, queries = list(self.key.parameters()), list(self.query.parameters())
        torch._foreach_lerp_(keys, queries, 1 - self.momentum)

    def forward(self, query_view: Tensor, key_view: Tensor) -> tuple[Projections, Projections]:
        """Two views (N, C, T, V, M) of the same clips -> unit-length queries (with gradient) and keys (without)."""
        with torch.no_grad():
            key = self.key(key_view)
        return self.query(query_view), key

    def negatives(self) -> Projections:
        """The queues as they stand, (K, projection) each."""
        return Projections(*(self.queues[domain].keys for domain in Projections._fields))

    def enqueue(self, keys: Projections) -> None:
        """Push the keys of a batch into the queue of their domain."""
        for domain, values in keys._asdict().items():
            self.queues[domain].push(values)
