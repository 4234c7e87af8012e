"""The tasks that celery_client.py has its workers run. Broker and result backend come from the environment, all else is default."""

import os
import time

from celery import Celery

app = Celery("clients", broker=os.environ["CLIENTS_BROKER"], backend=os.environ["CLIENTS_BACKEND"])


@app.task
def add(x, y):
    return x + y


@app.task(bind=True, max_retries=3)
def third_time_lucky(self):
    if self.request.retries < 2:
        raise self.retry(countdown=0.1)
    return self.request.retries


@app.task
def total(numbers):
    return sum(numbers)


@app.task
def now():
    return time.time()


@app.task(acks_late=True, reject_on_worker_lost=True)
def slow_once(path):
    """Waits to be killed the first time."""
    with open(path, "a", encoding="utf-8") as file:
        file.write("started\n")
    with open(path, encoding="utf-8") as file:
        starts = len(file.readlines())
    if starts == 1:
        time.sleep(600)
    return starts
