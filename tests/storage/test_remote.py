"""Stores in buckets, against an S3 stand-in on this machine: all that works on a disk, and what only a network does."""

from __future__ import annotations

import http.client
import itertools
import os
import re
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from conftest import CLASSES, ROOT, digits

from nsdata import Store
from nsdata.errors import BadInput, StorageFailed, StoreNotFound
from nsdata.labels import spots
from nsdata.schema import PEOPLE
from nsdata.storage import buckets, engine, writing
from nsdata.storage.address import absolute, canonical, is_local, relative
from nsdata.storage.objects import Objects
from nsdata.versions import table

Rule = Callable[[str, str, int], str | tuple[int, str]]


class Front:
    """Stands between us and the server. ``rule(method, path, number)`` says "pass", or what goes wrong:

    "before": the connection drops before the request is served; "after": it is served, its answer is lost;
    (status, code): refused so.
    """

    def __init__(self, upstream: str) -> None:
        self.rule: Rule = lambda method, path, number: "pass"
        self.keys: list[str] = []
        self.tokens: list[str] = []
        self.dropped = 0
        self._numbers = itertools.count(1)
        front, host = self, upstream.removeprefix("http://")

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def _any(self) -> None:
                front.keys += re.findall(r"Credential=(\w+)", self.headers.get("Authorization", "Credential=nobody"))
                front.tokens += [self.headers.get("x-amz-security-token", "")]
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                does = front.rule(self.command, self.path, next(front._numbers))
                if isinstance(does, tuple):
                    self._answer(does[0], [], f"<Error><Code>{does[1]}</Code><Message>no</Message></Error>".encode())
                    return
                if does != "before":
                    server = http.client.HTTPConnection(host)
                    sent = {k: v for k, v in self.headers.items() if k.lower() not in ("connection", "expect")}
                    server.request(self.command, self.path, body, sent)
                    reply = server.getresponse()
                    content = reply.read()
                    server.close()
                if does == "pass":
                    self._answer(reply.status, reply.getheaders(), content)
                else:
                    front.dropped += 1
                    self.close_connection = True
                    self.connection.shutdown(socket.SHUT_RDWR)

            def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
                length = dict(headers).get("Content-Length", "0") if self.command == "HEAD" else str(len(content))
                self.send_response_only(status)
                for key, value in headers:
                    if key.lower() not in ("connection", "transfer-encoding", "content-length"):
                        self.send_header(key, value)
                self.send_header("Content-Length", length)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content)

            do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _any  # noqa: N815

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients that hung up
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


@pytest.fixture
def front(server: str, bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Front]:
    """The bucket's server, behind a connection that goes wrong as it is told to."""
    made = Front(server)
    monkeypatch.setenv("AWS_ENDPOINT_URL", made.url)
    yield made
    made.close()


def _batch(start: int, rows: int) -> dict[str, object]:
    ids = np.zeros((rows, 16), np.uint8)
    return {"id": ids, "label": np.arange(start, start + rows, dtype=np.int32)}


# -------------------------------------------------------------------- the whole of a store


def test_a_store_lives_in_a_bucket(bucket: str, seal: Callable[..., np.ndarray], tmp_path: Path) -> None:
    store = Store.create(f"{bucket}/", CLASSES)
    assert store.url == bucket
    images, labels = digits(60)
    known = np.where(np.arange(60) < 20, labels, -1)
    store.add_arrays(images, known, source="train")
    assert store.add_arrays(images, known, source="train").present == 60  # nothing comes twice
    soft = seal(store, 1)
    seal(store, 2, seed=1)

    again = Store.open(bucket)
    assert len(again) == 60
    np.testing.assert_allclose(again.labels(1).soft, soft, atol=1e-3)
    assert again.diff("gen-1", "gen-2").flips.sum() > 0
    view = again.view(gen=1).split("train").unlabelled().confident(0.3)
    view.save("sure")
    kept = Store.open(bucket).load_view("sure")
    assert (kept.rows == view.rows).all()
    for order in (None, "exact", "blocks"):
        batches = list(kept.stream(16, seed=1, order=order))
        assert sorted(row for batch in batches for row in batch.rows) == sorted(view.rows)
        assert all(batch.images.shape[1:] == (8, 8, 3) for batch in batches)
    ids = [row["id"] for row in again.query("select id from images limit 2").to_pylist()]
    again.relabel({ids[0]: "7"})
    again.remove([ids[1]])
    assert len(Store.open(bucket)) == 59
    assert len(Store.open(bucket).at("gen-1")) == 60
    assert len(next(iter(again.datasets().values()))) == 60

    from nsdata.exporters.rows import export_store

    assert export_store(Store.open(bucket), tmp_path / "out", view="sure") == len(view)
    assert len(list((tmp_path / "out").rglob("*.png"))) == len(view)


