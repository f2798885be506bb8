"""A photograph with the name of its class, for tests."""

from dataclasses import dataclass

import numpy as np


@dataclass
class Labelled:
    image: np.ndarray
    label: str
    photograph: str
