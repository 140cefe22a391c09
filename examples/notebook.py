# %% [markdown]
# # Do networks that learn together learn more?
#
# A minute on one CPU core: train, compare, plot. `jupytext --to notebook examples/notebook.py` makes a notebook of it.

# %%
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt

from codistill import Row, Run, Study, compare, train
from codistill.study.summary import Summary

folder = Path(tempfile.mkdtemp())

# %% [markdown]
# ## Train one cohort
#
# Four networks, each with 20 labelled digits that no other has. In each step they compare what they predict for 60
# digits without labels, which all of them can see.

# %%
run = Run(
    data="digits", models=("mlp",), method="dml:ramp=0.3", peers=4, shards="equal", labels=80, unlabelled=60, batch=20,
    valid=200, evaluate_every=1, steps=200, epochs=10, optimizer="adamw", learning_rate=3e-3, weight_decay=1.0,
)  # fmt: skip
lines = []
for record in train(run):
    if record.kind == "epoch":
        lines += record.lines
        print(f"epoch {lines[-1]['epoch']:2}: " + ", ".join(f"{part:.1%}" for part in lines[-1]["valid_accuracy"]))

# %%
figure, axes = plt.subplots()
for peer in range(4):
    axes.plot([line["valid_accuracy"][peer] for line in lines], label=f"peer {peer}")
axes.set(title="Four peers", xlabel="epoch", ylabel="validation accuracy"), axes.legend()
figure

# %% [markdown]
# ## Compare with training alone
#
# The line that makes the difference is the row `dml`: its networks have the same labels and the same initial weights as
# those of `alone`, and the predictions of the others besides. `shards="none"` is the upper bound: all labels pooled.

# %%
rows = (Row("alone"), Row("dml", ramp=0.3), Row("alone", shards="none"))
study = Study("silos", run.replace(method="alone", valid=0.0, evaluate_every=0), rows, seeds=(0, 1, 2))
list(compare(study, folder / "compared"))  # its records are not needed here
summary = Summary.from_json((folder / "compared" / "summary.json").read_text(encoding="utf-8"))
for row in summary.rows:
    print(f"{row.label}: {row.mean:.1%} of {summary.n_test} test digits")

# %%
figure, axes = plt.subplots(layout="constrained")
axes.barh([row.label for row in summary.rows], [row.mean for row in summary.rows])
axes.set(title="Mean over seeds and networks", xlabel="test accuracy")
figure.savefig(folder / "bars.png")
figure
