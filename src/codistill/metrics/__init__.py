"""What a network's outputs are worth, one idea to a file.

Pure functions of logits ``[..., N, C]`` and labels ``[N]``. Leading dims (peers, runs) stay: the answer has
shape ``[...]``. Log-probabilities will do for logits, so the log posterior of an ensemble or of a one-logit
model (`codistill.losses.posterior.log_posterior`) fits in too.
"""
