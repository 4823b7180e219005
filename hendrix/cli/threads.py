"""``hx threads``: what each worker thread is doing now."""

from __future__ import annotations

import json
from collections.abc import Sequence

from hendrix.cli.asking import Asking, ask, duration


class Options(Asking):
    optFlags = [["stacks", None, "With all lines, from the application inwards."], ["json", None, "As JSON."]]


def run(words: Sequence[str]) -> None:
    """Print a line for each thread that does something."""
    options = Options()
    options.parseOptions(words)
    with options.client() as client:
        processes = ask(client, "threads")
    if options["json"]:
        print(json.dumps(processes, indent=2))
        return
    for process in processes:
        busy = [thread for thread in process["threads"] if thread["doing"]]
        print(f"{process['process']}  pid {process['pid']}: {len(busy)} of {len(process['threads'])} threads busy")
        for thread in busy:
            print(f"  {thread['thread']:<8} {duration(thread['seconds']):>10}  {thread['doing']}\n{'':<21}  {thread['line']}")
            for line in thread["stack"] if options["stacks"] else ():
                print(f"{'':<25}{line}")
