"""The comparison of AberHu/Knowledge-Distillation-Zoo: ResNet-20 taught by ResNet-110."""

from codistill.recipes import on_cifar, on_gpu
from codistill.study import Row, Study

TEACHER, STUDENT = "resnet110", "resnet20"
PUBLISHED = {
    "cifar10": (
        "Zoo's README [read]: ResNet-20 92.37, ResNet-110 93.86; Logits 92.98, ST 92.82, OFD 93.13, AT 93.21, NST "
        "92.83, RKD 93.21, AFD 92.92, DML 92.92 (ResNet-20 of the pair; ResNet-110 94.45)",
        "an article (GiantPandaCV) [read]: 92.29, gains Logits 0.78, ST 0.16, OFD 0.45, AT 0.71, NST 0.38, RKD 0.65, "
        "AFD 0.18, DML 2.24; the last is what max(net 1, net 2) gives, the ResNet-110's: do not expect it of ResNet-20",
    ),
    "cifar100": (
        "Zoo's README [read]: ResNet-20 68.92, ResNet-110 73.15; Logits 69.78, ST 70.06, OFD 69.81, AT 69.28, NST "
        "69.31, RKD 69.36, AFD 69.60, DML 70.29 (ResNet-20 of the pair; ResNet-110 74.53)",
    ),
}


def kd_zoo(data: str = "cifar10") -> Study:
    """ResNet-20 with a ResNet-110 teacher, eight losses, and DML of the two from scratch and beside a trained one.

    CIFAR-10, or CIFAR-100 (data=cifar100).
    """
    schedule = "step:at=0.5/0.75,by=0.1"
    run = on_cifar(data, STUDENT, batch=128, weight_decay=1e-4, schedule=schedule)
    rows = (
        Row("alone"),
        Row("logits", weight=0.1, teacher=TEACHER),
        Row("kd", weight=0.1, task_weight=1, temperature=4, teacher=TEACHER),
        Row("at", weight=1000, p=2, teacher=TEACHER),
        Row("nst", weight=10, teacher=TEACHER),
        Row("rkd", weight=1, distance=25, angle=50, teacher=TEACHER),
        Row("ofd", weight=0.5, teacher=TEACHER),
        Row("afd", weight=500, att_f=1, teacher=TEACHER),
        Row("fitnet", weight=0.1, teacher=TEACHER),
        Row("dml", models=(TEACHER, STUDENT)),
        Row("dml", models=(f"{TEACHER}:start=alone", STUDENT)),
        Row("dml", models=(STUDENT, STUDENT)),
    )
    recipe = "kd_zoo" if data == "cifar10" else f"kd_zoo:data={data}"
    return on_gpu(recipe, run, rows, published=PUBLISHED.get(data, ()))


__all__ = ["kd_zoo"]
