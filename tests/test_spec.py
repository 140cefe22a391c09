import copy
import dataclasses
import pickle
import sys
from importlib import import_module
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from codistill import discovery, methods, models
from codistill.spec import Spec, UnknownName, parse_value

quick = settings(derandomize=True, deadline=None, max_examples=60)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("-3", -3),
        ("0.5", 0.5),
        ("1e-3", 0.001),
        ("true", True),
        ("False", False),
        ("none", None),
        ("None", None),
        ("0.3/0.6", "0.3/0.6"),
        ("kl", "kl"),
        ("", ""),
    ],
)
def test_values_are_numbers_truths_nothing_or_text(text, value):
    got = parse_value(text)
    assert got == value
    assert type(got) is type(value)


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("dml", Spec("dml")),
        ("dml:", Spec("dml")),
        (" dml:weight=2,total=sum ", Spec("dml", (), {"weight": 2, "total": "sum"})),
        ("my.nets:Small,width=32", Spec("my.nets", ("Small",), {"width": 32})),
        ("step:at=0.3/0.6,by=0.1", Spec("step", (), {"at": "0.3/0.6", "by": 0.1})),
        ("crop: 4 , mode=a=b", Spec("crop", (4,), {"mode": "a=b"})),
    ],
)
def test_specs_are_a_name_with_positional_and_named_options(text, spec):
    assert Spec.parse(text) == spec
    assert Spec.parse(str(spec)) == spec


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the name is missing; write name:key=value"),
        (":weight=2", "the name is missing"),
        ("dml:2x=3", "'2x=3' is not a key=value"),
        ("dml:weight=1,weight=2", "'weight=2' is not a key=value with a key of its own"),
        ("dml:=2", "'=2' is not a key=value"),
    ],
)
def test_malformed_specs_are_refused_with_their_text(text, said):
    with pytest.raises(ValueError, match=f"spec {text!r}.*{said}"):
        Spec.parse(text)


words = st.from_regex(r"[a-z][a-z0-9_./]{0,8}", fullmatch=True).filter(
    lambda w: w not in ("true", "false", "none", "nan", "inf", "infinity")
)
values = st.one_of(st.integers(), st.floats(allow_nan=False), st.booleans(), st.none(), words)
keys = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True)


@given(name=words, args=st.lists(values, max_size=3), options=st.dictionaries(keys, values, max_size=3))
@quick
def test_a_written_spec_reads_as_itself(name, args, options):
    spec = Spec(name, tuple(args), options)
    again = Spec.parse(str(spec))
    assert again == spec
    assert [type(v) for v in again.args] == [type(v) for v in spec.args]


@given(st.text(max_size=30))
@quick
def test_whatever_is_typed_is_a_spec_or_a_value_error(text):
    try:
        spec = Spec.parse(text)
    except ValueError:
        return
    assert spec.name


def test_the_folder_is_the_list():
    assert {"alone", "dml", "dml_ensemble", "kd"} <= set(discovery.available("codistill.methods"))
    assert "resnet32" in discovery.available("codistill.models")
    assert {"kl", "reverse_kl", "symmetric_kl", "js"} <= set(discovery.available("codistill.losses.divergences"))


def test_every_file_of_divergences_is_discovered_by_itself():
    package = "codistill.losses.divergences"
    files = {path.stem for path in Path(import_module(package).__path__[0]).glob("[a-z]*.py")}
    found = [discovery.find(package, name)[0] for name in discovery.available(package)]
    modules = {(loss if hasattr(loss, "__qualname__") else type(loss)).__module__ for loss in found}
    assert {module.rpartition(".")[2] for module in modules} == files


def test_every_listed_name_is_found_as_it_is_listed():
    for package in ("codistill.methods", "codistill.models", "codistill.losses.divergences"):
        for name in discovery.available(package):
            found, rest = discovery.find(package, name)
            assert callable(found)
            assert rest == ()


@pytest.mark.parametrize("spelling", ["dml_ensemble", "dml-ensemble", "DMLEnsemble", "DML_ensemble"])
def test_spelling_with_dashes_and_capitals_is_forgiven(spelling):
    assert methods.find(spelling).__name__ == "DMLEnsemble"


def test_a_misspelt_name_gets_the_nearest():
    with pytest.raises(UnknownName, match="no method is called 'dlm': did you mean 'dml'"):
        discovery.find("codistill.methods", "dlm")
    with pytest.raises(UnknownName, match="no model is called 'resnet33': did you mean 'resnet3?2'"):
        models.build("resnet33", 10, (1, 8, 8))


def test_a_name_like_no_other_gets_the_whole_list():
    with pytest.raises(UnknownName, match="no method is called 'qqqqqq': there are: .*alone.*dml.*kd"):
        discovery.find("codistill.methods", "qqqqqq")


OWN = "from codistill.methods.alone import Alone\nclass Mine(Alone):\n    pass\nnumber = 3\n"


