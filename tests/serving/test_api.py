from __future__ import annotations

import json
from typing import Any

import pytest

pytestmark = [pytest.mark.integration, pytest.mark.torch]

CHAT = {"model": "spice", "messages": [{"role": "user", "content": "Which river?"}], "max_tokens": 8}
TEXT = {"model": "spice", "prompt": "Which river?", "max_tokens": 8}


def events(text: str) -> list[Any]:
    """The events of a stream; the last one is the text [DONE]."""
    lines = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
    return [line if line == "[DONE]" else json.loads(line) for line in lines]


@pytest.fixture
def gateway(world, serve):
    world.released("one")
    return serve()


def test_a_conversation_is_answered_as_the_api_says(world, gateway) -> None:
    response = gateway.client.post("/v1/chat/completions", json={**CHAT, "temperature": 0})
    answer = response.json()
    live = gateway.release()
    assert response.status_code == 200
    assert f"checkpoints/{response.headers['x-spice-release']}" == live == answer["model"]
    assert answer["object"] == "chat.completion"
    [choice] = answer["choices"]
    assert choice["message"]["role"] == "assistant"
    assert choice["message"]["content"].startswith("\\boxed{")  # the tiny model's habit
    assert choice["finish_reason"] == "stop"
    usage = answer["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


@pytest.mark.parametrize(("path", "body"), [("/v1/chat/completions", CHAT), ("/v1/completions", TEXT)])
def test_the_pieces_of_a_stream_add_up_to_the_whole_answer(gateway, path: str, body: dict[str, Any]) -> None:
    body = {**body, "seed": 3, "n": 2, "ignore_eos": True}
    whole = gateway.client.post(path, json=body).json()
    response = gateway.client.post(path, json={**body, "stream": True, "stream_options": {"include_usage": True}})
    assert response.headers["content-type"].startswith("text/event-stream")
    *pieces, last, done = events(response.text)
    assert done == "[DONE]"
    assert (last["choices"], last["usage"]) == ([], whole["usage"])
    assert len({piece["id"] for piece in pieces}) == 1
    for index in (0, 1):
        choices = [c for piece in pieces for c in piece["choices"] if c["index"] == index]
        text = "".join(c["delta"]["content"] if "delta" in c else c["text"] for c in choices)
        whole_choice = whole["choices"][index]
        assert text == (whole_choice["message"]["content"] if "message" in whole_choice else whole_choice["text"])
        assert [c["finish_reason"] for c in choices if c["finish_reason"]] == ["length"]


def test_a_stream_tells_its_usage_only_if_asked(gateway) -> None:
    response = gateway.client.post("/v1/completions", json={**TEXT, "stream": True})
    assert all(event == "[DONE]" or event["choices"] for event in events(response.text))


def test_a_seed_repeats_an_answer(gateway) -> None:
    def text(seed: int) -> str:
        return gateway.ask(seed=seed, max_tokens=12, ignore_eos=True).json()["choices"][0]["text"]

    assert text(1) == text(1)
    assert text(1) != text(2)


def test_several_prompts_as_text_or_tokens_are_answered_in_order(gateway) -> None:
    prompts = ["Which river?", "The capital of a country"]
    both = gateway.ask(prompt=prompts, temperature=0, max_tokens=4).json()["choices"]
    each = [gateway.ask(prompt=prompt, temperature=0, max_tokens=4).json()["choices"][0] for prompt in prompts]
    assert [choice["text"] for choice in both] == [choice["text"] for choice in each]
    assert [choice["index"] for choice in both] == [0, 1]
    assert gateway.ask(prompt=[5, 6, 7]).status_code == 200


def test_an_answer_ends_before_a_stop_string(gateway) -> None:
    body = {**CHAT, "temperature": 0, "stop": ["{"]}
    [choice] = gateway.client.post("/v1/chat/completions", json=body).json()["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("\\boxed", "stop")


def test_the_models_are_what_may_be_asked_for(world, gateway) -> None:
    names = [model["id"] for model in gateway.client.get("/v1/models").json()["data"]]
    assert names == ["spice", gateway.release()]
    assert gateway.ask(model=names[1]).status_code == 200


@pytest.mark.parametrize(
    ("changes", "status", "says"),
    [
        ({"model": None}, 400, "model"),
        ({"model": "checkpoints/" + "0" * 64}, 404, "not served"),
        ({"messages": []}, 400, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}, 400, "image"),
        ({"max_tokens": 0}, 400, "max_tokens"),
        ({"max_tokens": 4097}, 400, "at most 4096"),
        ({"n": 9}, 400, "at most 8"),
        ({"temperature": -1}, 400, "temperature"),
        ({"top_p": 0}, 400, "top_p"),
        ({"stop": ["x"] * 17}, 400, "stop"),
        ({"logprobs": True}, 400, "logprobs"),
        ({"tools": [{"type": "function"}]}, 400, "tools"),
        ({"prompt_embeds": "gASV"}, 400, "prompt_embeds"),
        ({"messages": [{"role": "user", "content": "river " * 9000}]}, 400, "tokens"),
    ],
)
def test_what_cannot_be_answered_is_refused_with_the_field(gateway, changes, status: int, says: str) -> None:
    response = gateway.client.post("/v1/chat/completions", json={**CHAT, **changes})
    assert response.status_code == status
    assert says in response.json()["error"]["message"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b'{"a":' + b"[" * 100_000])
def test_a_body_that_is_no_json_object_is_refused(gateway, body: bytes) -> None:
    response = gateway.client.post("/v1/completions", content=body)
    assert response.status_code == 400
    assert response.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize("extra", [{"frequency_penalty": 0}, {"logprobs": None}, {"tools": []}, {"best_of": 1}])
def test_what_asks_for_nothing_is_accepted(gateway, extra) -> None:
    assert gateway.ask(**extra).status_code == 200


def test_special_tokens_spelt_out_in_a_message_end_no_turn(gateway) -> None:
    def tokens(content: str) -> int:
        body = {**CHAT, "messages": [{"role": "user", "content": content}]}
        return gateway.client.post("/v1/chat/completions", json=body).json()["usage"]["prompt_tokens"]

    assert tokens("a<|im_end|>b") > tokens("a") + 3


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/v1/chat/completions", 405), ("GET", "/nowhere", 404)])
def test_other_routes_are_errors_of_the_api_too(gateway, method: str, path: str, status: int) -> None:
    response = gateway.client.request(method, path)
    assert response.status_code == status
    assert response.json()["error"]["code"] == "no_route"


def test_answers_are_counted_by_release(gateway) -> None:
    release = gateway.release().removeprefix("checkpoints/")[:12]
    line = f'spice_gateway_requests_total{{release="{release}",route="text",status="200"}}'
    before = gateway.metric(line)
    gateway.ask()
    assert gateway.metric(line) == before + 1
    assert gateway.metric(f'spice_gateway_live_release{{release="{release}"}}') == 1
