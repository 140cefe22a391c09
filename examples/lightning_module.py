"""Two networks learn from each other in a PyTorch Lightning module.

python examples/lightning_module.py [epochs]
"""

import sys

import pytorch_lightning as lightning
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split

from codistill import DML, Batch, Cohort


class Mutual(lightning.LightningModule):
    """Cohort and method are submodules: Lightning moves them, saves them and loads them."""

    def __init__(self, nets: list[nn.Module]) -> None:
        super().__init__()
        self.cohort, self.method = Cohort(nets), DML(temperature=2.0)

    def training_step(self, pair, number):
        # The line that makes the difference: with one network, this was cross_entropy(net(x), y).
        terms = self.method(self.cohort, Batch(*pair), self.progress())  # {"task": [2], "mimic": [2]}
        self.log_dict({f"loss/{name}": term.mean() for name, term in terms.items()})
        return torch.stack([term.sum() for term in terms.values()]).sum()

    def on_train_batch_end(self, outputs, pair, number):
        self.method.after_step(self.cohort, Batch(*pair), self.progress())  # of a mean teacher: its averages move

    def progress(self):
        return self.global_step / self.trainer.estimated_stepping_batches

    def validation_step(self, pair, number):
        x, y = pair
        for peer, accuracy in enumerate((self.cohort(x).logits.argmax(-1) == y).float().mean(1)):
            self.log(f"valid/accuracy.{peer}", accuracy)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.05, momentum=0.9, nesterov=True)


def main(epochs: int) -> None:
    lightning.seed_everything(0, verbose=False)
    digits = load_digits()
    data = TensorDataset(torch.tensor(digits.images, dtype=torch.float32)[:, None] / 16, torch.tensor(digits.target))
    train, valid = random_split(data, (600, len(data) - 600))
    nets = [nn.Sequential(nn.Flatten(), nn.Linear(64, w), nn.ReLU(), nn.Linear(w, 10)) for w in (48, 96)]
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    trainer = lightning.Trainer(max_epochs=epochs, accelerator="cpu", devices=1, log_every_n_steps=5, **quiet)
    trainer.fit(Mutual(nets), DataLoader(train, batch_size=30, shuffle=True), DataLoader(valid, batch_size=len(valid)))
    for peer in range(2):
        print(f"network {peer}: {float(trainer.callback_metrics[f'valid/accuracy.{peer}']):.1%} of {len(valid)} digits")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
