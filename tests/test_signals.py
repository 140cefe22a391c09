"""Signals end a command in order: the step is finished, a checkpoint written, and resuming ends as unbroken."""

import os
import re
import signal
import subprocess
import sys
import traceback
import warnings

import pytest

import grace
from codistill import checkpoint, cli
from codistill.report.interruption import Interrupted, signals
from codistill.training.records import Record

WORDS = ["train", "--labels", "60", "--batch", "20", "--models", "cnn:width=4", "--execute", "stack"]
WORDS += ["--epochs", "2000", "--learning-rate", "0.01", "--name", "it"]
GRACE = 120  # seconds, of which a machine that is not busy needs few


class Forked:
    """A command in a process that is forked from this one, so that nothing need be imported again."""

    def __init__(self, words, folder):
        self.out, out = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            os.chdir(folder)
            for number in (1, 2):
                os.dup2(out, number)
            sys.stdout, sys.stderr = (open(number, "w", buffering=1, closefd=False) for number in (1, 2))  # noqa: SIM115
            warnings.simplefilter("default")
            try:
                cli.main(words)
            except SystemExit as stop:
                os._exit(stop.code if isinstance(stop.code, int) else 1)
            except BaseException:
                traceback.print_exc()
                os._exit(70)
            os._exit(0)
        os.close(out)
        self.said = os.fdopen(self.out)

    def until(self, pattern):
        """Wait for a line of what it says."""
        for line in self.said:
            if re.search(pattern, line):
                return
        raise AssertionError("it has ended")

    def ended(self):
        """The rest of what it says, and its exit code."""
        rest = self.said.read()
        self.said.close()
        return rest, os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
@pytest.mark.parametrize(
    ("sent", "codes"),
    [
        ([signal.SIGTERM], {143}),
        ([signal.SIGHUP], {129}),
        ([signal.SIGINT, signal.SIGINT], {130}),
        ([signal.SIGTERM, signal.SIGINT], {143, 130}),  # of two that wait at once, the system chooses which comes first
    ],
)
def test_a_signal_leaves_a_checkpoint_and_says_how_to_go_on(sent, codes, tmp_path):
    process = Forked(WORDS, tmp_path)
    process.until(r"step \d+ of 6000")
    for number in sent:
        os.kill(process.pid, number)
    out, code = process.ended()
    assert code in codes, out
    assert "Traceback" not in out
    assert "Nothing is lost. Resume with:\n  codistill resume runs/it" in out
    step = int(re.search(r"Stopped after step (\d+) of 6000", out)[1])
    newest, saved = checkpoint.newest_whole(tmp_path / "runs" / "it")
    assert saved.facts["step"] == step == checkpoint.step_of(newest)


def test_a_command_under_timeout_ends_in_order_and_is_gone_on_with(tmp_path):
    code, _ = grace.broken_off("timeout", tmp_path, GRACE, epochs=2000)
    assert code == 143  # 137: it was killed
    newest, saved = checkpoint.newest_whole(tmp_path / "it")
    assert 0 < saved.facts["step"] == checkpoint.step_of(newest) < 6000
    assert not (tmp_path / "it" / "results.jsonl").exists()


def test_signals_are_counted_and_the_third_ends_at_once():
    script = (
        "import os, signal, time\n"
        "from codistill.report.interruption import signals\n"
        "with signals() as stop:\n"
        "    stop.begun = True\n"
        "    print('ready', flush=True)\n"
        "    seen = 0\n"
        "    while True:\n"
        "        time.sleep(0.01)\n"
        "        if stop.count > seen: print(seen := stop.count, flush=True)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    for count in (1, 2):
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == f"{count}\n"  # one that came before it was taken would not be counted
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=GRACE)
    assert process.returncode == 130
    assert "once more ends at once" in err
    assert "ended at once" in err


def test_a_signal_before_the_first_record_ends_what_is_being_built():
    before = signal.getsignal(signal.SIGTERM)
    with signals() as stop:
        with pytest.raises(Interrupted, match="interrupted") as caught:
            os.kill(os.getpid(), signal.SIGTERM)
        assert caught.value.exit_code == 143
        stop.begun = True
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.number == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is before
    assert str(Interrupted(15, Record("step", 3, 9))) == "stopped after step 3 of 9"


def test_the_first_signal_gives_the_exit_code():
    with signals() as stop:
        stop.begun = True
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.raise_signal(number)  # returns when it has been taken
        assert (stop.number, stop.count) == (signal.SIGTERM, 2)
    assert Interrupted(stop.number).exit_code == 143


def test_signals_that_are_ignored_stay_so():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stop.number
    finally:
        signal.signal(signal.SIGHUP, before)


def test_an_interruption_has_the_exit_code_of_its_signal(monkeypatch):
    for error, code in ((KeyboardInterrupt(), 130), (cli.Ended(signal.SIGHUP), 129), (Interrupted(15), 143)):

        def fail(argv, error=error):
            raise error

        monkeypatch.setattr(cli, "_parse", fail)
        with pytest.raises(SystemExit) as stop:
            cli.main([])
        assert stop.value.code == code
