"""Semantic embedding: a compatibility between what an image shows and what describes a class, learned on seen classes."""
