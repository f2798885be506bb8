"""Attacks on what a device runs, and heads that are trained against them."""
