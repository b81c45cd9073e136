"""The baseline raw-pca: half-whitened principal components of the views, without any network.

Whatever the config states, it takes the first body in evaluation views of 32 frames, of joints,
bones and motion, fitted to the training split. The three parts stand side by side.

Source: docs/evaluation.md.
"""

import torch
from torch import Tensor

from scdnet.data.clips import Clips
from scdnet.engine.components import BATCH, describe_widths, views_to_fit
from scdnet.engine.logs import log
from scdnet.errors import ScdnetError
from scdnet.models.components import MAX_FITTED, VARIANCE, Components

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


def extract_raw_pca(clips: Clips) -> Tensor:
    """Return the features (N, K) float32 of all sequences, fitted to the training split.

    `clips` are of joints, with NUM_FRAMES and NUM_BODIES, on the CPU. Raises ScdnetError if the
    training split is too small or all its sequences are alike.
    """
    train = clips.split(train=True)
    where = f"{clips.store}: raw-pca: the training split of {clips.benchmark!r}"
    joints = views_to_fit(clips, train, where=where, way_out="use --baseline raw")
    components = Components.fit(joints, PARTS, clips.skeleton)
    if not any(components.widths.values()):
        raise ScdnetError(f"{where} has no variance: all its {len(train)} sequences are alike")
    listed = describe_widths(components)
    sampled = "" if len(joints) == len(train) else f" a random sample of {len(joints)} of"
    log(f"raw-pca: components: {listed}; fitted to{sampled} {len(train)} training sequences")
    batches = torch.arange(len(clips.label)).split(BATCH)
    return torch.cat([components(views) for views in clips.evaluation_views(batches)])
