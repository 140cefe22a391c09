import re
import sys

import pytest
import torch

from codistill.data import load
from codistill.data.table import table
from codistill.data.text.rows import Columns

tokenizers = pytest.importorskip("tokenizers", reason="text needs the tokenizers library")

ROWS = [
    ("good, very", "pos"),
    ('a "fine" film', "pos"),
    ("bad", "neg"),
    ("so\nso", "neutral"),
    ("", "neg"),
    ("x", "neutral"),
]


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CODISTILL_CACHE", str(tmp_path / "kept"))


def written(path, rows=ROWS, head=("text", "label"), encoding="utf-8"):
    separator = "," if path.suffix == ".csv" else "\t"
    lines = [separator.join(f'"{str(field).replace(chr(34), chr(34) * 2)}"' for field in row) for row in [head, *rows]]
    path.write_bytes(("\n".join(lines) + "\n").encode(encoding))
    return path


def texts(data, part="train"):
    tokenizer = tokenizers.Tokenizer.from_str(data.text.tokenizer)
    return [tokenizer.decode([i for i in row if i]) for row in getattr(data, part).x.tolist()]


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".txt"])
def test_a_file_to_learn_from_and_one_to_test_on(tmp_path, suffix):
    written(tmp_path / f"train{suffix}")
    written(tmp_path / f"test{suffix}", ROWS[:2])
    data = load("table:min_count=1,lowercase=false", tmp_path)
    assert data.names == ("neg", "neutral", "pos")
    assert (data.task, data.classes) == ("classes", 3)
    assert data.train.y.tolist() == [2, 2, 0, 1, 0, 1]
    assert data.test.y.tolist() == [2, 2]
    assert texts(data) == ["good, very", 'a "fine" film', "bad", "so so", "", "x"]
    assert data.train.x[4, :2].tolist() == [1, 0]


def test_columns_and_files_by_their_names(tmp_path):
    written(tmp_path / "mine.tsv", [("1", "bad", "0"), ("2", "good", "1")] * 3, ("id", "review", "stars"))
    data = load("table:train=mine,test=mine.tsv,text=review,label=stars,outputs=1", tmp_path)
    assert (data.task, data.classes, data.names) == ("binary", 1, ("0", "1"))
    assert torch.equal(data.train.x, data.test.x)


@pytest.mark.parametrize(("between", "said"), [(";", ";"), ("\t", "tab"), ("|", "|")])
def test_another_separator_is_named_and_taken(tmp_path, between, said):
    lines = ["text,label", *(f'"{text}",{label}' for text, label in [("a", "x"), ("b", "y")] * 5)]
    (tmp_path / "train.csv").write_text("\n".join(line.replace(",", between) for line in lines))
    with pytest.raises(ValueError, match=rf"train\.csv, line 1: one column, .*: set separator={re.escape(said)}$"):
        load("table:min_count=1", tmp_path)
    data = load(f"table:min_count=1,separator={said}", tmp_path)
    assert data.names == ("x", "y")
    assert len(data.train) + len(data.test) == 10


@pytest.mark.parametrize("wrong", ["", "ab", '"'])
def test_a_separator_is_one_character(tmp_path, wrong):
    written(tmp_path / "train.csv")
    with pytest.raises(ValueError, match="table: separator=.*: give one character"):
        table(tmp_path, separator=wrong)


def test_a_file_by_its_path_from_here(tmp_path, monkeypatch):
    written(tmp_path / "mine.csv", ROWS * 2)
    monkeypatch.chdir(tmp_path)
    assert len(load("table:train=mine.csv", tmp_path / "elsewhere").train) == 9


def test_without_a_test_file_a_part_is_held_out(tmp_path):
    written(tmp_path / "train.csv", ROWS * 5)
    data = load("table", tmp_path)
    assert len(data.test) == 6
    assert data.test.y.bincount().tolist() == [2, 2, 2]
    assert len(load("table:test=0.5", tmp_path).test) == 15


def test_a_test_file_beside_is_taken_unless_a_fraction_is_asked_for(tmp_path):
    written(tmp_path / "train.csv", ROWS * 5)
    written(tmp_path / "test.csv", ROWS)
    assert [len(load(spec, tmp_path).train) for spec in ("table", "table:test=0.2")] == [30, 24]


