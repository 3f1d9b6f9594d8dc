"""HyperQueue runs no-op tasks with two cores: `hyperqueue_noop.py FOLDER COUNT PROGRAM`.

The wheel brings no `hq` command, so server, worker and client are those that it starts from Python.
"""

import sys
from pathlib import Path

from hyperqueue import Job
from hyperqueue.cluster import LocalCluster, WorkerConfig


def main():
    """Run the tasks, with their standard output and error in files, as HyperQueue does by default."""
    folder, count, program = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    with LocalCluster(server_dir=str(folder / "server")) as cluster:
        cluster.start_worker(WorkerConfig(cores=2))
        job = Job(folder / "work")
        for index in range(count):
            job.program([program, str(index)])
        client = cluster.client()
        client.wait_for_jobs([client.submit(job)])


if __name__ == "__main__":
    main()
