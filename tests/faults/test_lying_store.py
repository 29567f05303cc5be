"""A store that says yes and means no: nothing has succeeded whose files are not there."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acceptance.batches import ended, running, wait_until
from tests.fault_proxy import FaultProxy, Passing, fault_proxy, refusal
from tests.faults.errands import Errands, assert_one_job_each, do, home, kinds, states
from tests.servers import Answer, S3Server, s3_client

pytestmark = [pytest.mark.needs_s3, pytest.mark.timeout(300)]

SECONDS_OF_503 = 6.0
GONE = refusal("NoSuchKey", 404)
YES = (200, {"etag": '"0123456789abcdef0123456789abcdef"'}, b"")


def reads_outcome(request: Passing) -> bool:
    return request.method == "GET" and request.path.split("?")[0].endswith("/outcome.json")


def writes_output(request: Passing) -> bool:
    is_copy = "x-amz-copy-source" in {name.lower() for name in request.headers}
    return request.method == "PUT" and "/a1/stdout.txt" in request.path and not is_copy


def publishes(request: Passing) -> bool:
    return "x-amz-copy-source" in {name.lower() for name in request.headers}


# Which call is answered wrongly, once; how; and how often the item runs then.
LIES: dict[str, tuple[Callable[[Passing], bool], Answer, int]] = {
    "an outcome is not there yet": (reads_outcome, GONE, 2),
    "a page in place of an outcome": (reads_outcome, (200, {}, b"<html></html>"), 2),
    "an output is taken and thrown away": (writes_output, YES, 2),
    "an output is gone when it is published": (publishes, GONE, 1),
}


class Once:
    """Answers the first call that concerns it."""

    def __init__(self, concerns: Callable[[Passing], bool], answer: Answer) -> None:
        self._concerns, self._answer, self.is_done = concerns, answer, False

    def __call__(self, request: Passing) -> Answer | None:
        if self.is_done or not self._concerns(request):
            return None
        self.is_done = True
        return self._answer


@pytest.fixture
def proxy(
    s3_server: S3Server, s3_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FaultProxy]:
    with fault_proxy(s3_server.endpoint) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        yield proxy


@pytest.mark.parametrize("lie", LIES)
def test_what_the_store_only_says_is_not_believed(
    lie: str, proxy: FaultProxy, s3_bucket: str, tmp_path: Path
) -> None:
    concerns, answer, runs = LIES[lie]
    proxy.fault = told = Once(concerns, answer)
    place = Errands.laid_out(tmp_path / "work", ["one"]).at(f"s3://{s3_bucket}/root")
    do(place, "echo whole")
    batch = place.batch("b")
    done = place.run("submit", *place.submit_flags("b", "--slots", 1))
    assert done.returncode == 0, done.stderr
    assert told.is_done
    assert place.witnessed() == {"one": runs}
    assert kinds(batch) == ({"unknown": 1} if runs == 2 else {})
    published = s3_client().get_object(Bucket=s3_bucket, Key="root/b/items/one/stdout.txt")
    assert published["Body"].read() == b"whole\n"
    assert_one_job_each(batch)


def test_an_overloaded_store_costs_time_and_no_attempt(
    proxy: FaultProxy, s3_bucket: str, tmp_path: Path
) -> None:
    items = [f"i{n}" for n in range(6)]
    place = Errands.laid_out(tmp_path / "work", items, pack=2).at(f"s3://{s3_bucket}/root")
    batch = place.batch("b")
    refused: list[str] = []

    def slow_down(request: Passing) -> Answer:
        refused.append(request.path)
        return refusal("SlowDown", 503)

    with running(place.start("submit", *place.submit_flags("b", "--slots", 1))) as process:
        wait_until(lambda: home(batch) >= 1 or process.poll() is not None)
        proxy.fault = slow_down
        time.sleep(SECONDS_OF_503)
        proxy.fault = lambda _request: None
        done = ended(process)
    assert done.returncode == 0, done.stderr
    assert set(states(batch).values()) == {"succeeded"}
    assert place.witnessed() == dict.fromkeys(items, 1)
    assert kinds(batch) == {}
    assert 2 <= len(refused) < 200, "it waits longer and longer"
