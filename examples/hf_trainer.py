"""Two text classifiers of transformers learn from each other under the Hugging Face Trainer.

python examples/hf_trainer.py FOLDER [epochs]

They are tiny here and begin at random; for real ones: AutoModelForSequenceClassification.from_pretrained(...).
"""

import sys

import torch
from torch import nn
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments, set_seed

from codistill import DML, Batch, Cohort


def texts(count: int, seed: int) -> list[dict]:
    """Token ids as a tokenizer gives them, padded with 0: the class says whether they begin with an even one."""
    draw = torch.Generator().manual_seed(seed)
    ids = torch.randint(2, 40, (count, 12), generator=draw)
    mask = (torch.arange(12) < torch.randint(4, 13, (count, 1), generator=draw)).long()
    columns = zip(ids * mask, mask, ids[:, 0] % 2, strict=True)
    return [{"input_ids": i, "attention_mask": m, "labels": label} for i, m, label in columns]


class Mutual(nn.Module):
    """What the Trainer calls: a loss, and logits ``[B, peers, classes]``, of a batch."""

    def __init__(self, nets: list[nn.Module]) -> None:
        super().__init__()
        self.cohort, self.method = Cohort(nets), DML()

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, labels: torch.Tensor) -> dict:
        inputs = {"input_ids": input_ids, "attention_mask": attention_mask}  # to every classifier
        # The line that makes the difference: one classifier computes cross_entropy(logits, labels) here.
        terms = self.method(self.cohort, Batch(inputs, labels))
        loss = torch.stack([term.sum() for term in terms.values()]).sum()
        return {"loss": loss, "logits": self.cohort.latest().transpose(0, 1)}  # what it has just predicted


def accuracies(result) -> dict:
    return {f"network {i}": share for i, share in enumerate((result[1] == result[0].argmax(-1).T).mean(1))}


def main(folder: str, epochs: int) -> None:
    set_seed(0)
    body = {"num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64, "max_position_embeddings": 12}
    nets = [BertForSequenceClassification(BertConfig(vocab_size=40, hidden_size=size, **body)) for size in (32, 48)]
    how = TrainingArguments(
        folder, num_train_epochs=epochs, per_device_train_batch_size=32, learning_rate=3e-3, use_cpu=True,
        save_strategy="no", report_to="none", disable_tqdm=True, label_names=["labels"],
    )  # fmt: skip
    trainer = Trainer(Mutual(nets), how, None, texts(800, 1), texts(400, 2), compute_metrics=accuracies)
    trainer.train()
    shares = [share for name, share in trainer.evaluate().items() if "network" in name]
    print("\n".join(f"network {peer}: {share:.1%} of 400 texts" for peer, share in enumerate(shares)))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 6)
