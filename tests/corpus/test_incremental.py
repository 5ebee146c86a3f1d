"""A second ingest reads what is new and gives what a full one gives; so does one that was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit

from spice.config import CorpusConfig, StoreConfig
from spice.corpus import dataset
from spice.corpus.ingest import IngestReport, ingest
from spice.models.tokenizer import token_counter
from spice.store import ObjectStore, open_store

CONFIG = CorpusConfig(segment_tokens=40, min_segment_tokens=3, held_out_share=0.3, workers=1)
Prose = Callable[..., str]


def count_words(texts: Sequence[str]) -> list[int]:
    return [len(text.split()) for text in texts]


def ingested(folder: Path, store: ObjectStore, **options: object) -> IngestReport:
    return ingest([folder], "test", store, CONFIG, "words", count_words, **options)  # type: ignore[arg-type]


def full(folder: Path) -> str:
    """The reference of a full ingest, into a store that knows nothing."""
    with tempfile.TemporaryDirectory() as place:
        return ingested(folder, open_store(StoreConfig(url=place))).ref


@pytest.fixture
def tokenizer(tmp_path: Path) -> Path:
    folder = tmp_path / "tokenizer"
    folder.mkdir()
    core = Tokenizer(WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    core.pre_tokenizer = WhitespaceSplit()
    core.save(str(folder / "tokenizer.json"))
    return folder


def test_a_second_ingest_reads_only_what_is_new_or_changed(store: ObjectStore, folder: Path, prose: Prose) -> None:
    for name in ("a", "b", "c", "d"):
        (folder / f"{name}.txt").write_text(prose(name))
    first = ingested(folder, store)
    assert (first.read, first.reused) == (4, 0)
    assert (again := ingested(folder, store)).ref == first.ref
    assert (again.read, again.reused) == (0, 4)
    (folder / "b.txt").write_text(prose("changed"))
    (folder / "e.txt").write_text(prose("new"))
    (folder / "c.txt").unlink()
    grown = ingested(folder, store)
    assert (grown.read, grown.reused) == (2, 2)
    assert grown.ref == full(folder)


def test_a_moved_or_touched_file_is_not_parsed_again(store: ObjectStore, folder: Path, prose: Prose) -> None:
    for name in ("a", "b"):
        (folder / f"{name}.txt").write_text(prose(name))
    ingested(folder, store)
    os.utime(folder / "a.txt", (1, 1))
    (folder / "deep").mkdir()
    (folder / "b.txt").rename(folder / "deep/b.txt")
    report = ingested(folder, store)
    assert (report.read, report.reused) == (0, 2)
    assert {segment.source for segment in dataset.load(store, report.ref)} == {"a.txt", "deep/b.txt"}
    assert report.ref == full(folder)


def test_verify_finds_what_changed_without_a_sign(store: ObjectStore, folder: Path, prose: Prose) -> None:
    class Forgetful:
        """A source that says of every file that it did not change."""

        def items(self):
            from dataclasses import replace

            from spice.corpus.sources.local import LocalSource

            return (replace(item, version="same") for item in LocalSource([folder], CONFIG).items())

    def run(verify: bool) -> IngestReport:
        return ingest(Forgetful(), "test", store, CONFIG, "words", count_words, verify=verify)

    (folder / "a.txt").write_text(prose("a"))
    (folder / "b.txt").write_text(prose("b"))
    before = run(verify=False)
    (folder / "a.txt").write_text(prose("z"))
    assert run(verify=False).ref == before.ref
    verified = run(verify=True)
    assert (verified.read, verified.reused) == (1, 1)
    assert verified.ref == full(folder)


def test_other_settings_do_not_take_what_was_read_with_these(store: ObjectStore, folder: Path, prose: Prose) -> None:
    (folder / "a.txt").write_text(prose("a", 20))
    ingested(folder, store)
    shorter = CONFIG.model_copy(update={"segment_tokens": 20})
    report = ingest([folder], "test", store, shorter, "words", count_words)
    assert report.read == 1
    chosen = CONFIG.model_copy(update={"held_out_share": 0.0, "near_duplicate_threshold": 0.71})
    assert ingest([folder], "test", store, chosen, "words", count_words).reused == 1


names = st.sampled_from(["a.txt", "b.txt", "sub/c.md", "sub/d.txt", "rows.jsonl"])
topics = st.integers(0, 5)
changes = st.lists(st.tuples(names, st.none() | topics), min_size=1, max_size=4)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(changes, min_size=1, max_size=4))
def test_any_history_of_changes_ends_in_the_version_of_a_full_ingest(
    prose: Prose, history: list[list[tuple[str, int | None]]]
) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder, store = Path(place) / "documents", open_store(StoreConfig(url=f"{place}/store"))
        (folder / "sub").mkdir(parents=True)
        # Two documents that every ingest keeps, whatever happens to the others.
        (folder / "always.txt").write_text(prose("always"))
        (folder / "ever.txt").write_text(prose("ever"))
        for step in history:
            for name, topic in step:
                if topic is None:
                    (folder / name).unlink(missing_ok=True)
                elif name.endswith("jsonl"):
                    rows = [f'{{"text": "{prose(f"topic{topic + i}")}"}}\n' for i in range(3)]
                    (folder / name).write_text("".join(rows))
                else:
                    (folder / name).write_text(prose(f"topic{topic}"))
            ref = ingested(folder, store).ref
        assert ref == full(folder)


def test_processes_give_what_one_gives(store: ObjectStore, folder: Path, tokenizer: Path, prose: Prose) -> None:
    for i in range(150):
        (folder / f"{i:03d}.txt").write_text(prose(f"topic{i}"))
    count = token_counter(tokenizer)
    refs = set()
    for workers in (1, 2):
        config = CONFIG.model_copy(update={"workers": workers})
        place = open_store(StoreConfig(url=f"{store.url}-{workers}"))
        report = ingest([folder], "test", place, config, "words", count, tokenizer=tokenizer)
        assert report.read == 150
        refs.add(report.ref)
    assert len(refs) == 1


_PROGRAM = """
import sys
from pathlib import Path
from spice.config import CorpusConfig, StoreConfig
from spice.corpus.ingest import ingest
from spice.store import open_store

