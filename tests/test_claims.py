"""Claims: one holder a slide, and the dead hold nothing."""

import json
import os
import subprocess
import sys
import threading
import time

import pytest

from histodistill.claims import Claims


@pytest.fixture
def folder(tmp_path):
    return tmp_path / ".claims"


def test_of_many_that_want_a_slide_one_gets_it(folder):
    takers = [Claims(folder) for _ in range(16)]
    barrier = threading.Barrier(len(takers))
    got = []

    def take(claims):
        barrier.wait()
        got.append(claims.take("slide"))

    folder.mkdir()
    threads = [threading.Thread(target=take, args=(claims,)) for claims in takers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == [False] * 15 + [True]


def test_a_released_slide_can_be_taken_again(folder):
    with Claims(folder) as first, Claims(folder) as second:
        assert first.take("slide.with.dots")
        assert not second.take("slide.with.dots")
        first.release("slide.with.dots")
        assert second.take("slide.with.dots")


def test_leaving_ends_all_claims(folder):
    with Claims(folder) as claims:
        claims.take("a")
        claims.take("b")
    assert list(folder.iterdir()) == []


def claim_of(folder, machine, process, age_s):
    folder.mkdir(exist_ok=True)
    path = folder / "slide.1"
    path.write_text(json.dumps({"machine": machine, "process": process}))
    then = time.time() - age_s
    os.utime(path, (then, then))
    return path


@pytest.mark.parametrize(("age_s", "taken"), [(10, False), (500, True)])
def test_a_holder_elsewhere_is_dead_when_its_claim_is_old(folder, age_s, taken):
    claim_of(folder, "another-machine", 1, age_s)
    with Claims(folder) as claims:
        assert claims.take("slide") is taken
        assert (folder / "slide.2").exists() is taken


def test_only_one_takes_over_from_a_dead_holder(folder):
    claim_of(folder, "another-machine", 1, 500)
    with Claims(folder) as first, Claims(folder) as second:
        assert first.take("slide")
        assert not second.take("slide")
    assert list(folder.iterdir()) == []


def test_a_process_that_is_gone_from_this_machine_holds_nothing(folder):
    gone = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"],
        capture_output=True,
        text=True,
        check=True,
    )
    with Claims(folder) as claims:
        claims.take("other")
        machine = json.loads((folder / "other.1").read_text())["machine"]
        claim_of(folder, machine, int(gone.stdout), 0)
        assert claims.take("slide")


def test_a_claim_that_is_being_written_is_respected(folder):
    folder.mkdir()
    (folder / "slide.1").write_text("")
    with Claims(folder) as claims:
        assert not claims.take("slide")


def test_a_living_holder_keeps_its_claim_fresh(folder):
    with Claims(folder, heartbeat_s=0.01) as holder, Claims(folder, expiry_s=60) as other:
        holder.take("slide")
        os.utime(folder / "slide.1", (0, 0))
        for _ in range(500):
            if (folder / "slide.1").stat().st_mtime > 0:
                break
            time.sleep(0.01)
        assert not other.take("slide")


def test_a_claim_of_the_future_holds_nothing(folder):
    claim_of(folder, "another-machine", 1, -7200)
    with Claims(folder) as claims:
        assert claims.take("slide")


@pytest.mark.parametrize("content", ["", "{}", "[]", "null", "3", '{"machine": 1, "process": {}}'])
@pytest.mark.parametrize(("age_s", "taken"), [(0, False), (60, True)])
def test_a_claim_that_was_never_written_holds_nothing_after_a_moment(folder, content, age_s, taken):
    claim_of(folder, "machine", 1, 0).write_text(content)
    then = time.time() - age_s
    os.utime(folder / "slide.1", (then, then))
    with Claims(folder) as claims:
        assert claims.take("slide") is taken