def test_numbers_are_sorted_by_size(tmp_path):
    written(tmp_path / "train.csv", [("a", "10"), ("b", "9"), ("c", "-1"), ("d", "10")] * 3)
    assert load("table", tmp_path).names == ("-1", "9", "10")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "cp949", "utf-16"])
def test_other_encodings(tmp_path, encoding):
    written(tmp_path / "train.csv", [("좋은 영화", "긍정"), ("지루한 영화", "부정")] * 3, encoding=encoding)
    data = load("table" if encoding == "utf-8-sig" else f"table:encoding={encoding}", tmp_path)
    assert data.names == ("긍정", "부정")


def test_a_text_longer_than_the_csv_module_takes(tmp_path):
    written(tmp_path / "train.csv", [("word " * 40_000, "a"), ("b", "b")] * 2)
    assert load("table:length=3", tmp_path).train.x.shape[1] == 3
    import csv

    assert csv.field_size_limit() == 131_072


@pytest.mark.parametrize(
    ("written_in", "read_in", "right"),
    [
        ("utf-16", "utf-8", "utf-16"),
        ("utf-16-le", "utf-8", "utf-16-le"),
        ("utf-32", "utf-8", "utf-32"),
    ],
)
def test_an_encoding_of_other_bytes_to_a_character_is_named(tmp_path, written_in, read_in, right):
    written(tmp_path / "train.csv", [("좋은 영화", "긍정"), ("지루한 영화", "부정")] * 3, encoding=written_in)
    with pytest.raises(ValueError, match=rf"train\.csv, line 1: not {read_in}: set encoding "):
        load(f"table:encoding={read_in},skip_bad=true", tmp_path)
    assert load(f"table:encoding={right}", tmp_path).names == ("긍정", "부정")


@pytest.mark.parametrize(
    ("encoding", "strange"),
    [("cp949", b"\x80\x41,pos\n"), ("ascii", b"caf\xe9,pos\n")],
)
def test_what_another_encoding_does_not_have_is_named_by_its_line(tmp_path, encoding, strange):
    path = written(tmp_path / "train.csv", ROWS * 2, encoding=encoding)
    path.write_bytes(path.read_bytes() + strange)
    with pytest.raises(ValueError, match=rf"train\.csv: line 16: not {encoding}: set encoding.*skip_bad=true"):
        load(f"table:encoding={encoding}", tmp_path)
    with pytest.warns(UserWarning, match="1 of 13 rows"):
        load(f"table:skip_bad=true,encoding={encoding}", tmp_path)


def test_names_of_columns_in_another_encoding_are_named(tmp_path):
    written(tmp_path / "train.csv", head=("글", "label"), encoding="cp949")
    with pytest.raises(ValueError, match=r"train\.csv, line 1: not utf-8: set encoding \(cp949"):
        load("table:text=글", tmp_path)


def test_an_encoding_that_has_no_surrogates_is_named(tmp_path):
    (tmp_path / "train.csv").write_bytes(b"text,label\n\xff,x\n")
    with pytest.raises(ValueError, match=r"train\.csv: not idna .*set encoding .utf-8"):
        load("table:encoding=idna", tmp_path)


BAD = [
    ("a,pos,3", "3 fields for 2 columns"),
    ("a", "1 fields for 2 columns"),
    ("a,", "column 'label' is empty"),
    ("a,  ", "column 'label' is empty"),
    ('"a"b,pos', "expected after.*quotes=false"),
]


@pytest.mark.parametrize(("line", "said"), BAD)
def test_a_row_that_cannot_be_used_is_named_or_left_out(tmp_path, line, said):
    path = written(tmp_path / "train.csv", ROWS * 2)
    path.write_text(path.read_text() + f"{line}\nlast,pos\n")
    number = path.read_text().count("\n") - 1
    with pytest.raises(ValueError, match=rf"train\.csv: line {number}: .*{said}.*skip_bad=true"):
        load("table", tmp_path)
    with pytest.warns(UserWarning, match=rf"1 of 14 rows cannot be used and are left out: line {number}: .*{said}"):
        data = load("table:skip_bad=true", tmp_path)
    assert len(data.train) + len(data.test) == 13


