"""Laws of delivery: a program gets exactly what it was meant to get, and what it leaves comes home."""

from __future__ import annotations

import pytest

from .lab import Lab, Subject

__all__ = ["NASTY", "DeliveryLaws"]

NASTY = (
    "",
    " ",
    "a b",
    "-x",
    "--",
    "'\"`\\",
    "$(touch yes) `touch yes` ; touch yes & | > yes < no",
    "$HOME ~ * ? [a] {a,b} !! #",
    "a\nb\r\n\tc",
    "%s %d %%",
    "\u00e9\u4e2d\u6587 \U0001f600",
    "\x01\x1b[31m\x7f",
    "x" * 20_000,
)
"""Words that a shell, a printf or a careless quoting would change."""

_ALWAYS = (
    "HSM_SWEEP_ID",
    "HSM_TASK_ID",
    "HSM_TASK_INDEX",
    "HSM_ATTEMPT",
    "HSM_SOURCE",
    "HSM_TASK_DIR",
    "HSM_RESULTS_DIR",
    "HSM_PARAMS_FILE",
    "HSM_METRICS_FILE",
)


class DeliveryLaws(Subject):
    """What the program finds."""

    def test_arguments_arrive_byte_for_byte(self, lab: Lab) -> None:
        """Quotes, newlines, dollars, control characters, emoji, nothing at all: no shell ever reads an argument."""
        lab.rig().run(lab.task(0, "show", *NASTY))
        assert lab.report(0)["argv"] == [word.encode() for word in NASTY]

    def test_every_task_knows_who_it_is(self, lab: Lab) -> None:
        """The variables of the task contract are all there and true."""
        rig = lab.rig()
        rig.run(*lab.tasks(2, "show"))
        for index in range(2):
            env = lab.report(index)["env"]
            assert not [name for name in _ALWAYS if not env.get(name)], "these variables are missing"
            assert env["HSM_SWEEP_ID"] == "sweep_1"
            assert env["HSM_TASK_ID"] == lab.task_name(index)
            assert (env["HSM_TASK_INDEX"], env["HSM_ATTEMPT"]) == (str(index), "1")
            assert env["HSM_SOURCE"] == rig.spec.id
            assert env["HSM_TASK_DIR"].endswith(lab.task_name(index))
            assert env["HSM_RESULTS_DIR"] == env["HSM_TASK_DIR"] + "/results"
            assert env["HSM_PARAMS_FILE"] == env["HSM_TASK_DIR"] + "/params.yaml"
            assert env["HSM_METRICS_FILE"] == env["HSM_TASK_DIR"] + "/metrics.json"

    def test_environment_of_the_sweep_and_of_the_task(self, lab: Lab) -> None:
        """Both are there, byte for byte; where they disagree the task's wins."""
        values = {f"NASTY_{number}": word for number, word in enumerate(NASTY)}
        rig = lab.rig(env={"OF_SWEEP": "sweep", "OF_BOTH": "sweep"})
        rig.run(lab.task(0, "show", env={"OF_BOTH": "task", **values}))
        env = lab.report(0)["env"]
        assert (env.get("OF_SWEEP"), env.get("OF_BOTH")) == ("sweep", "task")
        assert {name: env.get(name) for name in values} == values

    def test_nothing_of_an_outer_sweep_leaks(self, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
        """A sweep that is run inside a task of another sweep hands on nothing of what that one was told."""
        for name in (*_ALWAYS, "HSM_PARAM_LR", "HSM_GPUS"):
            monkeypatch.setenv(name, "outer")
        lab.rig().run(lab.task(0, "show"))
        assert [name for name, value in lab.report(0)["env"].items() if value == "outer"] == []

    def test_files_are_there_before_the_program_starts(self, lab: Lab) -> None:
        """The task's files lie in its folder, whole, and so does the folder for its results."""
        files = {"params.yaml": "lr: 0.1\n", "params.json": '{"text": "\u4e2d \U0001f600"}', "empty": ""}
        lab.rig().run(lab.task(0, "show", files=files))
        report = lab.report(0)
        assert {name: report["files"].get(name) for name in files} == files
        assert report["results_is_folder"]

    def test_programs_run_in_the_project(self, lab: Lab) -> None:
        """The working folder is the project's, so that relative paths mean what they mean to its author."""
        rig = lab.rig()
        rig.run(lab.task(0, "show"))
        assert lab.report(0)["cwd"] == self.tasks_cwd(rig.context)

    def test_results_come_home(self, lab: Lab) -> None:
        """What a program leaves in its results folder is in the sweep's folder here once it was collected."""
        lab.rig().run(lab.task(0, "show"))
        assert (lab.folder(0) / "results" / "model.bin").read_bytes() == bytes(range(256))

    def test_output_is_kept_from_the_first_byte(self, lab: Lab) -> None:
        """Both streams are in their files, whole, even of a program that dies without a flush or a newline."""
        lab.rig().run(lab.task(0, "speak"))
        out, err = ((lab.folder(0) / name).read_bytes() for name in ("stdout.log", "stderr.log"))
        assert out == b"first out\n" + b"\xff\x00" + b"o" * 200_000
        assert err == b"first err\n" + b"e" * 200_000

    def test_a_second_attempt_keeps_the_first(self, lab: Lab) -> None:
        """A new attempt has its own number and an empty folder; what the one before left is in `attempts/1`."""
        rig = lab.rig()
        rig.run(lab.task(0, "show", "first"))
        rig.run(lab.task(0, "show", "second", attempt=2))
        report = lab.report(0)
        assert (report["argv"], report["env"]["HSM_ATTEMPT"]) == ([b"second"], "2")
        assert "report.json" not in report["files"], "the second attempt found what the first had left"
        assert (lab.folder(0) / "attempts" / "1" / "results" / "model.bin").is_file()
