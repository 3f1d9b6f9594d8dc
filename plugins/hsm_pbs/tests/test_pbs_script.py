"""Job scripts of each flavour: what is asked for is in them, and nothing else gets in."""

from __future__ import annotations

import dataclasses

import pytest
from hsm_pbs.dialect import PbsDialect
from hsm_pbs.flavours import OPENPBS, TORQUE, read_flavour
from hsm_pbs.script import show_time

from hsm_core.errors import ConfigError
from hsm_core.toolkit.dialect import Elements, JobRequest, Output, script_text

PBS = PbsDialect(OPENPBS)
TQ = PbsDialect(TORQUE)
JOB = JobRequest(name="hsm-s-1.0", command=("python3", "run me.py"), folder="/p", output="/p/out")


def directives(dialect=PBS, **changes):
    """The directives of a job, without their prefix."""
    lines = dialect.directives(dataclasses.replace(JOB, **changes))
    assert all(line.startswith("#PBS ") for line in lines)
    return [line[len("#PBS ") :] for line in lines]


def test_a_plain_job():
    """What every script says, and no more: a site's defaults are not overruled."""
    assert directives() == ["-N hsm-s-1.0", "-j oe", "-o /dev/null", "-r n"]
    assert directives(TQ) == directives()


def test_an_array():
    """Elements from 0, not more at once than allowed; it has to be one that may be run again."""
    assert "-J 0-9%4" in directives(size=10, at_once=4)
    assert "-J 0-1" in directives(size=2)
    assert "-r y" in directives(size=2)
    assert "-t 0-9%4" in directives(TQ, size=10, at_once=4)


def test_an_array_that_cannot_be_throttled():
    """PBS Pro 19 refuses `%`: arrays there are no larger than the slots."""
    old = PBS.for_version(Output(0, "pbs_version = PBSPro_19.2.5\n", ""))
    assert "-J 0-9" in directives(old, size=10, at_once=4)
    assert not old.read_limits([Output(0, "Server: h\n    max_array_size = 7\n", "")], "me", {}).throttles


def test_resources():
    """One chunk of what is asked for."""
    asked = {"cpus": 4, "memory_mb": 2048, "gpus": 2, "gpu_type": "A100", "walltime_s": 93784.5}
    options = {"queue": "gpu", "account": "my lab", "charge_project": "p1", "place": "excl", "select": "host=n1"}
    found = directives(**asked, options=options, native=("-m abe",), after=("7.h", "8[].h"))
    for line in (
        "-l select=1:ncpus=4:mem=2048mb:ngpus=2:gpu_type=A100:host=n1",
        "-l place=excl",
        "-l walltime=26:03:05",
        "-q gpu",
        '-A "my lab"',
        "-P p1",
        "-W depend=afterany:7.h:8[].h",
        "-m abe",
    ):
        assert line in found
    assert "-l select=1:ngpus=1:accelerator=v100" in directives(
        gpus=1, gpu_type="v100", options={"gpu_type_resource": "accelerator"}
    )
    assert "-l select=1" in directives(options={"place": "excl"})


def test_resources_on_torque():
    """Nodes and processors of each, memory of the job, a word of its own for the end of an array."""
    found = directives(TQ, cpus=4, memory_mb=2048, gpus=1, gpu_type="a100", walltime_s=60, after=("7.h", "8[].h"))
    for line in (
        "-l nodes=1:ppn=4:gpus=1:a100",
        "-l mem=2048mb",
        "-l walltime=00:01:00",
        "-W depend=afterany:7.h,afteranyarray:8[].h",
    ):
        assert line in found
    with pytest.raises(ConfigError, match="no projects"):
        directives(TQ, options={"charge_project": "p1"})


@pytest.mark.parametrize(("seconds", "shown"), [(0.2, "00:00:01"), (60, "00:01:00"), (360000, "100:00:00")])
def test_walltimes_are_rounded_up(seconds, shown):
    """Never less than what was asked for, and PBS has no days."""
    assert show_time(seconds) == shown


@pytest.mark.parametrize("value", ["a\nb", "a\rb", "a\0", "a\x1b[0m", "a\u2028b", "\x7f"])
@pytest.mark.parametrize("where", ["native", "queue", "gpu_type", "select"])
def test_control_characters_are_refused(value, where):
    """A line break would begin another line of the script."""
    changes = {
        "native": {"native": (value,)},
        "queue": {"options": {"queue": value}},
        "gpu_type": {"gpus": 1, "gpu_type": value},
        "select": {"options": {"select": value}},
    }[where]
    with pytest.raises(ConfigError, match="control character"):
        directives(**changes)