def test_an_empty_place_is_no_store(bucket: str) -> None:
    with pytest.raises(StoreNotFound, match="no store"):
        Store.open(bucket)
    assert Objects(bucket).list("") == []


def test_a_store_may_be_a_whole_bucket(server: str, bucket: str) -> None:
    urllib.request.urlopen(urllib.request.Request(f"{server}/whole", method="PUT")).close()
    Store.create("s3://whole", CLASSES).add_arrays(*digits(3))
    assert len(Store.open("s3://whole/")) == 3


# -------------------------------------------------------------------- addresses


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("s3://bucket/lake", "s3://bucket/lake"),
        ("s3://bucket/a/b//", "s3://bucket/a/b"),
        ("s3://my.bucket-1", "s3://my.bucket-1"),
        ("gs://bucket/lake/", "gs://bucket/lake"),
        ("gcs://bucket/lake", "gs://bucket/lake"),
    ],
)
def test_addresses_of_buckets(typed: str, kept: str) -> None:
    assert canonical(typed) == kept
    assert not is_local(kept)


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ("s3://", "names no bucket"),
        ("s3:///lake", "names no bucket"),
        ("s3://x/lake", "names no bucket"),
        ("s3://bucket/a@b", "'@'"),
        ("s3://bucket/a//b", "are allowed"),
        ("s3://bucket/../b", "are allowed"),
        ("s3://bucket/a b", "are allowed"),
        ("az://account/container/lake", "Azure are not supported"),
        ("http://bucket/lake", "s3://BUCKET/PREFIX"),
        ("hub://someone/lake", "s3://BUCKET/PREFIX"),
    ],
)
def test_addresses_that_are_no_bucket(bad: str, said: str) -> None:
    with pytest.raises(BadInput, match=re.escape(said)) as refused:
        canonical(bad)
    assert refused.value.hint


