"""Options of methods: fields that check what they are given."""

import inspect

import pytest

from codistill import discovery
from codistill.cohort import Cohort
from codistill.graph import Graph
from codistill.methods import Method, NotPrepared, find, get
from codistill.methods.alone import Alone
from codistill.methods.dml import DML
from codistill.methods.kd import KD
from codistill.methods.parts.options import Choice, Fraction, GraphOption, Number, described
from codistill.spec import UnknownName
from small_nets import several


class Plain(Method):
    """Has an ``__init__`` of its own.  L_i = 0"""

    def __init__(self, weight=2.0, graph=None):
        super().__init__(graph)
        self.weight = weight

    def forward(self, cohort, batch, progress=None):
        return {}


class Fields(Plain):
    """Lists its options, with one of `Plain`'s in another place.

    Args:
        rate: r.
    """

    rate: Fraction = Fraction(0.5)
    weight: Number = Number(3.0, low=1.0)
    way: Choice = Choice("here", "there")
    graph: GraphOption = GraphOption(None)


@pytest.mark.parametrize("name", discovery.available("codistill.methods"))
def test_every_option_is_described(name):
    assert described(find(name)).keys() == inspect.signature(find(name)).parameters.keys()


def test_what_is_given_is_checked_and_held_as_what_is_computed_with():
    method = Fields(0.25, graph="ring")
    assert (method.rate, method.weight, method.way) == (0.25, 3.0, "here")
    assert isinstance(method.graph, Graph)
    with pytest.raises(ValueError, match="weight=0.5: give a number at least 1"):
        method.weight = 0.5
    with pytest.raises(ValueError, match="rate=2: give a number from 0 to 1"):
        Fields(rate=2)
    with pytest.raises(UnknownName, match="no way is called 'their': did you mean 'there'"):
        Fields(way="their")


def test_the_signature_is_the_fields_with_their_defaults():
    signature = inspect.signature(Fields)
    assert {name: p.default for name, p in signature.parameters.items()} == {
        "rate": 0.5,
        "weight": 3.0,
        "way": "here",
        "graph": None,
    }


def test_a_class_with_an_init_of_its_own_is_left_as_it_is():
    assert (Plain().weight, Plain(graph="ring").graph.name) == (2.0, "ring")
    assert list(inspect.signature(Plain).parameters) == ["weight", "graph"]


def test_an_option_that_a_method_does_not_have_is_no_argument_and_its_default_is_used():
    assert Alone().weight == 1.0
    with pytest.raises(TypeError, match="weight"):
        Alone(weight=2.0)  # type: ignore[call-arg]


def test_methods_do_not_share_what_they_hold():
    one, two = DML(weight=2.0), DML()
    assert (one.weight, two.weight) == (2.0, 1.0)
    teacher = Cohort(several("cc")).frozen()
    assert [m.teacher for m in (KD(teacher), KD(None), get("ktg"))] == [teacher, None, None]


def test_the_help_of_a_method_says_what_its_bases_say_of_its_options():
    assert "    weight: w.\n" in KD.__doc__
    assert "W[student, source]" in described(Fields)["graph"]
    assert described(Fields)["rate"] == "    rate: r."
    assert "temperature" not in described(Fields)


def test_what_prepare_makes_is_missed_in_words():
    method = get("pcl")
    with pytest.raises(NotPrepared, match=r"'PCL' object has no attribute 'averages': call method.prepare\(cohort"):
        method.averages  # noqa: B018
    assert not hasattr(method, "averages")
