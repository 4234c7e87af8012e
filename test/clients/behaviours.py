"""What the Python programs of this folder share: a list of behaviours, run one after the other."""

import traceback
import uuid


def name():
    return f"clients-{uuid.uuid4().hex}"


def check(condition, text):
    if not condition:
        raise AssertionError(text)


class Behaviours:
    def __init__(self):
        self._list = []

    def add(self, title):
        def remember(function):
            self._list.append((title, function))
            return function

        return remember

    def run(self):
        for title, function in self._list:
            try:
                function()
                print(f"ok {title}", flush=True)
            except Exception as error:  # Everything that goes wrong is a result.
                where = traceback.extract_tb(error.__traceback__)[-1].lineno
                print(f"failed {title}: {type(error).__name__} {error} (line {where})", flush=True)
