"""Batch-norm statistics of an encoder that has been trained on parts of clips alone."""

import math

import torch
from torch import Tensor

from scdnet.data.clips import sample_sequences
from scdnet.data.mixture import Mixture
from scdnet.engine.device import random_states, restore_random_states
from scdnet.models.encoder import PATHS, DualPathEncoder
from scdnet.models.layers import WeightedBatchNorm2d, norm_settings

# The most training sequences that statistics are estimated on, and the most in a batch.
MAX_SEQUENCES = 2048
BATCH = 256
# The units of a stem; what follows them has no batch norm.
LAST_UNIT = 3


@torch.no_grad()
def estimate_statistics(encoder: DualPathEncoder, clips: Mixture) -> None:
    """Set the running statistics to those of whole evaluation views of training sequences.

    They are the means over batches, always of the same sequences, so that they follow from the
    weights alone: all ranks find the same, and so does a run that is resumed. The random state
    stays as it is. Source: Izmailov et al. 2018 (SWA), sec. 3.2, for averaged weights.
    """
    states = random_states()
    norms = [x for x in encoder.modules() if isinstance(x, WeightedBatchNorm2d)]
    index = sample_sequences(torch.cat(clips.training_sequences), MAX_SEQUENCES)
    batches = index.tensor_split(math.ceil(len(index) / BATCH))
    try:
        encoder.train()
        for norm in norms:
            norm.num_batches_tracked.zero_()
        for number, views in enumerate(clips.evaluation_views(batches), start=1):
            with norm_settings(encoder, gather=_gather_nothing, momentum=1 / number):
                for path in PATHS:
                    encoder.level_features(views, path, LAST_UNIT)
    finally:
        restore_random_states(states)


def _gather_nothing(x: Tensor) -> Tensor:
    """Return the values of this process alone: every one has all sequences."""
    return x[None]
