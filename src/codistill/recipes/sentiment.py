"""The study of mutual learning on MNIST and on the film reviews of IMDB and Naver (BM-K's scripts).

Its conclusion, that the KL between networks for text is too small to matter, came from a softmax over the batch;
`BatchSoftmax` is that term, to be compared with the true one.
"""

from torch.nn import functional as F

from codistill.batch import Batch
from codistill.losses.labels import label_loss
from codistill.methods import Method, Needs, Peers, Terms
from codistill.run import Run
from codistill.study import Row, Study

COHORTS = (Row("alone"), Row("dml", peers=2), Row("dml", peers=3))
SEEDS = tuple(range(5))
# Networks that read sentences run one after the other (stacked=False): small fleets stay in the cache.
ON_TEXT = Run(
    optimizer="adam", learning_rate=1e-3, weight_decay=0.0, schedule="constant", evaluate_every=1, checkpoint_every=1
)
ARTEFACT = "codistill.recipes.sentiment:BatchSoftmax"
SOURCE = "github.com/BM-K/-Personal-study-Deep_Mutual_Learning, its README [read]"


class BatchSoftmax(Method):
    """The study's mistake, to reproduce it.  L_i = CE(z_i, y) + sum_j W_ij KL(softmax_B(s_j) || softmax_B(s_i)) / B

    softmax_B is over the samples of the batch, since the script calls ``log_softmax`` without a dim on outputs
    ``[B]``: it compares which review of a batch is the most positive, and its size is that of 1/B. Use `DML` instead.

    Args:
        sigmoid: s is the sigmoid of the logit, as in the Naver script; else the logit itself, as in the one for IMDB.
    """

    title = "Softmax over the batch (the study's term)"
    needs = Needs(peers=True)

    def __init__(self, sigmoid: bool = True) -> None:
        super().__init__()
        self.sigmoid = sigmoid

    def forward(self, cohort: Peers, batch: Batch, progress: float | None = None) -> Terms:
        z = cohort(batch.x).logits  # [P, B, 1]
        s = z.squeeze(-1).sigmoid() if self.sigmoid else z.squeeze(-1)
        student, source = F.log_softmax(s, dim=-1), F.log_softmax(cohort.share(s), dim=-1)
        edges = (source.exp() * (source - student.unsqueeze(1))).sum(-1) / s.shape[-1]  # [student, source]
        weights = self.graph.matrix(len(cohort)).to(edges)
        return {"task": label_loss(z, batch), "mimic": (weights * edges).sum(1)}


def sentiment_mnist() -> Study:
    """MNIST, the study's small CNN and schedule: 1, 2 and 3 networks, 5 seeds."""
    run = Run(
        data="mnist",
        models=("mnist_cnn",),
        batch=64,
        learning_rate=0.01,
        momentum=0.5,
        nesterov=False,
        weight_decay=0.0,
        schedule="constant",
        epochs=9,
        checkpoint_every=3,
    )
    figure = f"accuracy improves with the number of networks; the values are in an image only: {SOURCE}"
    return Study("sentiment_mnist", run, COHORTS, SEEDS, published=(figure,))


def sentiment_nsmc() -> Study:
    """Naver film reviews, the study's net and schedule, 1, 2 and 3 networks, 5 seeds: its term and the true one.

    We differ: a byte-pair vocabulary in place of Mecab's words, embeddings from scratch in place of Korean vectors, a
    first hidden state of zeros in place of a random one, the last epoch in place of the best one.
    """
    run = ON_TEXT.replace(
        data="nsmc:outputs=1", valid=5000, models=("bigru:hidden=256,embedding=160",), batch=500, epochs=6
    )
    rows = (*COHORTS, Row(ARTEFACT, peers=2), Row(ARTEFACT, peers=3))
    figures = (
        f"2 networks: alone 80.26, with DML 80.24 (the mean); 3 networks: 80.15 and 80.35: {SOURCE}",
        "the study's KL 4.35e-5, with its softmax over the batch [read]",
    )
    return Study("sentiment_nsmc", run, rows, SEEDS, stacked=False, published=figures)


def sentiment_imdb() -> Study:
    """IMDB film reviews, the study's net and schedule, 1, 2 and 3 networks, 5 seeds: its term and the true one.

    We differ: a byte-pair vocabulary in place of spaCy's words, embeddings from scratch unless ``vectors`` is given
    (the study: GloVe 6B 100d), at most 400 tokens, the last epoch for all networks.
    """
    run = ON_TEXT.replace(
        data="imdb:outputs=1,length=400", valid=0.3, models=("bilstm:hidden=64,embedding=100",), batch=64, epochs=8
    )
    rows = (*COHORTS, Row(ARTEFACT, sigmoid=False, peers=2))
    figures = (
        f"improved for 2 and 3 networks; the values are in images only: {SOURCE}",
        "the study's KL 0.01 to 0.02, with its softmax over the batch [read]",
    )
    return Study("sentiment_imdb", run, rows, SEEDS, stacked=False, published=figures)


__all__ = ["sentiment_imdb", "sentiment_mnist", "sentiment_nsmc"]
