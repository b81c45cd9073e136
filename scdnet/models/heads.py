"""Heads on the two path features."""

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from scdnet.losses import Projections
from scdnet.models.encoder import DualPathEncoder, PathFeatures


class ProjectionHead(nn.Sequential):
    """Linear to D, relu, linear to the contrast space. Source: docs/method.md 4."""

    def __init__(self, in_width: int, width: int, out_width: int) -> None:
        super().__init__(nn.Linear(in_width, width), nn.ReLU(), nn.Linear(width, out_width))
        for layer in (self[0], self[2]):
            nn.init.xavier_uniform_(layer.weight)


class LinearClassifier(nn.Linear):
    """Features to class scores; weights N(0, 0.01), biases 0. Source: docs/method.md 5."""

    def __init__(self, in_width: int, num_classes: int, *, generator: Generator | None = None) -> None:
        super().__init__(in_width, num_classes)
        nn.init.normal_(self.weight, std=0.01, generator=generator)
        nn.init.zeros_(self.bias)


class ClassifiedEncoder(nn.Module):
    """An encoder with a linear classifier on [v_t ; v_s], to be trained together."""

    def __init__(self, encoder: DualPathEncoder, num_classes: int, *, generator: Generator | None = None) -> None:
        super().__init__()
        self.encoder = encoder
        self.classifier = LinearClassifier(2 * encoder.sizes.width, num_classes, generator=generator)

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
    """An encoder with its three heads; `instance` is the global anchor on both features together."""

    def __init__(self, encoder: DualPathEncoder, projection: int) -> None:
        super().__init__()
        width = encoder.sizes.width
        self.encoder = encoder
        self.temporal = ProjectionHead(width, width, projection)
        self.spatial = ProjectionHead(width, width, projection)
        self.instance = ProjectionHead(2 * width, width, projection)

    def project(self, features: PathFeatures) -> Projections:
        """The heads' outputs, (N, projection) each, before they are normalised."""
        anchor = torch.cat(features, dim=1)
        return Projections(self.temporal(features.temporal), self.spatial(features.spatial), self.instance(anchor))

    def forward(self, clips: Tensor) -> Projections:
        """Clips (N, C, T, V, M) -> unit-length projections, (N, projection) each, in the weights' own precision."""
        full = self.instance[0].weight.dtype  # mixed precision leaves less
        return Projections(*(F.normalize(z.to(full), dim=1) for z in self.project(self.encoder(clips))))
