"""Fine-tuning of the whole network: with all labels, with some, or on another dataset.

Source: docs/evaluation.md.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from scdnet.config import FinetuneConfig
from scdnet.data.clips import Clips
from scdnet.engine.device import seed_everything, set_precision
from scdnet.engine.logs import progress_bar
from scdnet.engine.optim import layer_groups, make_optimizer, make_schedule
from scdnet.errors import ScdnetError
from scdnet.eval.features import BATCH
from scdnet.memory import memory_advice
from scdnet.models.encoder import DualPathEncoder
from scdnet.models.heads import ClassifiedEncoder
from scdnet.results.scores import BEST_ON_TEST, Outcome, topk_metrics


def sample_labeled(label: Tensor, fraction: float, seed: int) -> Tensor:
    """Draw the sequences that keep their label: the same fraction of each class, at least one.

    `label` (N,) are the classes of the training sequences. Returns sorted indices.
    """
    generator = torch.Generator().manual_seed(seed)
    drawn = []
    for c in label.unique().tolist():
        members = (label == c).nonzero()[:, 0]
        num = max(1, round(fraction * len(members)))
        drawn.append(members[torch.randperm(len(members), generator=generator)[:num]])
    return torch.cat(drawn).sort().values


@memory_advice("lower finetune.batch_size or use data.cache=none")
def finetune(
    encoder: DualPathEncoder,
    clips: Clips,
    labeled: Tensor,
    config: FinetuneConfig,
    *,
    precision: str,
    seed: int,
) -> Outcome:
    """Train an encoder and a new classifier on the sequences `labeled` (n,); evaluate them.

    The encoder, as `load_encoder_or_baseline` returns it, is trained in place, and evaluated on the
    test split. Raises ScdnetError if training diverges.
    """
    device = clips.device
    # Dropout draws from the global random state.
    seed_everything(seed)
    generator = torch.Generator().manual_seed(seed)
    model = ClassifiedEncoder(encoder, len(clips.class_names), generator=generator).to(device)
    # Looking for empty bodies on a GPU forces a host-device synchronization.
    encoder.share_empty_bodies = device.type == "cpu"
    groups = layer_groups(model, config.optim, config.layer_decay)
    optimizer = make_optimizer(groups, config.optim)
    schedule = make_schedule(optimizer, config.optim)
    mixed_precision = set_precision(precision, device)
    label = clips.label.to(device)
    test = clips.split(train=False)
    epochs = config.optim.epochs
    best = 0.0
    for epoch in progress_bar(range(epochs), desc="fine-tuning", unit="epoch", leave=False):
        schedule.step(epoch)
        model.train()
        order = labeled[torch.randperm(len(labeled), generator=generator)]
        batches = order.split(config.batch_size)
        if config.augment:
            views = clips.augmented_views(batches, generator)
        else:
            views = clips.evaluation_views(batches)
        for batch, x in zip(batches, views, strict=True):
            with mixed_precision():
                loss = F.cross_entropy(model(x), label[batch.to(device)])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        if (epoch + 1) % config.eval_every == 0 or epoch + 1 == epochs:
            with mixed_precision():
                scores = score_clips(model, clips, test)
            metrics = topk_metrics(scores, clips.label[test])
            best = max(best, metrics["top1"])
    if not scores.isfinite().all():
        raise ScdnetError(f"fine-tuning diverged; lower finetune.optim.lr ({config.optim.lr})")
    return Outcome({**metrics, BEST_ON_TEST: best}, scores)


@torch.inference_mode()
def score_clips(model: ClassifiedEncoder, clips: Clips, index: Tensor) -> Tensor:
    """Compute scores (n, classes) of the evaluation views of the sequences `index` (n,).

    The scores are float32, on the CPU.
    """
    model.eval()
    return torch.cat([model(x).float().cpu() for x in clips.evaluation_views(index.split(BATCH))])