@pytest.fixture
def own_module(tmp_path, monkeypatch):
    (tmp_path / "own_methods.py").write_text(OWN)
    (tmp_path / "own_broken.py").write_text("import a_module_that_is_not_there\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in ("own_methods", "own_broken"):
        sys.modules.pop(name, None)


@pytest.mark.usefixtures("own_module")
def test_your_own_is_found_by_module_and_name():
    found, rest = discovery.find("codistill.methods", Spec.parse("own_methods:Mine,7,label_smoothing=0.1"))
    assert found.__name__ == "Mine"
    assert rest == (7,)
    assert methods.get("own_methods:Mine,label_smoothing=0.1").label_smoothing == 0.1


@pytest.mark.usefixtures("own_module")
def test_what_is_wrong_with_your_own_is_said():
    with pytest.raises(UnknownName, match="no method in module own_methods is called 'Mien': did you mean 'Mine'"):
        methods.get("own_methods:Mien")
    missing = "'own_method', and there is no module 'own_method' in this folder or on the path either"
    with pytest.raises(UnknownName, match=missing):
        methods.get("own_method:Mine")
    with pytest.raises(UnknownName, match=r"no module 'own_methods.py' .* either \(of a file write own_methods:Mine\)"):
        methods.get("own_methods.py:Mine")
    with pytest.raises(ModuleNotFoundError, match="a_module_that_is_not_there"):
        methods.get("own_broken:Mine")
    with pytest.raises(TypeError, match="'own_methods:number' is 3, not a Method"):
        methods.get("own_methods:number")


@pytest.mark.parametrize(
    ("package", "spec", "said"),
    [
        ("models", "netz:small", "no model is called 'netz', and there is no module 'netz' .* either; there are: "),
        (
            "data",
            "my_module:my_data",
            "no data is called 'my_module', and there is no module 'my_module' .* there are: ",
        ),
        ("models", "resnt32:a", "no module 'resnt32' in this folder or on the path either; did you mean 'resnet32'"),
        ("models", "netz:width=3", "no model is called 'netz': "),
        ("models", "netz:3", "no model is called 'netz': "),
    ],
)
def test_what_is_neither_a_name_nor_a_module_is_said_to_be_neither(package, spec, said):
    with pytest.raises(UnknownName, match=said):
        discovery.find(f"codistill.{package}", spec)


@pytest.mark.parametrize("word", ["none", "true", "false", "inf", "nan"])
@pytest.mark.usefixtures("own_module")
def test_a_function_of_your_own_may_be_called_like_a_value(word, monkeypatch):
    own_methods = import_module("own_methods")

    monkeypatch.setattr(own_methods, word, word.upper(), raising=False)
    assert discovery.find("codistill.data", Spec.parse(f"own_methods:{word},none")) == (word.upper(), (None,))
    monkeypatch.delattr(own_methods, word)
    with pytest.raises(UnknownName, match=f"no data in module own_methods is called '{word}'"):
        discovery.find("codistill.data", Spec.parse(f"own_methods:{word}"))


def test_a_spec_cannot_be_changed_and_can_be_hashed_copied_and_pickled():
    spec = Spec.of("dml:weight=2,graph=ring")
    with pytest.raises(TypeError):
        spec.options["weight"] = 3
    with pytest.raises(dataclasses.FrozenInstanceError):
        spec.name = "kd"
    assert spec == Spec.of("dml:graph=ring,weight=2")
    assert hash(spec) == hash(Spec.of("dml:graph=ring,weight=2"))
    assert copy.deepcopy(spec) == pickle.loads(pickle.dumps(spec)) == spec
    assert spec.replace(weight=3) == Spec.of("dml:weight=3,graph=ring")
    assert spec.without("weight", "temperature") == Spec.of("dml:graph=ring")
    assert Spec.of(spec) is spec


# Building what a spec names -------------------------------------------------------------------------------------------

OWN_FUNCTION = "def pair(first, second, third=3, *, root=None): return (first, second, third, root)\nnot_one = 3\n"


@pytest.fixture
def own_function(tmp_path, monkeypatch):
    (tmp_path / "own_function.py").write_text(OWN_FUNCTION)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("own_function", None)


@pytest.mark.usefixtures("own_function")
@pytest.mark.parametrize(
    ("spec", "value"),
    [
        ("own_function:pair,2", (1, 2, 3, "here")),
        ("own_function:pair,2,5", (1, 2, 5, "here")),
        ("own_function:pair,second=2", (1, 2, 3, "here")),
        ("own_function:pair,third=4,second=none", (1, None, 4, "here")),
    ],
)
def test_context_comes_first_and_what_is_known_goes_where_it_is_asked_for(spec, value):
    assert discovery.construct("codistill.data", spec, 1, root="here", download=True) == value


@pytest.mark.usefixtures("own_function")
@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("own_function:pair", "data 'own_function:pair' needs second: write second=..., or own_function:pair,SECOND"),
        ("own_function:pair,2,3,4", r"4 is one too many \(options: second, third\)"),
        ("own_function:pair,2,second=3", "second is given twice"),
        (
            "own_function:pair,2,thrid=3",
            "no option of data 'own_function:pair' is called 'thrid': did you mean 'third'",
        ),
        ("own_function:pair,2,root=there", "no option of data 'own_function:pair' is called 'root'"),
        ("own_function:pair,2,first=1", "no option of data 'own_function:pair' is called 'first'"),
        ("own_function:not_one", "data 'own_function:not_one' is a int: name a function or a class"),
    ],
)
def test_what_cannot_be_built_says_why(spec, said):
    with pytest.raises(ValueError, match=said):
        discovery.construct("codistill.data", spec, 1, root="here")


def test_every_kind_that_a_spec_names_is_listed_by_itself():
    assert {"constant", "cosine", "linear", "step"} <= set(discovery.available("codistill.schedules"))
    assert {"complete", "everyone", "none", "own", "ring", "star"} <= set(discovery.available("codistill.graph"))
    assert {"crop", "flip"} <= set(discovery.available("codistill.data.augmentations"))
    assert {"js", "kl", "renyi"} <= set(discovery.available("codistill.losses.divergences"))


def test_an_unknown_name_crosses_to_another_process():
    error = UnknownName("data set", "digit", ["digits", "mnist"])
    other = pickle.loads(pickle.dumps(error))
    assert type(other) is UnknownName
    assert str(other) == str(error) == "no data set is called 'digit': did you mean 'digits'?"
