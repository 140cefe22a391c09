"""Settings that were tuned for a data set, which recipes start from; free of torch, so that help can show them."""

from codistill.run import Run

# Network, epochs, rate and decay for `alone`, on validation data of other seeds (`benchmarks/tune_digits.py`).
DIGITS = Run(
    data="digits",
    labels=300,
    valid=300,
    models=("cnn",),
    learning_rate=0.4,
    weight_decay=8e-3,
    schedule="cosine",
    epochs=60,
    batch=30,
    evaluate_every=10,
)
