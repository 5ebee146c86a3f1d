"""What `spice arena` refuses, before any work is done for it."""

from __future__ import annotations

import pytest

from spice.cli import main


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["run", "--recipe", "spicy"], "there is no recipe 'spicy' in the arena; recipes are spice,"),
        (["compare", "--recipes", "spice,spicy"], "there is no recipe 'spicy'"),
        (["compare", "--seeds", "many"], "give how many, such as 3, or which, such as 7,8,9"),
        (["compare", "--seeds", "3,3"], "no two alike"),
        (["compare", "--seeds", "3,,"], "or 7, alone"),
        (["compare", "--seeds", "0"], "give how many"),
        (["compare", "--variant", "recipe.reward=threshold"], "write it as NAME:section.key=value"),
        (["compare", "--variant", "<b>:recipe.reward=threshold"], "the name is of letters"),
        (["warm-up", "--seeds", "-1"], "give how many"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage_is_told_and_exits_with_2(args: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["arena", *args])
    assert stopped.value.code == 2
    assert said in capsys.readouterr().err
