"""CTransPath's network: a Swin transformer whose patch embedding is convolutional.

Source: Wang et al., Transformer-based unsupervised contrastive learning for histopathological
image classification, Medical Image Analysis 2022.
"""

from __future__ import annotations

from torch import Tensor, nn


class ConvolutionalStem(nn.Module):
    """Patch embedding by two strided convolutions and a pointwise one: 4 px become 1 token."""

    def __init__(
        self,
        img_size: tuple[int, int] = (224, 224),
        patch_size: int = 4,
        in_chans: int = 3,
        embed_dim: int = 96,
        norm_layer: type[nn.Module] | None = None,
        **_: object,
    ) -> None:
        super().__init__()
        self.img_size = img_size
        self.patch_size = (patch_size, patch_size)
        self.grid_size = (img_size[0] // patch_size, img_size[1] // patch_size)
        narrow, wide = embed_dim // 8, embed_dim // 4
        self.proj = nn.Sequential(
            nn.Conv2d(in_chans, narrow, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(narrow),
            nn.ReLU(),
            nn.Conv2d(narrow, wide, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(wide),
            nn.ReLU(),
            nn.Conv2d(wide, embed_dim, 1),
        )
        self.norm = nn.Identity() if norm_layer is None else norm_layer(embed_dim)

    def forward(self, images: Tensor) -> Tensor:
        """Images ``[b, 3, H, W]`` to tokens ``[b, H/4, W/4, embed_dim]``."""
        tokens: Tensor = self.norm(self.proj(images).permute(0, 2, 3, 1))
        return tokens