def test_quotes_of_both_kinds_are_refused():
    """PBS has no way to write them."""
    assert '-A "it\'s"' in directives(options={"account": "it's"})
    assert "-A 'a \"b\"'" in directives(options={"account": 'a "b"'})
    with pytest.raises(ConfigError, match="both kinds of quotes"):
        directives(options={"account": 'it\'s "b"'})


def test_the_whole_script():
    """Output, folder and path before anything else: jobs begin in the home folder, with the path of a login."""
    lines = script_text(PBS, dataclasses.replace(JOB, size=3, folder="/a b's", setup=("echo hello",))).splitlines()
    where = lines.index('exec >>/p/out/"${PBS_ARRAY_INDEX}".log 2>&1')
    assert lines[where + 1] == "cd '/a b'\"'\"'s' || exit 1"
    assert "$PBS_O_PATH" in lines[where + 2]
    assert where < lines.index("echo hello")
    assert lines[-1].startswith("exec python3 'run me.py' \"${PBS_ARRAY_INDEX:-0}\" 0 ")
    assert "PBS_ARRAY" not in script_text(PBS, JOB)
    assert '"${PBS_ARRAYID:-0}"' in script_text(TQ, dataclasses.replace(JOB, size=3))


def test_jobs_get_the_mask_of_who_submits():
    """They would have 077."""
    assert PBS.submit(JOB, "/p/s.sh") == ["sh", "-c", 'exec qsub -W umask="$(umask)" "$1"', "qsub", "/p/s.sh"]


def test_cancel_names_elements():
    """Ranges, but no lists, in the brackets; Torque has an option for them."""
    targets = [Elements("7.h"), Elements("8[].h"), Elements("9[].h", (0, 1, 2, 5))]
    assert PBS.cancel(targets) == [["qdel", "7.h", "8[].h", "9[0-2].h", "9[5].h"]]
    assert TQ.cancel(targets) == [["qdel", "7.h", "8[].h"], ["qdel", "-t", "0-2,5", "9[].h"]]
    assert PBS.cancel([]) == TQ.cancel([]) == []
    many = PBS.cancel([Elements("123456[].host", tuple(range(0, 10_000, 2)))])
    assert 1 < len(many) < 12
    assert all(len(" ".join(argv)) < 100_000 for argv in many)


def test_nobody_is_nudged():
    """A signal of qsig's would end the programs as well."""
    assert list(PBS.nudge([Elements("9[].h", (1,))])) == []


def test_what_leaks():
    """An outer job's variables, and the prefix of directives; not which cluster it is."""
    assert all(PBS.leaks(name) for name in ("PBS_JOBID", "PBS_ARRAY_INDEX", "PBS_O_WORKDIR", "PBS_DPREFIX"))
    assert not any(PBS.leaks(name) for name in ("PBS_SERVER", "PBS_DEFAULT", "PBS_CONF_FILE", "PATH", "PBSX"))


@pytest.mark.parametrize(
    ("stdout", "stderr", "release", "array", "json", "throttles"),
    [
        ("pbs_version = 23.06.06\n", "", "OpenPBS 23.06.06", "-J", True, True),
        ("pbs_version = 2022.1.3.20230101\n", "", "PBS Pro 2022.1.3.20230101", "-J", True, True),
        ("pbs_version = PBSPro_19.2.5.20190913\n", "", "PBS Pro 19.2.5.20190913", "-J", True, False),
        ("pbs_version = PBSPro_13.1.0.160576\n", "", "PBS Pro 13.1.0.160576", "-J", False, False),
        ("", "Version: 6.1.2\nCommit: 661e092552\n", "Torque 6.1.2", "-t", False, True),
    ],
)
def test_flavours(stdout, stderr, release, array, json, throttles):
    """Told by `qstat --version`, on whichever stream."""
    flavour = read_flavour(Output(0, stdout, stderr))
    assert (flavour.release, flavour.array, flavour.json, flavour.throttles) == (release, array, json, throttles)


def test_slurms_qstat_is_none():
    """It prints its usage; nothing at all is none either."""
    usage = (
        "Unknown option: version\nUsage:\n    qstat [-f] [-a|-i|-r] [-n [-1]] [-G|-M] [-u *user_list*] [-? | --help]\n"
    )
    assert PBS.for_version(Output(2, "", usage)) is None
    assert PBS.for_version(Output(0, "", "")) is None
