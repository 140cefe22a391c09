"""Collaborative mutual learning."""

from codistill.losses import divergences
from codistill.losses.divergence import Divergence
from codistill.losses.divergences.kl import kl
from codistill.methods import Batch, Cohort, Links, Method, Needs, Peers, Terms, along, label_loss, named, number


class CML(Method):
    """Peers imitate each other and a teacher.  L_i = CE_i + w sum_j W_ij D(p_j, p_i) + v T^2 KL(p_t^T || p_i^T)

    D = KL(p_j || p_i). The form for classification of PP-OCRv2's text detection, Du et al. 2021, arXiv:2109.03144. With
    several teachers the last term is its mean over them, or what ``graph`` says. w = v = 1 as in
    PaddlePaddle/PaddleOCR's configuration; T = 1 is ours.

    Args:
        teacher: a frozen cohort; a run also takes the folder of a finished run. None: no third term, which is `DML`.
        weight: w.
        teacher_weight: v.
        temperature: T, of the third term.
        graph: of student and teacher: ``everyone`` (the mean over all teachers), ``ring``, ``own``, or a matrix.
        peer_graph: W.
        divergence: D, as in `DML`.

    We differ: there labels, peers and teacher are compared pixel by pixel (the teacher's map as a hard target), and D
    is (KL(p || q) + KL(q || p)) / 2, which ``divergence=symmetric_kl`` is. Its peers have one joint loss in which
    nothing is detached: with that D, the same gradient as ours.
    """

    title = "CML"
    needs = Needs(peers=True, teacher="frozen", unlabelled=True, couples="edges")
    published = (
        "text detection, hmean: PP-OCR 0.759, with DML 0.777, with CML 0.789 (second hand: a summary of 'Dive into "
        "OCR'); PP-OCRv3's student 83.2 -> 84.3, with a better teacher (PaddleOCR's own account)"
    )

    def __init__(
        self,
        teacher: Cohort | None,
        weight: float = 1.0,
        teacher_weight: float = 1.0,
        temperature: float = 1.0,
        graph: Links = None,
        peer_graph: Links = None,
        divergence: str | Divergence = "kl",
    ) -> None:
        super().__init__("complete" if peer_graph is None else peer_graph, teacher)
        self.divergence = divergences.get(divergence)
        self.teacher_graph = named("everyone" if graph is None else graph)
        self.weight, self.teacher_weight = number("weight", weight), number("teacher_weight", teacher_weight)
        self.temperature = number("temperature", temperature, 1e-6)

    def forward(self, cohort: Peers, batch: Batch, progress: float | None = None) -> Terms:
        students, sources = self.students_and_sources(cohort, batch)
        z, t = students.logits, sources.logits  # [P, B, C], [Q, B, C]
        mimic = along(self.graph, self.divergence, students=z, sources=cohort.share(z), of=batch)
        terms = {"task": label_loss(z, batch), "mimic": self.weight * mimic}
        if self.teacher is not None:
            taught = along(self.teacher_graph, kl, students=z, sources=t, of=batch, temperature=self.temperature)
            terms["teacher"] = self.teacher_weight * taught
        return terms


__all__ = ["CML"]
