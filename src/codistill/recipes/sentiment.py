"""The study of mutual learning on MNIST and on the film reviews of IMDB and Naver (BM-K's scripts; METHODS G)."""

from codistill.run import Run
from codistill.study import Study

COHORTS = ("alone", "dml:peers=2", "dml:peers=3")


def sentiment_mnist() -> Study:
    """MNIST, the study's small CNN and schedule: 1, 2 and 3 networks, 5 seeds.

    Its figures are in an image only: accuracy improves with the number of networks.
    """
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
    return Study(recipe="sentiment_mnist", base=run, methods=COHORTS, seeds=tuple(range(5)))


__all__ = ["sentiment_mnist"]
