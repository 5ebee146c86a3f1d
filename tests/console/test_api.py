"""The HTTP API keeps its own word: whatever is sent, it answers as its OpenAPI document says."""

from __future__ import annotations

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

EXAMPLES = 4  # of each operation
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


def test_answers_are_as_documented(world) -> None:
    schema = schemathesis.openapi.from_asgi("/api/openapi.json", world.app, headers={"Host": "127.0.0.1:8080"})
    operations = [result.ok() for result in schema.get_all_operations()]
    assert len(operations) > 20
    for operation in operations:

        @given(case=operation.as_strategy())
        @settings(
            max_examples=EXAMPLES,
            phases=[Phase.generate],
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        def fuzz(case) -> None:
            case.call_and_validate(checks=CHECKS, headers={"Host": "127.0.0.1:8080"})

        fuzz()


def test_known_addresses_answer_as_documented(world) -> None:
    """Generated digests are of nothing that exists, so the answers about what exists are checked here."""
    schema = schemathesis.openapi.from_asgi("/api/openapi.json", world.app, headers={"Host": "127.0.0.1:8080"})
    ref = world.requested().rpartition("/")[2]
    browser = world.browser()
    seen = browser.get("/api/overview").json()
    run = seen["runs"][0]
    dataset, digest = run["corpus"].split("/")[1:]
    task = browser.get("/api/runs/demo/tasks/1").json()["tasks"][0]
    known = {
        "name": "demo",
        "iteration": 1,
        "segment": task["segment"],
        "suite": "cloze",
        "requests": ref,
        "checkpoints": run["checkpoint"].rpartition("/")[2],
        "evaluations": run["evaluation"].rpartition("/")[2],
    }
    for result in schema.get_all_operations():
        operation = result.ok()
        if operation.method != "get":
            continue
        kind = operation.path.split("/")[2]
        values = known | {"digest": digest if kind == "datasets" else known.get(kind, "")}
        values |= {"name": dataset} if kind == "datasets" else {}
        names = {parameter.name for parameter in operation.path_parameters}
        case = operation.Case(path_parameters={name: values[name] for name in names})
        response = case.call(headers={"Host": "127.0.0.1:8080"})
        assert response.status_code == 200, (operation.path, response.text)
        case.validate_response(response, checks=CHECKS)
