"""Small networks that look at faces: recogniser A, which conditions; judge B, which does not; the factor regressors."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .world.factors import AGES, FACTORS, SEXES, SKINS

EMBEDDING = 512
FACE = 112
UNITS = (1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 20.0, 10.0, 5.0, 1.0, 1.0)  # of FACTORS: regressors learn them divided by these


def _conv(entry: int, exit: int, kernel: int = 3, stride: int = 1) -> list[nn.Module]:
    conv = nn.Conv2d(entry, exit, kernel, stride, kernel // 2, bias=False)
    return [conv, nn.BatchNorm2d(exit)]


class _Residual(nn.Module):
    def __init__(self, *layers: nn.Module):
        super().__init__()
        self.body = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.body(x))


class Recogniser(nn.Module):
    """Recogniser A, a ResNet: faces (N, 3, 112, 112), (RGB - 127.5) / 127.5, to embeddings (N, 512).

    Their direction says who; their length says whether there is a face at all.
    """

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [*_conv(3, 16, 3, 2), nn.ReLU()]
        for entry, exit in ((16, 40), (40, 80), (80, 128)):
            layers += [*_conv(entry, exit, 3, 2), nn.ReLU()]
            layers += [_Residual(*_conv(exit, exit), nn.ReLU(), *_conv(exit, exit))]
        self.body = nn.Sequential(*layers, *_conv(128, 16, 1), nn.Flatten())
        self.out = nn.Linear(16 * 7 * 7, EMBEDDING)

    def features(self, x: Tensor) -> list[Tensor]:
        """Activations after each residual block, for a perceptual loss."""
        activations: list[Tensor] = []
        for layer in self.body:
            x = layer(x)
            if isinstance(layer, _Residual):
                activations.append(x)
        return activations

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.body(x))


class Judge(nn.Module):
    """Judge B, patches and bottlenecks with GELU: the same input and output as `Recogniser`."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, 48, 4, 4, bias=False), nn.BatchNorm2d(48), nn.GELU()]
        for entry, exit, depth in ((48, 48, 1), (48, 96, 2), (96, 192, 2)):
            if entry != exit:
                layers += [*_conv(entry, exit, 1), nn.GELU(), nn.AvgPool2d(2)]
            for _ in range(depth):
                half = exit // 2
                layers += [
                    _Residual(*_conv(exit, half, 1), nn.GELU(), *_conv(half, half), nn.GELU(), *_conv(half, exit, 1))
                ]
        self.body = nn.Sequential(
            *layers, nn.Conv2d(192, 192, 7, groups=192, bias=False), nn.BatchNorm2d(192), nn.Flatten()
        )
        self.out = nn.Linear(192, EMBEDDING)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.body(x))


class Regressors(nn.Module):
    """What a face does and looks like: images (N, 3, 128, 128) RGB in [0, 1] to (factors (N, 11) as FACTORS, and
    logits of age (N, 3), sex (N, 2), skin (N, 5))."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [*_conv(3, 16, 5, 2), nn.ReLU()]
        for entry, exit in ((16, 32), (32, 64), (64, 96)):
            layers += [*_conv(entry, exit, 3, 2), nn.ReLU(), *_conv(exit, exit), nn.ReLU()]
        self.body = nn.Sequential(*layers, *_conv(96, 24, 1), nn.ReLU(), nn.Flatten())
        self.hidden = nn.Linear(24 * 8 * 8, 128)
        self.parts = (len(FACTORS), len(AGES), len(SEXES), len(SKINS))
        self.out = nn.Linear(128, sum(self.parts))
        self.register_buffer("units", torch.tensor(UNITS), persistent=False)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        factors, *logits = self.out(F.relu(self.hidden(self.body(x * 2 - 1)))).split(self.parts, 1)
        return factors * self.units, *logits
