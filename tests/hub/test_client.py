"""This machine's settings of the network, where they are none, are a sentence and no traceback."""

import subprocess
import sys

import pytest

from tests.support.paths import ROOT
from tests.support.processes import environment

ASK = """
import sys
from audiocnn.config.hub_names import HubName
from audiocnn.errors import run_command
from audiocnn.hub.datasets import resolve
sys.exit(run_command(lambda: print(resolve(HubName("a/b", "main")))))
"""


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("ALL_PROXY", "socks5://127.0.0.1:9", "SOCKS proxy"),
        ("HTTPS_PROXY", "foo://x", "is not a proxy"),
        ("SSL_CERT_FILE", "/nowhere", "SSL_CERT_FILE or SSL_CERT_DIR cannot be read"),
        ("HF_ENDPOINT", "localhost:1", "HF_ENDPOINT is not an address"),
        ("HF_ENDPOINT", "//localhost", "HF_ENDPOINT is not an address"),
        ("HF_ENDPOINT", "http://[", "HF_ENDPOINT is not an address"),
    ],
)
def test_a_setting_of_the_network_that_is_none_is_a_sentence_at_once(variable: str, value: str, sentence: str) -> None:
    if value.startswith("socks"):
        try:
            import socksio  # type: ignore[import-not-found, unused-ignore]  # noqa: F401
        except ImportError:
            pass
        else:
            pytest.skip("with socksio, a SOCKS proxy is one that can be used")
    variables = environment(**{variable: value})
    done = subprocess.run([sys.executable, "-c", ASK], cwd=ROOT, env=variables, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert sentence in done.stderr
