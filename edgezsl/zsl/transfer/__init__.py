"""What was learned elsewhere, brought to classes that are new: other encoders, other weights, smaller pupils, unlabelled images."""
