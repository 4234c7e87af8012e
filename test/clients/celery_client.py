"""Celery with default settings through a list of its own: arguments are three broker URLs; one line per behaviour on standard output.

Celery itself refuses chords on the rpc result backend, whatever the broker; that is shown, and chords with results in files.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time

from behaviours import Behaviours, check

urls = sys.argv[1:4]
os.environ["CLIENTS_BROKER"] = urls[0]
os.environ["CLIENTS_BACKEND"] = "rpc://"
HERE = os.path.dirname(os.path.abspath(__file__))
LIMIT_SECONDS = 40

import celery_tasks as tasks  # It reads the broker from the environment.
from celery import chain, chord, group

behaviours = Behaviours()
workers = []


def start_worker(number, **more):
    """Celery's own command line, in a process group of its own."""
    command = [sys.executable, "-m", "celery", "-A", "celery_tasks", "worker", "-c", "2", "-l", "ERROR", "-n", f"w{len(workers)}@%h"]
    environment = {**os.environ, "CLIENTS_BROKER": urls[number % len(urls)], "C_FORCE_ROOT": "1", **more}
    worker = subprocess.Popen(command, cwd=HERE, env=environment, stdout=subprocess.DEVNULL, start_new_session=True)
    workers.append(worker)
    return worker


def kill(worker):
    try:
        os.killpg(worker.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    worker.wait()


@behaviours.add("a-task-runs-and-its-result-comes-back")
def _():
    check(tasks.add.delay(2, 3).get(timeout=LIMIT_SECONDS) == 5, "another result")


@behaviours.add("a-task-is-retried-until-it-succeeds")
def _():
    check(tasks.third_time_lucky.delay().get(timeout=LIMIT_SECONDS) == 2, "another number of retries")


@behaviours.add("a-task-with-a-countdown-runs-when-its-time-has-come")
def _():
    asked = time.time()
    ran = tasks.now.apply_async(countdown=2).get(timeout=LIMIT_SECONDS)
    check(ran - asked >= 2, f"ran after {ran - asked} s")


@behaviours.add("groups-and-chains-come-together")
def _():
    sums = group(tasks.add.s(i, i) for i in range(10))().get(timeout=LIMIT_SECONDS)
    check(sums == [2 * i for i in range(10)], f"group {sums}")
    total = chain(tasks.add.s(1, 2), tasks.add.s(3), tasks.add.s(4))().get(timeout=LIMIT_SECONDS)
    check(total == 10, f"chain {total}")


@behaviours.add("chords-are-refused-by-the-rpc-backend-itself")
def _():
    try:
        chord([tasks.add.s(1, 1), tasks.add.s(2, 2)])(tasks.add.s(1))
    except NotImplementedError:
        return
    check(False, "not refused")


@behaviours.add("a-chord-with-results-in-files-comes-together")
def _():
    kill(workers[0])
    with tempfile.TemporaryDirectory() as folder:
        backend = f"file://{folder}"
        worker = start_worker(1, CLIENTS_BACKEND=backend)
        code = "import celery_tasks as t; from celery import chord; " \
            "print(chord([t.add.s(i, i) for i in range(5)])(t.total.s()).get(timeout=%d))" % LIMIT_SECONDS
        environment = {**os.environ, "CLIENTS_BACKEND": backend}
        output = subprocess.run([sys.executable, "-c", code], cwd=HERE, env=environment, capture_output=True, text=True)
        kill(worker)
        check(output.stdout.strip() == "20", f"chord {output.stdout} {output.stderr[-300:]}")


@behaviours.add("a-task-acknowledged-late-survives-its-worker")
def _():
    first = start_worker(1)
    with tempfile.TemporaryDirectory() as folder:
        starts = os.path.join(folder, "starts")
        result = tasks.slow_once.delay(starts)
        end = time.time() + LIMIT_SECONDS
        while not os.path.exists(starts):
            check(time.time() < end, "the task never started")
            time.sleep(0.05)
        kill(first)
        start_worker(2)
        check(result.get(timeout=LIMIT_SECONDS) == 2, "another number of starts")


start_worker(0)
try:
    behaviours.run()
finally:
    for each in workers:
        kill(each)
