"""From a model directory to a bundle: graphs, calibration, quantization, and the proof that the bundle says the same."""
