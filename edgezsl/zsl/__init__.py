"""Zero-shot methods, one module per family: what a workstation trains and a device never imports."""
