from __future__ import annotations

import ast
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from spice import __version__, cli
from spice.errors import RefusedError


def spice(*args: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as caught:
        cli.main(args)
    out, err = capsys.readouterr()
    code = caught.value.code
    return int(code or 0), out, err


def test_help_lists_every_verb_and_each_exists(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = spice("--help", capsys=capsys)
    assert code == 0
    for verb in cli.VERBS:
        assert verb in out
        assert importlib.util.find_spec(f"spice.cli.{verb}") is not None


@pytest.mark.parametrize("verb", cli.VERBS)
def test_every_verb_explains_itself_with_help(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = spice(verb, "--help", capsys=capsys)
    assert code == 0
    assert f"spice {verb}" in out


def test_help_imports_no_verb_and_no_torch() -> None:
    script = (
        "import sys\nfrom spice.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "print([m for m in sys.modules if m.startswith(('spice.cli.', 'spice.config', 'torch', 'numpy', 'pydantic'))])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ast.literal_eval(done.stdout.splitlines()[-1]) == []


@pytest.mark.parametrize("verb", cli.VERBS)
def test_no_verb_needs_torch_to_be_explained(verb: str) -> None:
    """The folder of a verb is read, not run: a heavy import at the top of a module would slow every use of it."""
    tree = ast.parse((Path(cli.__file__).parent / f"{verb}.py").read_text())
    top = {
        name.split(".")[0]
        for node in tree.body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names])
    }
    assert top.isdisjoint({"torch", "transformers", "numpy", "pyarrow", "matplotlib"})


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (["--version"], 0, __version__),
        (["confg"], 2, "config"),
        (["--nonsense"], 2, "nonsense"),
        (["config", "show", "--set", "seed=x"], 2, "seed"),
        (["config", "show", "--preset", "none"], 2, "smoke"),
        (["run"], 2, "documents"),
        (["run", "--resume", "r", "--run", "s"], 2, "leave them out"),
        (["train"], 2, "dataset"),
        (["train", "docs", "--resume", "r"], 2, "either"),
        (["train", "--resume", "r", "--run", "s"], 2, "one of them"),
        (["report", "none", "--store", "{store}"], 1, "no run 'none'"),
        (["train", "--resume", "none", "--store", "{store}"], 1, "no run 'none'"),
        (["runs", "--store", "{store}"], 0, "no runs"),
    ],
)
def test_exit_codes(args: list[str], code: int, says: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    found, out, err = spice(*[arg.format(store=tmp_path / "store") for arg in args], capsys=capsys)
    assert found == code
    assert says in (err if code else out)
    assert "Traceback" not in err
    assert not (code and out), "a failure leaves standard output to the machines"


def test_a_refusal_is_one_message_and_with_debug_a_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise RefusedError("the gate said no")

    monkeypatch.setattr("spice.settings.presets", refuse)
    code, _, err = spice("config", "presets", capsys=capsys)
    assert (code, err) == (1, "spice: the gate said no\n")
    with pytest.raises(RefusedError):
        cli.main(["config", "presets", "--debug"])


def test_config_show_says_where_each_value_came_from(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPICE_SEED", "7")
    code, out, _ = spice("config", "show", "--json", "--preset", "smoke", "--set", "recipe.few_shot=2", capsys=capsys)
    assert code == 0
    found = {item["key"]: (item["value"], item["origin"]) for item in json.loads(out)}
    assert found["seed"] == (7, "environment SPICE_SEED")
    assert found["recipe.few_shot"] == (2, "--set")
    assert found["model.name"] == ("tiny", "preset smoke")
    assert found["model.revision"] == (None, "default")

    _, table, _ = spice("config", "show", capsys=capsys)
    assert "recipe.group_size" in table
    assert "answers per task" in table


def test_presets_are_listed_with_their_purpose(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = spice("config", "presets", capsys=capsys)
    assert [line.split()[0] for line in out.splitlines()] == [
        "arena",
        "laptop",
        "octothinker-3b",
        "octothinker-8b",
        "qwen3-4b",
        "qwen3-8b",
        "smoke",
    ]


def test_a_closed_pipe_is_no_traceback() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "spice", "config", "show", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""


def test_help_waits_for_no_large_library() -> None:
    code = (
        "import sys; from spice.cli import main; sys.argv = ['spice', '--help']\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print(sorted({'torch', 'transformers', 'pyarrow', 'scipy', 'fastapi', 'kfp'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]"
