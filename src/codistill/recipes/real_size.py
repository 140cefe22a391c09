"""Real data as far as two CPU cores go: private labels, few labels, and the paper's own data with a small ResNet."""

from codistill.run import Run
from codistill.study import Row, Study

POOLED = Row("alone", shards="none")
SILOS = (Row("alone"), Row("pseudo", ramp=0.3), Row("dml", ramp=0.3), POOLED)
SEEDS = tuple(range(5))
SILO_NOTE = "The last row has the labels of all silos for every network: what pooling the data would give."
FEDMD = (
    "FedMD, with 10 parties: about +20 % over each party alone, a few percent below pooled data (Li and Wang 2019, its "
    "abstract)",
)
ADAM = Run(
    peers=4,
    optimizer="adamw",
    learning_rate=3e-3,
    weight_decay=1e-2,
    schedule="cosine",
    epochs=10,
    checkpoint_every=5,
)


def mnist_silos() -> Study:
    """MNIST, four silos with 50 labels of five digits each, common unlabelled images, 5 seeds."""
    run = ADAM.replace(
        data="mnist",
        models=("mlp",),
        labels=200,
        unlabelled=100,
        shards="classes:per=5",
        batch=40,
        steps=1000,
    )
    return Study("mnist_silos", run, SILOS, SEEDS, notes=(SILO_NOTE,), published=FEDMD, retrainings=2)


def mnist_few_labels() -> Study:
    """MNIST, the same 100 labels for all, the other images unlabelled, 5 seeds."""
    run = ADAM.replace(data="mnist", models=("mlp",), labels=100, unlabelled=100, batch=50, steps=1000)
    rows = (
        Row("alone"),
        Row("pseudo", select="confident:0.95"),
        Row("mean_teacher", ramp=0.3, on="unlabelled"),
        Row("dml", peers=2, ramp=0.3),
        Row("dml", peers=4, ramp=0.3),
        Row("dml_ensemble", peers=4, graph="everyone", on="unlabelled", burn_in=0.5),
    )
    return Study("mnist_few_labels", run, rows, SEEDS, retrainings=2)


def nsmc_silos() -> Study:
    """Naver film reviews, four silos with 200 private reviews each, common reviews without labels, 5 seeds."""
    run = ADAM.replace(
        data="nsmc:outputs=1",
        models=("bigru:hidden=32,embedding=64",),
        labels=800,
        unlabelled=100,
        shards="equal",
        batch=50,
        steps=600,
    )
    return Study(
        "nsmc_silos",
        run,
        SILOS,
        SEEDS,
        stacked=False,
        notes=(SILO_NOTE,),
        published=FEDMD,
        retrainings=2,
        retrained=3,
    )


def cifar20_silos() -> Study:
    """CIFAR-100's 20 coarse classes, four silos with unlike networks and 1,000 labels of ten classes each, 3 seeds."""
    run = ADAM.replace(
        data="cifar100:labels=coarse",
        models=("resnet8", "cnn:width=32", "mobilenet:width=0.25", "vit_micro"),
        augment=("crop:pad=4", "flip"),
        labels=4000,
        unlabelled=32,
        shards="classes:per=10",
        batch=32,
        steps=400,
        learning_rate=1e-3,
        checkpoint_every=1,
        execute="channels_last",
    )
    return Study(
        "cifar20_silos",
        run,
        SILOS,
        SEEDS[:3],
        stacked=False,
        notes=(SILO_NOTE,),
        published=FEDMD,
        retrainings=2,
    )


def cifar100_small() -> Study:
    """CIFAR-100, all 50,000 labels in common, ResNet-8 at half resolution, 5 epochs, 3 seeds: the paper's data."""
    run = Run(
        data="cifar100",
        models=("resnet8:stride=2",),
        augment=("crop:pad=4", "flip"),
        batch=128,
        learning_rate=0.1,
        weight_decay=5e-4,
        schedule="cosine",
        epochs=5,
        checkpoint_every=1,
        execute="channels_last",
    )
    rows = (
        Row("alone"),
        Row("alone", label_smoothing=0.1, peers=2),
        Row("dml", peers=2),
        Row("dml", peers=4),
        Row("kd", teacher="alone", graph="ring", peers=2),
    )
    return Study("cifar100_small", run, rows, SEEDS[:3], stacked=False)


__all__ = ["cifar20_silos", "cifar100_small", "mnist_few_labels", "mnist_silos", "nsmc_silos"]