def test_the_line_of_a_row_is_where_it_begins(tmp_path):
    (tmp_path / "train.csv").write_text('text,label\n"a\nb",x\n\n"c\nd",\n')
    with pytest.raises(ValueError, match="lines 5-6: column 'label' is empty"):
        load("table", tmp_path)


def test_all_lines_of_a_row_that_is_left_out_are_named(tmp_path):
    path = written(tmp_path / "train.csv", ROWS * 2)
    path.write_text(path.read_text() + '"a\nb\nc",pos,more\nlast,pos\n')
    with pytest.warns(UserWarning, match=r"1 of 14 rows cannot .* lines 16-18: 3 fields for 2 columns"):
        load("table:skip_bad=true", tmp_path)


def test_a_byte_of_another_encoding_is_named_by_its_line(tmp_path):
    path = written(tmp_path / "train.csv", ROWS * 2)
    path.write_bytes(path.read_bytes() + "좋은,pos\n".encode("cp949"))
    with pytest.raises(ValueError, match=r"train\.csv: line 16: not utf-8: set encoding.*skip_bad=true"):
        load("table", tmp_path)
    with pytest.warns(UserWarning, match="1 of 13 rows"):
        load("table:skip_bad=true", tmp_path)


def one_line_each(path, strange, count=120):
    """Rows of one line each without quotes, some of them replaced by their line."""
    path.write_text(
        "text,label\n" + "".join(strange.get(i, f"film {i},{'xy'[i % 2]}") + "\n" for i in range(2, count + 2))
    )
    return path


@pytest.mark.parametrize(
    ("strange", "bad", "good"),
    [
        ({42: '"fine" film,x', 83: '"fine" film,y'}, ["line 42", "line 83"], 118),
        ({42: '"film,x', 45: 'film" 45,y'}, ["lines 42-45"], 116),
        ({42: '"film,x', 45: '"film,y'}, ["lines 42-45"], 116),
        ({42: '"film,x'}, ["lines 42-121"], 40),
    ],
)
def test_a_stray_quote_is_an_error_or_every_line_that_it_joins_is_left_out(tmp_path, strange, bad, good):
    path = one_line_each(tmp_path / "train.csv", strange)
    rows = list(Columns("text", "label").rows(path))
    assert [row.lines for row in rows if row.fault] == bad
    assert len([row for row in rows if not row.fault]) == good
    with pytest.raises(ValueError, match=rf"train\.csv: {bad[0]}: .*quotes=false.*skip_bad=true"):
        load("table", tmp_path)
    with pytest.warns(UserWarning, match=rf"{len(bad)} of {len(rows)} rows .* left out: {bad[0]}: "):
        data = load("table:skip_bad=true", tmp_path)
    assert len(data.train) + len(data.test) == good


def test_the_names_of_the_columns_are_never_left_out(tmp_path):
    (tmp_path / "train.csv").write_text('text,"label\n' + "more,pos\n" * 9)
    with pytest.raises(ValueError, match=r"train\.csv, lines 1-10: unexpected end of data"):
        load("table:skip_bad=true", tmp_path)


def test_quotes_may_be_characters_like_others(tmp_path):
    rows = 'text\tlabel\n"open film\tx\nthe 6" one\ty\n'
    (tmp_path / "train.tsv").write_text(rows)
    (tmp_path / "test.tsv").write_text(rows)
    assert texts(load("table:quotes=false,min_count=1", tmp_path)) == ['"open film', 'the 6" one']


