"""What docs/own-networks.md tells people to run, run in its order in an empty folder."""

import re
import runpy
import sys
import warnings
from pathlib import Path

import tiny_transformers as tiny
from codistill.cli import main

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "own-networks.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(python|sh)( \w+)?\n(.*?)```", PAGE, re.S)


def test_every_command_and_listing_runs(tmp_path, monkeypatch, capsys):
    tiny.library().logging.disable_progress_bar()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*sys.path])  # the command line adds the folder that one is in
    monkeypatch.setitem(sys.modules, "nets", None)
    monkeypatch.delitem(sys.modules, "nets")
    monkeypatch.setattr("codistill.cli.finish.write_report_of", lambda *_, **__: None)  # tested elsewhere, and slow
    assert [kind for kind, *_ in BLOCKS].count("sh") == 4
    made = set()
    for number, (kind, name, text) in enumerate(BLOCKS):
        if kind == "python":
            path = tmp_path / f"{name.strip() or f'listing{number}'}.py"
            path.write_text(text, encoding="utf-8")
            runpy.run_path(str(path))
            continue
        for line in text.replace("\\\n", " ").strip().splitlines():
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                main(line.split()[1:])
            made.add(line.split("--name ")[1].strip())
            assert (tmp_path / "runs" / line.split("--name ")[1].strip() / "results.jsonl").exists()
    assert made == {"own", "vit", "shallow", "first", "second", "taps"}
    assert "[(4, 5, 32), (4, 16, 4, 4)]" in capsys.readouterr().out
