"""Pictures turned, scaled, sheared and moved a little, so that a network does not learn the few that there are by heart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class AffineWarp:
    """A random affine map for each picture; what comes in from outside is 0.

    Attributes:
        turn_degrees: Greatest turn, either way.
        scale: Greatest change of the size, as a share, either way.
        shear: Greatest shift of the upper edge against the middle, as a share of half a side.
        shift: Greatest movement along each axis, as a share of half a side.
    """

    turn_degrees: float = 12.0
    scale: float = 0.15
    shear: float = 0.15
    shift: float = 0.15

    def __call__(self, images: Tensor, random: np.random.Generator) -> Tensor:
        """Return `images (N, C, H, W)` warped, by bilinear interpolation."""
        count = len(images)
        angle = np.radians(random.uniform(-self.turn_degrees, self.turn_degrees, count))
        size = 1 + random.uniform(-self.scale, self.scale, count)
        shear, across, down = (random.uniform(-one, one, count) for one in (self.shear, self.shift, self.shift))
        cos, sin = np.cos(angle) * size, np.sin(angle) * size
        rows = [[cos, shear - sin, across], [sin, cos, down]]
        maps = torch.from_numpy(np.moveaxis(np.array(rows), 2, 0)).to(images)
        grid = functional.affine_grid(maps, list(images.shape), align_corners=False)
        return functional.grid_sample(images, grid, align_corners=False)