def test_a_model_is_seen_from_a_bucket_by_its_whole_path(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "best.pt"
    seen = relative("s3://bucket/lake", path)
    assert seen == str(path)
    assert absolute("s3://bucket/lake", seen) == path


# -------------------------------------------------------------------- small files


@pytest.fixture(params=["bucket", "disk", "memory"])
def objects(request: pytest.FixtureRequest, bucket: str, tmp_path: Path) -> Objects:
    """Small files in each kind of place."""
    return Objects({"bucket": bucket, "disk": str(tmp_path / "lake"), "memory": f"mem://{bucket[5:]}"}[request.param])


def test_small_files_are_alike_everywhere(objects: Objects) -> None:
    assert objects.get("a/b") is None
    assert objects.list("a") == [] == objects.list("")
    assert objects.put_new("a/b", b"one")
    assert not objects.put_new("a/b", b"two")
    assert not objects.put_new("a/b", b"one")  # the same bytes, but somebody else's
    objects.put("a/c", b"three!")
    objects.put("ab", b"")
    objects.put("a/c", b"four!")
    assert (objects.get("a/b"), objects.get("a/c"), objects.get("ab")) == (b"one", b"four!", b"")
    assert sorted(objects.list("a")) == [("a/b", 3), ("a/c", 5)]
    assert sorted(objects.list("")) == [("a/b", 3), ("a/c", 5), ("ab", 0)]
    objects.delete("a/b")
    objects.delete("a/b")
    assert objects.list("a") == [("a/c", 5)]
    objects.clear()
    objects.clear()
    assert objects.list("") == []


def test_a_bucket_has_no_neighbours_files(bucket: str) -> None:
    Objects(f"{bucket}-2").put("x", b"")
    Objects(bucket).put("y", b"")
    assert Objects(bucket).list("") == [("y", 0)]
    Objects(bucket).clear()
    assert Objects(f"{bucket}-2").list("") == [("x", 0)]


def test_of_many_racers_one_wins(bucket: str) -> None:
    racers, rounds = 8, 8
    wins: list[tuple[int, int]] = []
    gate = threading.Barrier(racers)

    def race(me: int) -> None:
        objects = Objects(bucket)
        for turn in range(rounds):
            gate.wait()
            if objects.put_new(f"log/{turn}", b"%d" % me):
                wins.append((turn, me))

    threads = [threading.Thread(target=race, args=(me,)) for me in range(racers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(turn for turn, _ in wins) == list(range(rounds))
    for turn, me in wins:
        assert Objects(bucket).get(f"log/{turn}") == b"%d" % me


def test_what_is_looked_at_on_a_disk_costs_a_bucket_no_request(
    bucket: str, front: Front, seal: Callable[..., np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many pictures and soft labels would be held against their ids and pseudo-labels."""
    made = Store.create(bucket, CLASSES)
    made.add_arrays(digits(60)[0])
    seal(made, 1)
    counts: list[int] = []
    for each in (1, 1000):
        monkeypatch.setattr(table, "_SPOT", each)
        monkeypatch.setattr(spots, "EACH", each)
        store = Store.open(bucket)
        before, asked = len(front.keys), np.arange(60)[::-1]
        assert np.array_equal(store.labels(1).take(asked)[::-1], store.labels(1).soft)
        assert store.table.blobs(asked)[::-1] == store.table.blobs_between(0, 60)
        counts.append(len(front.keys) - before)
    assert counts[0] == counts[1]


# -------------------------------------------------------------------- keys


def _write_files(home: Path, credentials: str, config: str) -> None:
    (home / ".aws").mkdir()
    (home / ".aws" / "credentials").write_text(credentials)
    (home / ".aws" / "config").write_text(config)


def _through_both_doors(bucket: str) -> None:
    with writing.Writer(bucket, PEOPLE) as writer:
        writer.append(_batch(0, 1))
        writer.commit("row")
    Objects(bucket).put("x", b"")
    assert len(engine.Reader(bucket, PEOPLE)) and Objects(bucket).list("") and engine.exists(bucket)


@pytest.fixture
def no_keys(front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither keys nor an endpoint in the environment."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name)


def test_both_doors_take_the_keys_of_a_profile(
    bucket: str, front: Front, no_keys: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write_files(
        tmp_path,
        "[default]\naws_access_key_id = AKIDOTHER\naws_secret_access_key = x\n"
        "[lab]\naws_access_key_id = AKIDLAB\naws_secret_access_key = a%b/c+d\n",
        f"[profile lab]\nregion = eu-west-1\nendpoint_url = {front.url}/\ns3 =\n  max_concurrent_requests = 3\n",
    )
    monkeypatch.setenv("AWS_PROFILE", "lab")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "belongs to keys that are gone")
    _through_both_doors(bucket)
    assert set(front.keys) == {"AKIDLAB"}
    assert set(front.tokens) == {""}
    assert buckets.access(bucket).region == "eu-west-1"


def test_other_files_may_hold_the_keys_and_the_environment_wins(
    bucket: str, front: Front, no_keys: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "keys").write_text(
        "[default]\naws_access_key_id=AKIDFILE\naws_secret_access_key=x\naws_session_token=t\n"
    )
    (tmp_path / "conf").write_text(f"[default]\nendpoint_url = {front.url}\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "keys"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "conf"))
    _through_both_doors(bucket)
    assert (set(front.keys), set(front.tokens)) == ({"AKIDFILE"}, {"t"})
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "y")
    front.keys.clear()
    front.tokens.clear()
    _through_both_doors(bucket)
    assert (set(front.keys), set(front.tokens)) == ({"AKIDENV"}, {""})


def test_without_keys_nothing_is_asked_for_any(bucket: str, front: Front, no_keys: None) -> None:
    for look in (lambda: Store.open(bucket), lambda: engine.exists(bucket)):
        with pytest.raises(StorageFailed, match=r"No keys for s3://.*AWS_ACCESS_KEY_ID") as failed:
            look()
        assert "export-credentials" in failed.value.hint
    assert not front.keys


def test_half_a_key_and_a_profile_that_is_none_are_named(
    bucket: str, no_keys: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    with pytest.raises(StorageFailed, match="AWS_SECRET_ACCESS_KEY is set, AWS_ACCESS_KEY_ID is not"):
        Store.open(bucket)
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_PROFILE", "lba")
    with pytest.raises(StorageFailed, match="no profile 'lba'"):
        Store.open(bucket)
    _write_files(tmp_path, "not a file of keys", "")
    with pytest.raises(StorageFailed, match="credentials cannot be read"):
        Store.open(bucket)


def test_googles_buckets_need_a_key_file(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    with pytest.raises(StorageFailed, match="GOOGLE_APPLICATION_CREDENTIALS is not set"):
        Store.open("gs://bucket/lake")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/no/such.json")
    with pytest.raises(StorageFailed, match="which is no file"):
        engine.exists("gs://bucket/lake")


def test_offline_reaches_this_machine_and_nothing_else(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program = (
        "from nsdata.schema import VIEW; from nsdata.storage import engine, writing\n"
        "from nsdata.storage.objects import Objects\n"
        f"with writing.Writer({bucket!r}, VIEW) as w: w.append({{'row': [5, 6]}}); w.commit('rows')\n"
        f"Objects({bucket!r}).put('x', b'y'); print(engine.Reader({bucket!r}, VIEW).read('row'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "NSDATA_OFFLINE": "1"},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "[5 6]", done.stderr
    monkeypatch.setenv("NSDATA_OFFLINE", "1")
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    with pytest.raises(StorageFailed, match="NSDATA_OFFLINE is set") as failed:
        Store.open(bucket)
    assert failed.value.hint == "unset NSDATA_OFFLINE"


# -------------------------------------------------------------------- what a bucket refuses

REFUSALS = [
    (403, "InvalidAccessKeyId", "does not know the access key from the environment", "AWS_ACCESS_KEY_ID"),
    (403, "SignatureDoesNotMatch", "does not belong to its access key", "AWS_SECRET_ACCESS_KEY"),
    (403, "AccessDenied", "may not do this in s3://lakes/lake", "aws s3 ls s3://lakes"),
    (400, "ExpiredToken", "have expired", "export-credentials"),
    (400, "AuthorizationHeaderMalformed", "not in the region 'us-east-1'", "get-bucket-location"),
    (301, "PermanentRedirect", "not in the region 'us-east-1'", "AWS_REGION"),
]


@pytest.mark.parametrize(("status", "code", "said", "hint"), REFUSALS)
def test_refusals_say_what_to_do(bucket: str, front: Front, status: int, code: str, said: str, hint: str) -> None:
    front.rule = lambda method, path, number: (status, code)
    attempts: list[Callable[[], object]] = [
        lambda: Objects(bucket).get("x"),
        lambda: Objects(bucket).put("x", b""),
        lambda: Objects(bucket).put_new("x", b""),
        lambda: Objects(bucket).list("x"),
        lambda: engine.Reader(bucket, PEOPLE),
    ]
    for attempt in attempts:
        with pytest.raises(StorageFailed) as failed:
            attempt()
        assert said in failed.value.message
        assert hint in failed.value.hint


def test_a_server_that_cannot_decide_a_race_is_refused(
    bucket: str, front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(buckets.RETRIES, "max_retries", 0)
    front.rule = lambda method, path, number: (501, "NotImplemented") if method == "PUT" else "pass"
    with pytest.raises(StorageFailed, match="conditional put"):
        Store.create(bucket, CLASSES)


def test_a_bucket_that_is_not_there(server: str, bucket: str) -> None:
    nowhere = "s3://no-such-bucket/lake"
    attempts: list[Callable[[], object]] = [
        lambda: Store.open(nowhere),
        lambda: Store.create(nowhere, CLASSES),
        lambda: writing.Writer(nowhere, PEOPLE),
        lambda: Objects(nowhere).list(""),
    ]
    for attempt in attempts:
        with pytest.raises(StorageFailed, match=f"no bucket 'no-such-bucket' at {server}"):
            attempt()


def test_a_server_that_is_not_there(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        endpoint = f"http://127.0.0.1:{closed.getsockname()[1]}"
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    for attempt in (lambda: Store.open(bucket), lambda: Store.create(bucket, CLASSES)):
        began = time.monotonic()
        with pytest.raises(StorageFailed, match=f"No answer from {endpoint}") as failed:
            attempt()
        assert "again" in failed.value.hint
        assert time.monotonic() - began < 15


def test_a_server_that_says_nothing_is_given_up(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(buckets.TIMEOUTS, "read_timeout", "200ms")
    monkeypatch.setitem(buckets.RETRIES, "max_retries", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(StorageFailed, match="No answer from"):
            Store.open(bucket)


# -------------------------------------------------------------------- connections that drop


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_put_whose_answer_was_lost_is_won_once(bucket: str, front: Front, when: str) -> None:
    lost = iter([when])
    front.rule = lambda method, path, number: next(lost, "pass")
    assert Objects(bucket).put_new("log/1", b"mine")
    assert Objects(bucket).get("log/1") == b"mine"
    assert not Objects(bucket).put_new("log/1", b"mine")  # this time nothing was lost: it is another's


def test_a_put_whose_answer_was_lost_after_another_won(bucket: str, front: Front) -> None:
    Objects(bucket).put("log/1", b"theirs")
    lost = iter(["after"])
    front.rule = lambda method, path, number: next(lost, "pass")
    assert not Objects(bucket).put_new("log/1", b"mine")
    assert Objects(bucket).get("log/1") == b"theirs"


def test_a_connection_that_drops_again_and_again_loses_nothing(
    bucket: str, front: Front, seal: Callable[..., np.ndarray]
) -> None:
    front.rule = lambda method, path, number: "pass" if number % 11 else ("before", "after")[number // 11 % 2]
    store = Store.create(bucket, CLASSES)
    images, labels = digits(40)
    store.add_arrays(images, labels)
    soft = seal(store, 1)
    assert front.dropped > 6
    front.rule = lambda method, path, number: "pass"
    kept = Store.open(bucket)
    assert kept.version == store.version
    assert sorted(label for label in kept.table.label) == sorted(labels)
    np.testing.assert_allclose(kept.labels(1).soft, soft, atol=1e-3)


@pytest.mark.parametrize(
    ("request_", "lost", "kept"), [(4, False, 4), (5, True, 4), (6, False, 4), (6, True, 8), (7, False, 8)]
)
def test_a_commit_that_fails_is_gone_on_with_by_a_new_writer(
    bucket: str, front: Front, request_: int, lost: bool, kept: int
) -> None:
    """The keys are taken away at the n-th request of a commit; with ``lost``, that request is served all the same."""
    with writing.Writer(bucket, PEOPLE) as writer:
        writer.append(_batch(0, 4))
        writer.commit("first")
        writer.append(_batch(4, 4))
        numbers, served = itertools.count(1), front.rule

        def deny(method: str, path: str, number: int) -> str | tuple[int, str]:
            mine = next(numbers)
            if mine == request_ and lost and method == "PUT":
                return "after"
            return served(method, path, number) if mine < request_ else (403, "AccessDenied")

        front.rule = deny
        with pytest.raises(StorageFailed, match="may not do this"):
            writer.commit("second")
        with pytest.raises(StorageFailed, match="cannot continue"):
            writer.append(_batch(8, 4))
        front.rule = served
    with writing.Writer(bucket, PEOPLE) as writer:
        assert len(writer) == kept
        began = time.monotonic()
        writer.append(_batch(len(writer), 12 - len(writer)))
        writer.commit("third")
        assert time.monotonic() - began < 1.5
    assert engine.Reader(bucket, PEOPLE).read("label").tolist() == list(range(12))


# -------------------------------------------------------------------- datasets


@pytest.mark.parametrize("wrong", [b"", b"garbage", struct.pack("<Q", 1), struct.pack("<Q", 6)])
def test_a_wrong_counter_of_commits_is_set_right(bucket: str, wrong: bytes) -> None:
    for start in (0, 5):
        with writing.Writer(bucket, PEOPLE) as writer:
            writer.append(_batch(start, 5))
            writer.commit("rows")
    objects = Objects(bucket)
    for path, _ in objects.list("_deeplake_log"):
        if path.endswith("next_base"):
            objects.put(path, wrong)
    with writing.Writer(bucket, PEOPLE) as writer:
        writer.append(_batch(10, 5))
        writer.commit("more")
    assert engine.Reader(bucket, PEOPLE).read("label").tolist() == list(range(15))


def test_a_dataset_is_removed_with_all_that_lies_there(bucket: str) -> None:
    with writing.Writer(f"{bucket}/set", PEOPLE) as writer:
        writer.append(_batch(0, 5))
        writer.commit("rows")
    Objects(bucket).put("set/beside.json", b"{}")
    Objects(bucket).put("set-2", b"")
    assert engine.exists(f"{bucket}/set")
    assert len(engine.native(f"{bucket}/set")) == 5
    engine.delete(f"{bucket}/set")
    engine.delete(f"{bucket}/set")
    assert not engine.exists(f"{bucket}/set")
    assert Objects(bucket).list("") == [("set-2", 0)]
