"""edgezsl: zero-shot image recognition on edge devices.

A class is a row. A device turns a frame into an embedding and multiplies it by a matrix of class prototypes; changing
what the camera can recognise is replacing that matrix, safely, while it runs.
"""

__version__ = "0.1.0"
