"""The emulator against facts recorded on a real OpenPBS 23.06.06: the same texts, exit codes and JSON keys."""

from __future__ import annotations

import json
import os
import subprocess
import time
from typing import Iterator, NamedTuple

import pytest
from hsm_pbs.testing.emulator import Emulator

USAGE = "usage: qsub [-a date_time] [-A account_string] [-c interval]"


class Said(NamedTuple):
    """What a line of shell printed."""

    code: int
    out: str
    err: str


class Shell:
    """A shell whose PBS is an emulator, in a folder of scripts."""

    def __init__(self, emulator: Emulator, folder: str) -> None:
        self.emulator = emulator
        self.folder = folder

    def __call__(self, line: str) -> Said:
        done = subprocess.run(
            ["bash", "-c", line],
            cwd=self.folder,
            env={**os.environ, **self.emulator.env},
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        return Said(done.returncode, done.stdout, done.stderr)

    def until(self, line: str) -> None:
        deadline = time.monotonic() + 30.0
        while self(line).code != 0:
            assert time.monotonic() < deadline, line
            time.sleep(0.05)


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """Fresh, so that the first job is number 1."""
    with Emulator() as made:
        yield made


@pytest.fixture
def shell(emulator: Emulator, tmp_path) -> Shell:
    """Scripts of the names that the recording has."""
    scripts = {
        "true": "true\n",
        "py": "exit 5\n",
        "e300": "exit 300\n",
        "kill9": "kill -9 $$\n",
        "long": "#PBS -J 0-9\n#PBS -l select=1:ncpus=4\nsleep 60\n",
        "arr": "#PBS -N myarr\n#PBS -J 0-9\n#PBS -l select=1:ncpus=4\nexit $PBS_ARRAY_INDEX\n",
        "bad": "#PBS -Z foo\ntrue\n",
        "env": 'pwd; umask; echo "$PBS_O_WORKDIR|$TMPDIR|$PBS_ENVIRONMENT|$PATH"\n',
    }
    for name, text in scripts.items():
        (tmp_path / f"{name}.pbs").write_text(text)
    (tmp_path / "crlf.pbs").write_bytes(b"true\r\n")
    return Shell(emulator, str(tmp_path))


REFUSALS = [
    ("qsub -q nosuch true.pbs", 170, "qsub: Unknown queue"),
    ("qsub -q closed true.pbs", 173, "qsub: Queue is not enabled"),
    ("qsub -q acl true.pbs", 159, "qsub: Unauthorized Request "),
    ("qsub -l nosuchres=1 true.pbs", 187, "qsub: Unknown resource Resource_List.nosuchres"),
    ("qsub -l select=1:nosuch=2 true.pbs", 187, "qsub: Unknown resource: nosuch"),
    ("qsub -q small -l select=1:ncpus=9 true.pbs", 188, "qsub: Job violates queue and/or server resource limits"),
    ("qsub -q small -l walltime=00:10:01 true.pbs", 188, "qsub: Job violates queue and/or server resource limits"),
    ("qsub -l walltime=abc true.pbs", 166, "qsub: Illegal attribute or resource value Resource_List.walltime"),
    ("qsub -l walltime=1:2:3:4 true.pbs", 166, "qsub: Illegal attribute or resource value Resource_List.walltime"),
    ("qsub -l select=1:ncpus=x true.pbs", 166, "qsub: Illegal attribute or resource value select.ncpus"),
    ("qsub -l select=1:mem=1zb true.pbs", 166, "qsub: Illegal attribute or resource value select.mem"),
    ('qsub -l "select=" true.pbs', 166, "qsub: Illegal attribute or resource value Resource_List.select"),
    ("qsub -l select=0:ncpus=1 true.pbs", 166, "qsub: Illegal attribute or resource value"),
    (
        "qsub -l ncpus=2 -l select=1 true.pbs",
        5,
        'qsub: "-lresource=" cannot be used with "select" or "place", resource is: ncpus',
    ),
    ("qsub -J 0-10000 true.pbs", 3, "qsub: Array job exceeds server or queue size limit"),
    ("qsub -q small -J 0-50 true.pbs", 3, "qsub: Array job exceeds server or queue size limit"),
    *(
        (f"qsub -J {text} true.pbs", 2, f"qsub: illegal -J value\n{USAGE}")
        for text in ("5-1", "3-3", "0-0", "3", "abc")
    ),
    *((f"qsub -J {text} true.pbs", 2, f"qsub: illegal -J value\n{USAGE}") for text in ("1-10:0", "1-3,5", "0--5")),
    ("qsub -r n -J 0-1 true.pbs", 1, "qsub:  cannot submit non-rerunable Array Job"),
    ("qsub nosuch.pbs", 1, "qsub: script file:: No such file or directory"),
    ("qsub bad.pbs", 1, "qsub: invalid option -- 'Z'\nqsub: directive error: -Z foo "),
    ("qsub crlf.pbs", 1, "qsub: script contains cr, lf"),
    ('qsub -N "a b" true.pbs', 2, f"qsub: illegal -N value\n{USAGE}"),
    ('qsub -N "a/b" true.pbs', 2, f"qsub: illegal -N value\n{USAGE}"),
    ("qsub -N $(printf %0231d 1 | tr 0 a) true.pbs", 2, "qsub: Job name is too long "),
    ("qsub -W depend=junk:1 true.pbs", 2, f"qsub: illegal -W value\n{USAGE}"),
    ("qsub -p 5000 true.pbs", 2, f"qsub: illegal -p value\n{USAGE}"),
    ("qsub -v UNSETVAR true.pbs", 1, "qsub: cannot send environment with the job"),
    ("qstat 99999", 153, "qstat: Unknown Job Id 99999.pbshost"),
    ("qstat -x 99999", 153, "qstat: Unknown Job Id 99999.pbshost"),
    ("qdel 99999", 153, "qdel: Unknown Job Id 99999.pbshost"),
    ("qdel junk", 1, "qdel: illegally formed job identifier: junk"),
]


@pytest.mark.parametrize(("line", "code", "said"), REFUSALS, ids=[line for line, _, _ in REFUSALS])
def test_what_is_refused(shell: Shell, line: str, code: int, said: str) -> None:
    """The words and the exit code of each refusal; nothing is on standard output, and no job is made."""
    answer = shell(line)
    assert (answer.code, answer.out) == (code, "")
    assert answer.err.startswith(said + "\n")
    assert shell("qstat").out == ""


def test_names_that_are_taken(shell: Shell) -> None:
    """Digits, a minus sign in front, and 230 characters are good names."""
    for number, name in enumerate(("1abc", "007", "-x", "$(printf %0230d 1 | tr 0 a)"), 1):
        assert shell(f"qsub -N {name} true.pbs") == Said(0, f"{number}.pbshost\n", "")


def test_a_limit_of_a_queue(shell: Shell) -> None:
    """The third job of a user in a queue that lets two in."""
    shell("qsub -q lim -h true.pbs; qsub -q lim -h true.pbs")
    assert shell("qsub -q lim -h true.pbs") == Said(38, "", "qsub: would exceed queue generic's per-user limit\n")


def test_a_finished_job(shell: Shell) -> None:
    """Plain qstat says that it is over; the history has it, with how it ended."""
    shell("qsub py.pbs")
    shell.until("qstat 1 2>&1 | grep -q finished")
    told = "qstat: 1.pbshost Job has finished, use -x or -H to obtain historical job information\n"
    assert shell("qstat 1") == Said(35, "", told)
    assert shell("qstat -f 1").code == 35
    answer = json.loads(shell("qstat -f -F json 1").out)
    assert sorted(answer) == ["pbs_server", "pbs_version", "timestamp"]
    job = json.loads(shell("qstat -x -f -F json 1").out)["Jobs"]["1.pbshost"]
    assert (job["job_state"], job["substate"], job["Exit_status"], job["Stageout_status"]) == ("F", 93, 5, 1)
    assert job["comment"].endswith(" and failed")
    assert shell("qdel 1") == Said(35, "", "qdel: Job has finished 1.pbshost\n")


RUNNING_KEYS = (
    "Job_Name Job_Owner job_state queue server Checkpoint ctime Error_Path exec_host exec_vnode Hold_Types Join_Path "
    "Keep_Files Mail_Points mtime Output_Path Priority qtime Rerunable Resource_List stime session_id jobdir substate "
    "Variable_List comment etime run_count Submit_arguments project Submit_Host"
)
ARRAY_KEYS = (
    "Job_Name Job_Owner job_state queue server Checkpoint ctime Error_Path Hold_Types Join_Path Keep_Files Mail_Points "
    "mtime Output_Path Priority qtime Rerunable Resource_List stime substate Variable_List comment etime "
    "Submit_arguments array array_state_count array_indices_submitted array_indices_remaining project Submit_Host"
)


def test_the_keys_of_a_running_job(shell: Shell) -> None:
    """Those of the real one, in its order."""
    shell("echo 'sleep 30' | qsub")
    shell.until("qstat | grep -q ' R '")
    job = json.loads(shell("qstat -f -F json 1").out)["Jobs"]["1.pbshost"]
    assert [key for key in job if key != "resources_used"] == RUNNING_KEYS.split()
    assert job["exec_vnode"] == "(pbshost:ncpus=1)"


def test_an_array_that_runs(shell: Shell) -> None:
    """B, with elements that run and others that wait; these show what is said of the whole."""
    assert shell("qsub long.pbs").out == "1[].pbshost\n"
    shell.until("[ $(qstat -t | grep -c ' R ') = 4 ]")
    table = shell("qstat -t").out.splitlines()
    assert table[2] == "1[].pbshost       long.pbs         root                     0 B workq           ".replace(
        "root            ", f"{subprocess.getoutput('id -un'):<16}"
    )
    assert [line.split()[0] + line.split()[4] for line in table[3:]] == [
        f"1[{n}].pbshost{'R' if n < 4 else 'Q'}" for n in range(10)
    ]
    jobs = json.loads(shell("qstat -t -f -F json '1[]'").out)["Jobs"]
    assert list(jobs["1[].pbshost"]) == ARRAY_KEYS.split()
    assert jobs["1[].pbshost"]["array_state_count"] == "Queued:6 Running:4 Exiting:0 Expired:0"
    assert jobs["1[].pbshost"]["array_indices_remaining"] == "4-9"
    assert (jobs["1[3].pbshost"]["array_id"], jobs["1[3].pbshost"]["array_index"]) == ("1[].pbshost", 3)
    assert "array_id" not in jobs["1[8].pbshost"]
    assert shell("qstat '1[77]'") == Said(153, "", "qstat: Unknown Job Id 1[77].pbshost\n")


def test_elements_that_are_deleted(shell: Shell) -> None:
    """Those that wait are X at once, without a record; exit codes of qdel for what is over or was never there."""
    shell("qsub long.pbs")
    shell.until("[ $(qstat -t | grep -c ' R ') = 4 ]")
    assert shell("qdel '1[8]'") == Said(0, "", "")
    assert shell("qdel '1[8]'") == Said(55, "", "qdel: Request invalid for finished array subjob 1[8].pbshost\n")
    assert shell("qdel '1[4-5]'").code == 0
    assert shell("qdel '1[4,7]'") == Said(1, "", "qdel: illegally formed job identifier: 1[4,7]\n")
    element = json.loads(shell("qstat -f -F json '1[8]'").out)["Jobs"]["1[8].pbshost"]
    assert (element["job_state"], element["comment"]) == ("X", "Subjob finished")
    assert "array_id" not in element
    assert "Exit_status" not in element


def test_an_array_that_is_deleted(shell: Shell) -> None:
    """What ran has 271 and a record of its own; what waited shows the exit status of the whole."""
    shell("qsub long.pbs")
    shell.until("[ $(qstat -t | grep -c ' R ') = 4 ]")
    shell("qdel '1[]'")
    shell.until("qstat '1[]' 2>&1 | grep -q finished")
    jobs = json.loads(shell("qstat -x -t -f -F json '1[]'").out)["Jobs"]
    assert (jobs["1[].pbshost"]["substate"], jobs["1[].pbshost"]["Exit_status"]) == (91, 1)
    assert (jobs["1[0].pbshost"]["substate"], jobs["1[0].pbshost"]["Exit_status"]) == (91, 271)
    assert "and terminated by " in jobs["1[0].pbshost"]["comment"]
    assert (jobs["1[9].pbshost"]["Exit_status"], jobs["1[9].pbshost"]["comment"]) == (1, "Subjob finished")
    assert "array_id" not in jobs["1[9].pbshost"]


def test_exit_codes(shell: Shell) -> None:
    """Modulo 256, 128 and more for a signal, and each element its own."""
    shell("for f in e300 kill9 arr; do qsub $f.pbs; done")
    shell.until("! qstat | grep -q .")
    jobs = json.loads(shell("qstat -x -t -f -F json").out)["Jobs"]
    assert jobs["1.pbshost"]["Exit_status"] == 44
    assert jobs["2.pbshost"]["Exit_status"] == 137
    assert [jobs[f"3[{n}].pbshost"]["Exit_status"] for n in range(10)] == list(range(10))
    assert (jobs["3[0].pbshost"]["substate"], jobs["3[1].pbshost"]["substate"]) == (92, 93)
    assert jobs["3[].pbshost"]["Exit_status"] == 1


def test_the_walltime(shell: Shell) -> None:
    """-29, and a comment that says it."""
    shell("echo 'sleep 30' | qsub -l walltime=1")
    shell.until("qstat 1 2>&1 | grep -q finished")
    job = json.loads(shell("qstat -x -f -F json 1").out)["Jobs"]["1.pbshost"]
    assert (job["Exit_status"], job["substate"]) == (-29, 93)
    assert job["comment"].endswith("exceeded resource walltime")


def test_a_job_that_is_deleted_before_it_ran(shell: Shell) -> None:
    """F, 91, and no exit status at all."""
    shell("qsub -h true.pbs; qdel 1")
    job = json.loads(shell("qstat -x -f -F json 1").out)["Jobs"]["1.pbshost"]
    assert (job["job_state"], job["substate"]) == ("F", 91)
    assert "Exit_status" not in job


def test_what_waits_for_others(shell: Shell) -> None:
    """H by the system until they are over; a job that waits for one that nobody knows is taken out, and never ran."""
    shell(
        "echo 'sleep 2' | qsub; qsub -W depend=afterany:1.pbshost true.pbs; qsub -W depend=afterany:99.pbshost true.pbs"
    )
    job = json.loads(shell("qstat -f -F json 2").out)["Jobs"]["2.pbshost"]
    assert (job["job_state"], job["Hold_Types"], job["substate"]) == ("H", "s", 22)
    assert job["depend"] == "afterany:1.pbshost@pbshost"
    shell.until("qstat 2 2>&1 | grep -q finished")
    gone = json.loads(shell("qstat -x -f -F json 3").out)["Jobs"]["3.pbshost"]
    assert (gone["job_state"], gone["substate"], gone.get("Exit_status")) == ("F", 92, None)


def test_too_much_is_taken_and_never_runs(shell: Shell) -> None:
    """A selection that no node has is no error."""
    shell("qsub -l select=1:ncpus=999 true.pbs")
    said = "comment = Can Never Run: Insufficient amount of resource: ncpus (R: 999 A: "
    shell.until(f"qstat -f 1 | grep -q '{said}'")


def test_where_a_job_begins(shell: Shell) -> None:
    """In the home folder, with umask 077, a login's path and a scratch folder of its own."""
    shell("qsub -o out.txt -j oe env.pbs")
    shell.until("[ -e out.txt ]")
    folder, umask, rest = (shell.emulator.folder, *shell("cat out.txt").out.split("\n")[1:3])
    assert shell("cat out.txt").out.splitlines()[0] == os.path.expanduser("~")
    assert umask == "0077"
    assert rest == f"{shell.folder}|{folder}/tmp/pbs.1.pbshost|PBS_BATCH|/usr/local/bin:/usr/bin:/bin"
    assert shell("stat -c %a out.txt").out == "600\n"


def test_output_that_cannot_be_delivered(shell: Shell) -> None:
    """The job is E for a long time, and then ended well all the same."""
    shell("qsub -o /nonexistent/d/x -j oe true.pbs")
    shell.until("qstat 1 | grep -q ' E '")
    shell.until("qstat 1 2>&1 | grep -q finished")
    job = json.loads(shell("qstat -x -f -F json 1").out)["Jobs"]["1.pbshost"]
    assert (job["Exit_status"], job["substate"], job["Stageout_status"]) == (0, 92, 0)


def test_without_history(shell: Shell) -> None:
    """What is over is unknown at once; -x says so, exits 0, and its JSON has no jobs."""
    shell.emulator.set(history=False)
    shell("qsub true.pbs")
    shell.until("! qstat | grep -q .")
    assert shell("qstat 1") == Said(153, "", "qstat: Unknown Job Id 1.pbshost\n")
    told = "qstat: PBS is not configured to maintain job history 1.pbshost\n"
    answer = shell("qstat -x -f -F json 1")
    assert (answer.code, answer.err) == (0, told)
    assert "Jobs" not in json.loads(answer.out)


def test_without_history_elements_show_the_whole(shell: Shell) -> None:
    """While an array lives, those that are over are X, and show the exit status of others as theirs."""
    shell.emulator.set(history=False)
    shell("printf '[ $PBS_ARRAY_INDEX = 0 ] && exit 0; [ $PBS_ARRAY_INDEX = 1 ] && exit 1; sleep 30' | qsub -J 0-2")
    shell.until("[ $(qstat -t | grep -c ' X ') = 2 ]")
    jobs = json.loads(shell("qstat -t -f -F json '1[]'").out)["Jobs"]
    assert jobs["1[0].pbshost"]["Exit_status"] == 1
    assert "array_id" not in jobs["1[0].pbshost"]


def test_no_server(shell: Shell) -> None:
    """The exit codes differ by command; with JSON there is a head all the same."""
    shell.emulator.disconnect()
    refused = "Connection refused\n{}: cannot connect to server pbshost (errno=15010)\n"
    assert shell("qstat") == Said(255, "", refused.format("qstat"))
    assert shell("qsub true.pbs") == Said(162, "", refused.format("qsub"))
    assert shell("qdel 1") == Said(162, "", "Connection refused\nCouldn't connect to cluster: pbshost\n")
    assert "Jobs" not in json.loads(shell("qstat -f -F json").out)
    assert shell("qstat --version") == Said(0, "pbs_version = 23.06.06\n", "")
    shell.emulator.reconnect()
    assert shell("qstat").code == 0
