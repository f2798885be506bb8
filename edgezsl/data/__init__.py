"""Image sets and crops that zero-shot models are trained on; a workstation's part, never imported by a device."""
