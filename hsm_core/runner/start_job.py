"""Starts `job.py` as a module, whose byte code is kept: a script is compiled anew by each of a thousand elements."""

import os
import sys

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    if sys.argv[1:] == ["news"]:
        import job_news  # type: ignore[import-not-found]

        code = job_news.main()
    else:
        import job  # type: ignore[import-not-found]

        code = job.main(sys.argv)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # everything is closed and written: to take the interpreter down would only cost time
