"""The components of an encoder, fitted to the training sequences before the first step."""

import torch

from scdnet.data.clips import sample_sequences
from scdnet.data.mixture import Mixture
from scdnet.engine.distributed import broadcast_
from scdnet.engine.logs import log
from scdnet.errors import ScdnetError
from scdnet.models.components import MAX_FITTED, SEQUENCES_PER_COMPONENT, Components
from scdnet.models.encoder import DualPathEncoder

# The parts that the clips of a stream contain.
PARTS = {
    "joint": ("joint", "bone", "motion"),
    # Bones and motion are fitted as they are: joints do not follow from them.
    "bone": ("joint",),
    "motion": ("joint",),
}
BATCH = 256


def fit_components(encoder: DualPathEncoder, clips: Mixture) -> None:
    """Give an encoder the components of the evaluation views of all training sequences.

    Raises ScdnetError if there are too few sequences, or all are alike.
    """
    index = sample_sequences(torch.cat(clips.training_sequences), MAX_FITTED)
    if len(index) < SEQUENCES_PER_COMPONENT:
        raise ScdnetError(
            f"model.components: the training split has {len(index)} sequences, expected at least "
            f"{SEQUENCES_PER_COMPONENT}: a component takes that many; set model.components=false"
        )
    views = torch.cat(list(clips.evaluation_views(index.split(BATCH))))
    seen = {"original": views}
    if encoder.sizes.align_sides:
        seen["aligned"] = encoder.align(views)
    for name, x in seen.items():
        components = Components.fit(x, PARTS[clips.stream], encoder.skeleton)
        if not any(components.widths.values()):
            raise ScdnetError(
                f"model.components: all {len(index)} training sequences are alike; "
                "set model.components=false"
            )
        encoder.components[name] = components.to(clips.device)
        widths = ", ".join(f"{width} of {part}" for part, width in components.widths.items())
        log(f"Components of {name} clips beside the features of the paths: {widths}.")
    broadcast_(encoder.components.state_dict().values())
