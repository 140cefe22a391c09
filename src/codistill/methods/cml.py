"""Collaborative mutual learning."""

from codistill.graph import complete
from codistill.methods import Batch, Cohort, Imitation, Needs, Peers, Terms, kl, label_loss
from codistill.methods.parts.options import DivergenceOption, GraphOption, Number, Temperature


class CML(Imitation):
    """Peers imitate each other and a teacher.  L_i = CE_i + w sum_j W_ij D(p_j, p_i) + v T^2 KL(p_t^T || p_i^T)

    D = KL(p_j || p_i). The form for classification of PP-OCRv2's text detection, Du et al. 2021, arXiv:2109.03144. With
    several teachers the last term is its mean over them, or what ``graph`` says. w = v = 1 as in
    PaddlePaddle/PaddleOCR's configuration; T = 1 is ours.

    Args:
        teacher: a frozen cohort; a run also takes the folder of a finished run. None: no third term, which is `DML`.
        teacher_weight: v.
        temperature: T, of the third term.
        graph: of student and teacher: ``everyone`` (the mean over all teachers), ``ring``, ``own``, or a matrix.
        peer_graph: W.

    We differ: there labels, peers and teacher are compared pixel by pixel (the teacher's map as a hard target), and D
    is (KL(p || q) + KL(q || p)) / 2, which ``divergence=symmetric_kl`` is. Its peers have one joint loss in which
    nothing is detached: with that D, the same gradient as ours.
    """

    needs = Needs(peers=True, teacher="frozen", unlabelled=True, common=True, couples="edges")
    published = (
        "text detection, hmean: PP-OCR 0.759, with DML 0.777, with CML 0.789 (second hand: a summary of 'Dive into "
        "OCR'); PP-OCRv3's student 83.2 -> 84.3, with a better teacher (PaddleOCR's own account)"
    )

    teacher: Cohort | None
    weight: Number = Number(1.0)
    teacher_weight: Number = Number(1.0)
    temperature: Temperature = Temperature(1.0)
    graph: GraphOption = GraphOption(None)
    peer_graph: GraphOption = GraphOption(None)
    divergence: DivergenceOption = DivergenceOption("kl")

    def __post_init__(self) -> None:
        super().__post_init__()
        self.peer_graph = self.peer_graph or complete()

    def forward(self, cohort: Peers, batch: Batch, progress: float | None = None) -> Terms:
        z, t = self.logits(cohort, batch)  # [P, B, C], [Q, B, C]
        p, graph = cohort.share(z), self.peer_graph
        mimic = self.along(
            self.divergence, students=z, sources=p, of=batch, progress=progress, graph=graph, temperature=1.0
        )
        terms = {"task": label_loss(z, batch), "mimic": self.weight * mimic}
        if self.teacher is not None:
            terms["teacher"] = self.teacher_weight * self.along(kl, students=z, sources=t, of=batch, progress=progress)
        return terms


__all__ = ["CML"]
