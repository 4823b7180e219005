"""The Autobahn test suite: each case strictly, as the suite itself judges. What a test run does is quick; ``make autobahn`` does all.

It needs Python 2.7, which `.ci/wstest` looks for; without it this is skipped, and says so.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from certificates import Certificate
from harness import Site

WSTEST = Path(__file__).parents[2] / ".venv-autobahn/bin/wstest"

# Frames, pings, reserved bits, opcodes, fragments, UTF-8, the closing handshake; of the large messages and the compressed ones a few.
QUICK = "1.*,2.*,3.*,4.*,5.*,6.*,7.*,9.1.1,9.2.1,10.*,12.1.1,12.2.1,13.3.1,13.7.1"
# The groups of the suite, each with an environment of its own, so that one shows its result before the next begins.
GROUPS = [f"{kind}.{number}.*" for kind, most in ((12, 5), (13, 7)) for number in range(1, most + 1)]
BASE = "1.*,2.*,3.*,4.*,5.*,6.*,7.*,10.*"
ALL = [("ws", BASE), ("wss", BASE), ("ws", "9.*"), *[("ws", group) for group in GROUPS]]

GOOD = {"OK", "INFORMATIONAL"}


def groups() -> list[tuple[str, str]]:
    """What is to be run, and over plain sockets or TLS."""
    asked = os.environ.get("AUTOBAHN", "")
    return ALL if asked == "*" else [("ws", asked or QUICK)]


@pytest.mark.skipif(not WSTEST.exists(), reason="there is no Python 2.7 for it: the Autobahn test suite is NOT RUN")
@pytest.mark.parametrize(("scheme", "cases"), groups())
def test_autobahn(scheme: str, cases: str, tmp_path: Path, certificate: Certificate) -> None:
    tls = f"ssl:0:interface=127.0.0.1:privateKey={certificate.key}:certKey={certificate.cert}"
    with Site("realtime:app", listen=("tcp:0:interface=127.0.0.1" if scheme == "ws" else tls,)) as site:
        spec = {
            "outdir": str(tmp_path / "reports"),
            "servers": [{"agent": "hendrix", "url": f"{scheme}://127.0.0.1:{site.port}/autobahn"}],
            "cases": cases.split(","),
            "exclude-cases": [],
            "exclude-agent-cases": {},
        }
        (tmp_path / "spec.json").write_text(json.dumps(spec))
        command = [WSTEST, "--mode=fuzzingclient", f"--spec={tmp_path / 'spec.json'}"]
        done = subprocess.run(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert done.returncode == 0, done.stdout[-3000:]
        results = json.loads((tmp_path / "reports/index.json").read_text())["hendrix"]
        print(f"{len(results)} cases")
        assert len(results) > 0
        bad = {case: result for case, result in results.items() if not {result["behavior"], result["behaviorClose"]} <= GOOD}
        assert not bad
        assert "Traceback" not in site.log
