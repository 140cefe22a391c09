"""Small networks of transformers, saved to folders as anybody saves them."""

import pytest
import torch

from codistill import DataSet, Examples
from codistill.data.examples import Text

TOKENS, LENGTH = 40, 8
BODY = {"num_hidden_layers": 2, "hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 48}
TEXT = {"vocab_size": TOKENS, "max_position_embeddings": 16, "num_labels": 3}
IMAGE = {"image_size": 8, "patch_size": 4, "num_channels": 1, "num_labels": 3}


def library():
    return pytest.importorskip("transformers", reason="needs the extra hf")


def config(kind, **changes):
    made = library()
    if kind == "distilbert":
        body = {"n_layers": 2, "dim": 32, "n_heads": 2, "hidden_dim": 48}
        return made.DistilBertConfig(**{**body, **TEXT, **changes})
    if kind == "vit":
        return made.ViTConfig(**{**BODY, **IMAGE, **changes})
    if kind == "gpt2":
        return made.GPT2Config(**{"n_layer": 2, "n_embd": 32, "n_head": 2, **TEXT, "n_positions": 16, **changes})
    kinds = {"bert": made.BertConfig, "roberta": made.RobertaConfig}
    return kinds[kind](**{**BODY, **TEXT, **changes})


def classifier(kind, seed=0, **changes):
    """A network of transformers in eval mode, weights larger than at its usual start so that they matter."""
    found = config(kind, **changes)
    torch.manual_seed(seed)
    auto = "AutoModelForImageClassification" if kind == "vit" else "AutoModelForSequenceClassification"
    net = getattr(library(), auto).from_config(found)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return net.eval()


def folder(path, kind, seed=0, **changes):
    """Where such a network was saved."""
    library().logging.disable_progress_bar()
    net = classifier(kind, seed, **changes)
    net.save_pretrained(path)
    return net


def token_ids(count, seed=0, least=3):
    """Texts of unlike lengths, padded with 0 at the end."""
    draw = torch.Generator().manual_seed(seed)
    ids = torch.randint(1, TOKENS, (count, LENGTH), generator=draw)
    lengths = torch.randint(least, LENGTH + 1, (count, 1), generator=draw)
    return ids.where(torch.arange(LENGTH) < lengths, 0)


def texts(count=24):
    """A data set of token ids in memory."""
    train, test = (Examples(x, x[:, 0] % 3) for x in (token_ids(count, 1), token_ids(count, 2)))
    return DataSet(train, test, 3, "classes", (), (), (), text=Text(TOKENS, "{}"))


def pictures(count=24, classes=3):
    """A data set of images in memory."""
    draw = torch.Generator().manual_seed(0)
    y = torch.arange(count) % classes
    train, test = (Examples(torch.rand(count, 1, 8, 8, generator=draw), y) for _ in range(2))
    return DataSet(train, test, classes, "classes", (0.5,), (0.3,), ())