def test_a_label_that_was_not_learned_is_named_or_left_out(tmp_path):
    written(tmp_path / "train.csv")
    written(tmp_path / "test.csv", [("a", "pos"), ("b", "positive")])
    with pytest.raises(
        ValueError, match=r"test\.csv: line 3: label 'positive' is not in the training file \(neg, neutral"
    ):
        load("table", tmp_path)
    with pytest.warns(UserWarning, match="1 of 2 rows"):
        assert len(load("table:skip_bad=true", tmp_path).test) == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("text=txt", r"no column of .*train\.csv is called 'txt': did you mean 'text'"),
        ("label=lable", "did you mean 'label'"),
        ("label=text", "text=text and label=text are one column"),
        ("encoding=utf9", "encoding=utf9: no such encoding"),
        ("quotes=3", "quotes=3: use true or false"),
        ("skip_bad=3", "skip_bad=3: use true or false"),
        ("test=3", "table: test=3: give a fraction"),
        ("lable=x", "no option of data 'table' is called 'lable': did you mean 'label'"),
    ],
)
def test_an_invalid_option_is_named(tmp_path, options, said):
    written(tmp_path / "train.csv")
    with pytest.raises(ValueError, match=said):
        load(f"table:{options}", tmp_path)


def test_a_file_that_is_not_there_is_named_with_those_that_are(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"train=train: no such file; .* holds no file of \.csv"):
        load("table", tmp_path)
    written(tmp_path / "reviews.csv")
    with pytest.raises(FileNotFoundError, match=r"train=review: no such file; .* holds reviews\.csv: name it"):
        load("table:train=review", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"test=held"):
        load("table:train=reviews,test=held", tmp_path)


def test_nothing_is_downloaded(tmp_path):
    with pytest.raises(ValueError, match="table: download=True.*turn it off"):
        load("table", tmp_path, download=True)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is called 'text': there are: .none: it is empty"),
        ("text,label\n", "none of 0 rows can be used"),
        ("text,label\na,x\nb,x\n", "every label is 'x': give two or more"),
        (
            "text,label\n" + "".join(f"pos,review {i}\n" for i in range(20)),
            "column 'label' has 20 different labels in 20 rows: .* are they swapped",
        ),
        ("text,text,label\na,b,x\n", "2 columns are called 'text'"),
    ],
)
def test_a_file_that_teaches_nothing_is_named(tmp_path, content, said):
    (tmp_path / "train.csv").write_text(content)
    with pytest.raises(ValueError, match=rf"train\.csv.*{said}"):
        load("table", tmp_path)


def test_another_suffix_is_refused(tmp_path):
    (tmp_path / "a.xlsx").write_text("")
    with pytest.raises(ValueError, match=r"a\.xlsx: suffix '\.xlsx': give a file of \.csv, \.tsv, \.txt, \.parquet"):
        load("table:train=a.xlsx", tmp_path)


class TestParquet:
    @pytest.fixture
    def write(self, tmp_path):
        arrow = pytest.importorskip("pyarrow", reason="Parquet needs pyarrow")
        from pyarrow import parquet

        return lambda name, **columns: parquet.write_table(arrow.table(columns), tmp_path / name)

    @pytest.mark.parametrize("labels", [[0, 1, 0, 1], [0.0, 1.0, 0.0, 1.0]])
    def test_it_is_read(self, tmp_path, write, labels):
        write("train.parquet", text=["a", "b", "c", "d"], label=labels, other=[1, 2, 3, 4])
        data = load("table:test=0.5", tmp_path)
        assert data.names == ("0", "1")

    def test_what_is_missing_is_named_by_its_row(self, tmp_path, write):
        write("train.parquet", text=["a", None, "c"], label=["x", "y", "z"])
        with pytest.raises(ValueError, match=r"train\.parquet: row 2: column 'text' holds None, no text"):
            load("table", tmp_path)
        write("train.parquet", text=["a", "b", "c"], label=["x", "y", None])
        with pytest.raises(ValueError, match="row 3: column 'label' is empty"):
            load("table", tmp_path)

    def test_a_column_that_is_not_there_is_named(self, tmp_path, write):
        write("train.parquet", texts=["a"], label=["x"])
        with pytest.raises(ValueError, match="no column of .* is called 'text': did you mean 'texts'"):
            load("table", tmp_path)

    def test_a_damaged_file_is_named(self, tmp_path, write):
        (tmp_path / "train.parquet").write_bytes(b"PAR1 no")
        with pytest.raises(ValueError, match=r"train\.parquet: not a Parquet file"):
            load("table", tmp_path)

    def test_without_the_library_the_extra_is_named(self, tmp_path, monkeypatch):
        (tmp_path / "train.parquet").write_bytes(b"")
        monkeypatch.setitem(sys.modules, "pyarrow", None)
        with pytest.raises(ImportError, match=r"pip install 'codistill\[text\]'"):
            list(Columns("text", "label").rows(tmp_path / "train.parquet"))


