"""Architectures of the tiny class, with random weights: for latency and size only.

Both were proposed for arousal, dominance and valence on small hardware by Kounades-Bastian et al.,
"Wav2Small" (arXiv 2408.13920). Written here from their published description.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

RATE_HZ = 16_000


class LogMel(nn.Module):
    """Waveform `[batch, n]` to log-mel `[batch, 1, frames, bands]`, of operators any runtime has.

    The Fourier transform is a convolution with windowed sines and cosines.

    Args:
        size: samples of a window.
        hop: samples from one to the next.
        bands: of the mel scale, 0 to 8 kHz.
    """

    def __init__(self, size: int, hop: int, bands: int) -> None:
        super().__init__()
        bins = size // 2 + 1
        time = torch.arange(size)
        angle = 2 * math.pi * torch.arange(bins)[:, None] * time / size
        window = torch.hann_window(size)
        fourier = torch.cat([angle.cos() * window, angle.sin() * window])
        self.fourier = nn.Conv1d(1, 2 * bins, size, stride=hop, padding=size // 2, bias=False)
        self.fourier.weight.data = fourier[:, None]
        hertz = torch.linspace(0, RATE_HZ / 2, bins)
        top = 2595 * math.log10(1 + RATE_HZ / 2 / 700)
        edges = 700 * (10 ** (torch.linspace(0, top, bands + 2) / 2595) - 1)
        rising = (hertz[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
        falling = (edges[2:] - hertz[:, None]) / (edges[2:] - edges[1:-1])
        self.mel = nn.Parameter(torch.minimum(rising, falling).clamp(min=0))

    def forward(self, samples: Tensor) -> Tensor:
        real, imaginary = self.fourier(samples[:, None]).chunk(2, dim=1)
        power = (real.square() + imaginary.square()).transpose(1, 2)  # (batch, frames, bins)
        return torch.log((power @ self.mel).clamp(min=1e-10))[:, None]


class Wav2Small(nn.Module):
    """Log-mel of 26 bands every 2 ms, seven 3 x 3 convolutions of 13 channels, and attention.

    One maximum pooling halves time and bands after the third. A softmax over time weighs frames;
    what remains, 13 channels by 13 bands, and its products with itself are mapped to three scores.
    """

    def __init__(self) -> None:
        super().__init__()
        width = 13
        self.log_mel = LogMel(64, 32, 2 * width)

        def convolution(inputs: int) -> nn.Sequential:
            return nn.Sequential(
                nn.Conv2d(inputs, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()
            )

        self.stack = nn.Sequential(
            convolution(1),
            *(convolution(width) for _ in range(2)),
            nn.MaxPool2d(3, stride=2, padding=1),
            *(convolution(width) for _ in range(4)),
        )
        self.values = nn.Conv2d(width, width, 1)
        self.weights = nn.Conv2d(width, width, 1)
        self.scores = nn.Linear(2 * width * width, 3)

    def forward(self, samples: Tensor) -> Tensor:
        x = self.stack(self.log_mel(samples))  # (batch, channels, frames, bands)
        x = (self.values(x) * self.weights(x).softmax(2)).sum(2)  # (batch, channels, bands)
        x = torch.cat([x, x @ x.transpose(1, 2)], 2)
        return self.scores(x.flatten(1))


class MobileNet(nn.Module):
    """MobileNetV4-small of timm on a log-mel picture of 64 bands every 10 ms."""

    def __init__(self) -> None:
        super().__init__()
        _name_operators_of_torchvision()
        import timm

        self.log_mel = LogMel(400, 160, 64)
        self.network = timm.create_model(
            "mobilenetv4_conv_small", pretrained=False, in_chans=1, num_classes=3
        )

    def forward(self, samples: Tensor) -> Tensor:
        return self.network(self.log_mel(samples))


_LIBRARIES: list[torch.library.Library] = []  # operators live as long as these


def _name_operators_of_torchvision() -> None:
    """Let timm be imported; its networks use none of these operators.

    torchvision from the package index is built for CUDA. Beside a torch for CPUs it cannot load its
    operators, and refuses to be imported where these two are not even known by name.
    """
    try:
        import torchvision  # noqa: F401
    except RuntimeError:
        _LIBRARIES.append(torch.library.Library("torchvision", "FRAGMENT"))
        for name in ("nms", "qnms"):
            _LIBRARIES[0].define(f"{name}(Tensor boxes, Tensor scores, float threshold) -> Tensor")


MODELS = {"wav2small": Wav2Small, "mobilenetv4": MobileNet}
