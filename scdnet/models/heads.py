"""Heads on the encoder's features."""

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from scdnet.models.encoder import NUM_LEVELS, PATHS, DualPathEncoder
from scdnet.models.objective import BOTH_PATHS, INSTANCE, Objective, level_name


class ProjectionHead(nn.Sequential):
    """Linear to D, relu, linear to the contrast space. Source: docs/method.md 4."""

    def __init__(self, in_width: int, width: int, out_width: int) -> None:
        super().__init__(nn.Linear(in_width, width), nn.ReLU(), nn.Linear(width, out_width))
        for layer in (self[0], self[2]):
            nn.init.xavier_uniform_(layer.weight)


class LinearClassifier(nn.Linear):
    """Features to class scores; weights N(0, 0.01), biases 0. Source: docs/method.md 5."""

    def __init__(
        self, in_width: int, num_classes: int, *, generator: Generator | None = None
    ) -> None:
        super().__init__(in_width, num_classes)
        nn.init.normal_(self.weight, std=0.01, generator=generator)
        nn.init.zeros_(self.bias)


class ClassifiedEncoder(nn.Module):
    """An encoder with a linear classifier on [v_t ; v_s], to be trained together."""

    def __init__(
        self, encoder: DualPathEncoder, num_classes: int, *, generator: Generator | None = None
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.classifier = LinearClassifier(
            2 * encoder.sizes.embed_dim, num_classes, generator=generator
        )

    def forward(self, clips: Tensor) -> Tensor:
        """Clips (N, C, T, V, M) -> class scores (N, classes), in the weights' own precision."""
        features = torch.cat(self.encoder(clips), dim=1)
        return self.classifier(features.to(self.classifier.weight.dtype))

    def group_matcher(self, coarse: bool = False) -> dict[str, str]:
        """Layers from the input upwards, both paths side by side, as timm asks for them; the classifier follows."""
        return {
            "norm": r"encoder\.\w+_stem\.input_norm",
            "units": r"encoder\.\w+_stem\.units\.(\d+)",
            "project": r"encoder\.\w+_path\.project",
            "transformer": r"encoder\.\w+_path\.transformer\.layers\.(\d+)",
        }


class ProjectedEncoder(nn.Module):
    """An encoder with a head for each projection of an objective."""

    def __init__(self, encoder: DualPathEncoder, projection_dim: int, objective: Objective) -> None:
        super().__init__()
        self.encoder = encoder
        self.tasks = objective.tasks
        sizes = encoder.sizes
        widths = {**dict.fromkeys(PATHS, sizes.embed_dim), INSTANCE: 2 * sizes.embed_dim}
        for level in range(1, NUM_LEVELS + 1):
            widths |= {level_name(path, level): sizes.level_width(level) for path in PATHS}
        self.heads = nn.ModuleDict(
            {
                name: ProjectionHead(widths[name], sizes.embed_dim, projection_dim)
                for name in objective.projections
            }
        )

    def features(self, task: str, clips: Tensor) -> dict[str, Tensor]:
        """What heads may look at, (N, width of each), of the clips (N, C, T, V, M) of a task.

        A path is followed to its end even where no head is: the statistics of its batch norms are those of the data.
        """
        if task != BOTH_PATHS:
            return {
                level_name(task, i): x
                for i, x in enumerate(self.encoder.levels(clips, task), start=1)
            }
        features = self.encoder(clips)
        return {**features._asdict(), INSTANCE: torch.cat(features, dim=1)}

    def project(self, *clips: Tensor) -> dict[str, Tensor]:
        """The heads' outputs, (N, projection_dim) each, before they are normalised; of clips for each of the tasks."""
        features: dict[str, Tensor] = {}
        for task, views in zip(self.tasks, clips, strict=True):
            features |= self.features(task, views)
        return {name: head(features[name]) for name, head in self.heads.items()}

    def forward(self, *clips: Tensor) -> dict[str, Tensor]:
        """Clips (N, C, T, V, M) of each task -> unit-length projections, (N, projection_dim) each.

        They are in the weights' own precision.
        """
        projected = self.project(*clips)
        full = next(self.heads.parameters()).dtype  # mixed precision leaves less
        return {name: F.normalize(z.to(full), dim=1) for name, z in projected.items()}
