"""The baseline raw-pca: half-whitened principal components of the views, without any network.

Whatever the config states, it takes the first body in evaluation views of 32 frames, of joints,
bones and motion, fitted to the training split. The three parts stand side by side.

Source: docs/evaluation.md.
"""

import torch
from torch import Tensor

from scdnet.data.clips import Clips, sample_sequences
from scdnet.engine.logs import log
from scdnet.errors import ScdnetError
from scdnet.models.components import MAX_FITTED, SEQUENCES_PER_COMPONENT, VARIANCE, Components

NUM_FRAMES = 32
NUM_BODIES = 1
PARTS = ("joint", "bone", "motion")
# Values that the features depend on, besides the store and the benchmark.
SETTINGS = {
    "num_frames": NUM_FRAMES,
    "num_bodies": NUM_BODIES,
    "variance": VARIANCE,
    "max_fitted": MAX_FITTED,
    "precision": "fp32",
}
BATCH = 256


def extract_raw_pca(clips: Clips) -> Tensor:
    """Return the features (N, K) float32 of all sequences, fitted to the training split.

    `clips` are of joints, with NUM_FRAMES and NUM_BODIES, on the CPU. Raises ScdnetError if the
    training split is too small or all its sequences are alike.
    """
    train = clips.split(train=True)
    where = f"{clips.store}: raw-pca: the training split of {clips.benchmark!r}"
    if len(train) < SEQUENCES_PER_COMPONENT:
        raise ScdnetError(
            f"{where} has {len(train)} sequences, expected at least {SEQUENCES_PER_COMPONENT}: "
            "a component takes that many; use --baseline raw"
        )
    fitted = sample_sequences(train, MAX_FITTED)
    joints = torch.cat(list(clips.evaluation_views(fitted.split(BATCH))))
    components = Components.fit(joints, PARTS, clips.skeleton)
    widths = components.widths
    if not any(widths.values()):
        raise ScdnetError(f"{where} has no variance: all its {len(train)} sequences are alike")
    listed = ", ".join(f"{width} of {part}" for part, width in widths.items())
    sampled = "" if len(fitted) == len(train) else f" a random sample of {len(fitted)} of"
    log(f"raw-pca: components: {listed}; fitted to{sampled} {len(train)} training sequences")
    batches = torch.arange(len(clips.label)).split(BATCH)
    return torch.cat([components(views) for views in clips.evaluation_views(batches)])
