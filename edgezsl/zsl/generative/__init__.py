"""Generative models: features of classes that no image shows, made from their descriptions, for prototypes or a classifier."""