def say(done, total, what):
    print(what, done, flush=True)
    if sys.argv[3] == what and done >= int(sys.argv[4]):
        sys.stdin.read()  # until it is killed

config = CorpusConfig(segment_tokens=40, min_segment_tokens=3, held_out_share=0.3, workers=1)
count = lambda texts: [len(text.split()) for text in texts]
report = ingest([Path(sys.argv[1])], "test", open_store(StoreConfig(url=sys.argv[2])), config, "words", count,
                progress=say)
print("ref", report.ref, report.read, report.reused)
"""


def program(folder: Path, store: ObjectStore, temporary: Path, phase: str, done: int) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-c", _PROGRAM, str(folder), store.url, phase, str(done)]
    environ = {**os.environ, "TMPDIR": str(temporary)}
    return subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ)


@pytest.mark.integration
def test_killed_anywhere_the_same_command_goes_on(
    store: ObjectStore, folder: Path, tmp_path: Path, prose: Prose
) -> None:
    for i in range(600):
        (folder / f"{i:04d}.txt").write_text(prose(f"topic{i}", 3))
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    for phase, done in (("read", 512), ("compare", 300), ("write", 400), ("store", 0)):
        victim = program(folder, store, temporary, phase, done)
        assert victim.stdout is not None
        for line in victim.stdout:
            what, number = line.split()[:2]
            if what == phase and int(number) >= done:
                break
        victim.send_signal(signal.SIGKILL)
        victim.communicate()
        assert victim.returncode == -signal.SIGKILL
    last = program(folder, store, temporary, "never", 0)
    ending = last.communicate()[0].splitlines()[-1].split()
    assert last.returncode == 0
    assert ending[1] == full(folder)
    assert ending[2:] == ["0", "600"]
    assert list(temporary.iterdir()) == []


def test_one_ingest_of_a_data_set_at_a_time(
    store: ObjectStore, folder: Path, tmp_path: Path, prose: Prose, monkeypatch: pytest.MonkeyPatch
) -> None:
    from spice.corpus.workplace import workplace
    from spice.errors import CorpusError

    (folder / "a.txt").write_text(prose("a"))
    with workplace(store.url, "test"), pytest.raises(CorpusError, match="Another process ingests the same data set"):
        ingested(folder, store)
    assert ingested(folder, store).read == 1


def test_a_damaged_pack_is_made_again(store: ObjectStore, folder: Path, prose: Prose) -> None:
    (folder / "a.txt").write_text(prose("a"))
    ref = ingested(folder, store).ref
    pack = next(info.key for info in store.list("packs/") if info.key.endswith("segments.arrow"))
    good = store.get(pack)
    store.put(pack, good[:-9] + b"x" * 9)
    repaired = ingested(folder, store)
    assert (repaired.read, repaired.ref) == (1, ref)
    assert store.get(pack) == good
