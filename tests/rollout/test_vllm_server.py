"""A vLLM server in a process of its own: the same policy as the learner's, before and after new weights."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import urllib3

from spice.config import ModelConfig, RolloutConfig
from spice.errors import ModelError
from spice.rollout.base import Grammar, Request

pytest.importorskip("torch")

from spice.models.loading import load_tokenizer
from spice.rollout.open import open_engine
from spice.rollout.vllm_http import Http
from spice.rollout.vllm_server import VllmServerEngine
from spice.rollout.vllm_transfer import FileTransfer

pytestmark = [pytest.mark.torch, pytest.mark.integration]
START_SECONDS = 400


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def server(policy_folder: Path) -> Iterator[str]:
    """The address of a real vLLM server with the policy's weights."""
    port = _free_port()
    command = [sys.executable, "-m", "spice.rollout.vllm_serve", str(policy_folder), "--port", str(port)]
    command += ["--transfer", "file", "--dtype", "float32", "--enforce-eager", "--block-size", "32"]
    command += ["--kv-cache-memory-bytes", str(2**26), "--max-num-seqs", "32"]
    env = {**os.environ, "VLLM_CPU_OMP_THREADS_BIND": "nobind", "VLLM_LOGGING_LEVEL": "ERROR"}
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, start_new_session=True)
    url, pool, deadline = (
        f"http://127.0.0.1:{port}",
        urllib3.PoolManager(retries=False),
        time.monotonic() + START_SECONDS,
    )
    try:
        while True:
            try:
                if pool.request("GET", f"{url}/health", timeout=5.0).status == 200:
                    break
            except urllib3.exceptions.HTTPError:
                assert process.poll() is None, "the server ended while it started"
                assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.2)  # another process's start has no other sign
        yield url
    finally:
        process.terminate()
        process.wait(timeout=60)


@pytest.mark.engines
@pytest.mark.timeout(2 * START_SECONDS)
def test_greedy_and_logprobs_are_the_models_before_and_after_new_weights(server, policy_folder, reference, updated):
    rollout = RolloutConfig(engine="vllm_server", server_url=server, server_transfer="file", max_sequences=8)
    engine = open_engine(policy_folder, ModelConfig(dtype="float32", device="cpu"), rollout)
    text = "Read the text and write a question about a fact in it. " * 4
    prompts = [reference.encode(text + end) for end in ("Who", "Where is it?")]

    def check(truth):
        greedy = engine.generate([Request(prompt, n=2, max_tokens=8) for prompt in prompts])
        for prompt, group in zip(prompts, greedy, strict=True):
            assert [one.tokens for one in group] == [truth.greedy(prompt, 8)] * 2
        ruled = Grammar("regex", "[a-z ]{4,12}[?]")
        requests = [
            Request(prompt, n=4, max_tokens=12, temperature=0.8, seed=i, grammar=grammar)
            for i, (prompt, grammar) in enumerate(zip(prompts, (None, ruled), strict=True))
        ]
        for request, group in zip(requests, engine.generate(requests), strict=True):
            assert len({one.tokens for one in group}) > 1
            for one in group:
                wanted = truth.distributions(request.prompt, one, request.temperature).numpy()
                drawn = np.take_along_axis(wanted, np.array(one.tokens)[:, None], 1)[:, 0]
                np.testing.assert_allclose(one.logprobs, drawn, atol=1e-3)

    check(reference)
    engine.update_weights(updated.state())
    check(updated)
    assert engine.stats().prefix_hit_share > 0.3
    engine.close()


class Answers(BaseHTTPRequestHandler):
    """Gives what the test says, and remembers what it was asked."""

    status, body = 200, b"{}"
    asked: list[tuple[str, dict]]

    def do_POST(self):
        length = int(self.headers.get("Content-Length") or 0)
        type(self).asked.append((self.path, json.loads(self.rfile.read(length) or b"{}")))
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_):
        pass


@pytest.fixture
def scripted():
    """A server that says what it is told to, its handler, and its address."""
    handler = type("Scripted", (Answers,), {"asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield handler, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def engine_at(url: str, folder: Path) -> VllmServerEngine:
    http = Http(url, 2, timeout_s=10.0)
    return VllmServerEngine(http, FileTransfer(http, "float32"), load_tokenizer(folder), 514, 2)


def completions(*groups: list[int], logprobs: list[float] | None = None) -> bytes:
    choices = [
        {
            "index": i,
            "token_ids": t,
            "finish_reason": "length",
            "logprobs": {"token_logprobs": logprobs or [-0.5] * len(t)},
        }
        for i, t in reversed(list(enumerate(groups)))
    ]
    usage = {
        "prompt_tokens": 3,
        "completion_tokens": sum(map(len, groups)),
        "prompt_tokens_details": {"cached_tokens": 2},
    }
    return json.dumps({"choices": choices, "usage": usage}).encode()


def test_continuations_come_in_order_and_are_counted(scripted, policy_folder):
    handler, url = scripted
    handler.body = completions([7, 8], [9])
    engine = engine_at(url, policy_folder)
    ((first, second),) = engine.generate([Request((5, 6, 7), n=2, max_tokens=2, temperature=1.0, seed=2**64 - 1)])
    assert (first.tokens, second.tokens) == ((7, 8), (9,))
    assert first.entropies.tolist() == [0.5, 0.5]
    path, body = handler.asked[0]
    assert path == "/v1/completions"
    assert (body["prompt"], body["n"], body["seed"]) == ([5, 6, 7], 2, 2**63 - 1)
    stats = engine.stats()
    assert (stats.generated_tokens, stats.prompt_tokens, stats.cached_tokens) == (3, 3, 2)
    engine.close()


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (500, b"out of memory", "500"),
        (200, b"not json", "none"),
        (200, b'{"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 0}}', "0 continuations"),
        (200, completions([7, 8], logprobs=[-1.0]), "2 tokens and 1"),
        (200, completions([]), "0 tokens"),
    ],
    ids=["refused", "no answer", "too few", "log-probabilities missing", "nothing written"],
)
def test_an_answer_that_is_none_is_an_error(scripted, policy_folder, status, body, says):
    handler, url = scripted
    handler.status, handler.body = status, body
    engine = engine_at(url, policy_folder)
    with pytest.raises(ModelError, match=says):
        engine.generate([Request((5,), max_tokens=2, temperature=1.0)])
    engine.close()


def test_a_server_that_is_not_there_is_named(policy_folder):
    url = f"http://127.0.0.1:{_free_port()}"
    engine = engine_at(url, policy_folder)
    with pytest.raises(ModelError, match="Is it running"):
        engine.generate([Request((5,), max_tokens=2, temperature=1.0)])
    engine.close()


def test_new_weights_are_read_before_their_file_is_gone(scripted, policy_folder, reference):
    handler, url = scripted
    engine = engine_at(url, policy_folder)
    engine.update_weights(reference.state())
    (path, body), (reset, _) = handler.asked
    assert (path, body["method"], reset) == ("/collective_rpc", "take_weights", "/reset_prefix_cache")
    assert not Path(body["args"][0]).exists()
    engine.close()
