"""Who learns from whom: weights W[student, source], and the two verbs over them.

along:  sum over j of W_ij D(source_j, student_i); along_edges where more than two logits make D
blend:  sum over j of W_ij p_j
"""

from codistill.graph.features import FeatureLoss, along_features
from codistill.graph.logits import along, along_edges, same_classes
from codistill.graph.mixture import MEANS, blend
from codistill.graph.weights import Graph, complete, edges, everyone, matrix, named, none, own, ring, star

__all__ = [
    "MEANS",
    "FeatureLoss",
    "Graph",
    "along",
    "along_edges",
    "along_features",
    "blend",
    "complete",
    "edges",
    "everyone",
    "matrix",
    "named",
    "none",
    "own",
    "ring",
    "same_classes",
    "star",
]
