"""What all silos have in common: the settings of the run, and how each comes to its data."""

from codistill import data
from codistill.data.examples import DataSet
from codistill.run import Run
from codistill.training.silo import own_part

# In one process, to find out whether it pays: codistill's own data, dealt out.
REHEARSAL = Run(
    method="codistillation:exchange=posteriors,exchange_every=20,burn_in=0",
    data="digits",
    models=("mlp:hidden=32,layers=1",),
    peers=3,
    labels=60,
    unlabelled=64,
    shards="classes:per=5",
    batch=10,
    steps=80,
    epochs=4,
    execute="loop",
    threads=1,
    device="cpu",
)
# The lines that make the difference: rounds are Flower's, and each silo learns from all labels that it has.
RUN = REHEARSAL.replace(method="dml_ensemble", labels=None)


def data_of(peer: int) -> DataSet:
    """A silo's own examples, and the public ones without a label; yours read the silo's own files."""
    return own_part(REHEARSAL, peer, data.load("digits"))
