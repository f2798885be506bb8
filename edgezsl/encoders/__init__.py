"""Visual and text encoders and the model directory that holds them: what is exported, before it is a bundle."""