AG_NEWS = [(3, "Oil up", "Prices rose, again"), (1, "Vote", "A vote was held"), (2, "Goal", 'They "won"')] * 4


def test_a_file_without_a_header_several_columns_and_names_from_a_file(tmp_path):
    written(tmp_path / "train.csv", AG_NEWS[1:], AG_NEWS[0])
    (tmp_path / "classes.txt").write_text("World\nSports\nBusiness\n", encoding="utf-8")
    data = load("table:header=false,label=1,text=2+3,classes=classes.txt,test=0.25,min_count=1", tmp_path)
    assert data.names == ("World", "Sports", "Business")
    assert len(data.train) + len(data.test) == 12
    read = {(text, data.names[y]) for text, y in zip(texts(data), data.train.y.tolist(), strict=True)}
    assert read == {
        ("oil up prices rose, again", "Business"), ("vote a vote was held", "World"), ('goal they "won"', "Sports"),
    }  # fmt: skip


@pytest.mark.parametrize("columns", ["text=title+body,label=class", "text=2+3,label=1", "text=title+3,label=class"])
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_several_columns_by_name_or_number(tmp_path, columns, suffix):
    head = ("class", "title", "body")
    if suffix == ".csv":
        written(tmp_path / "train.csv", AG_NEWS, head)
    else:
        arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        columns_of = {name: list(column) for name, column in zip(head, zip(*AG_NEWS, strict=True), strict=True)}
        parquet.write_table(arrow.table(columns_of), tmp_path / "train.parquet")
    text, label = (word.partition("=")[2] for word in columns.split(","))
    rows = list(Columns(text, label).rows(tmp_path / f"train{suffix}"))
    assert [(row.text, row.label) for row in rows] == [(f"{title} {body}", str(n)) for n, title, body in AG_NEWS]


def test_a_column_whose_name_has_a_plus_is_one(tmp_path):
    written(tmp_path / "train.csv", [("a", "x")] * 2, ("title+body", "label"))
    assert [row.text for row in Columns("title+body", "label").rows(tmp_path / "train.csv")] == ["a", "a"]


@pytest.mark.parametrize(
    ("names", "labels"), [("a\nb\n", "01"), ("a\nb\n", "12"), ("b\n\na\n", "ab"), (" a \nb", "ba")]
)
def test_class_names_are_labels_or_their_numbers(tmp_path, names, labels):
    written(tmp_path / "train.csv", [("good", labels[0]), ("bad", labels[1])] * 4)
    (tmp_path / "names.txt").write_text(names, encoding="utf-8")
    assert load("table:classes=names.txt", tmp_path).names == ("a", "b")


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ("a\nb\nc\n", "names 3 classes .* 2 labels .1, 2. are neither these nor 0 to 2 nor 1 to 3"),
        ("a\na\n", "one name"),
    ],
)
def test_class_names_that_do_not_fit(tmp_path, names, said):
    written(tmp_path / "train.csv", [("good", "1"), ("bad", "2")] * 4)
    (tmp_path / "names.txt").write_text(names, encoding="utf-8")
    with pytest.raises(ValueError, match=said):
        load("table:classes=names.txt", tmp_path)


def test_a_missing_header_is_noticed(tmp_path):
    path = written(tmp_path / "train.csv", AG_NEWS[1:], AG_NEWS[0])
    with pytest.raises(
        ValueError, match="no column of .* is called 'text', and if .* set header=false and give numbers"
    ):
        load("table:label=1", tmp_path)
    with pytest.raises(ValueError, match="without a header columns have numbers alone; there are: 1, 2, 3"):
        list(Columns("text", "1", header=False).rows(path))
    with pytest.raises(ValueError, match="are one column: name two"):
        Columns("1+2", "2")
