from hashlib import sha256
from io import BytesIO
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import pytest

from tests.training.data.conftest import Site
from training.data.fetch import ATTEMPTS, fetched, verified
from training.data.sources import Copy, Download, SourceError

BODY = bytes(range(256)) * 40
COPY = Copy("set/rows.csv", sha256(BODY).hexdigest(), len(BODY), rows=1)


def zipped(**files):
    made = BytesIO()
    with ZipFile(made, "w", ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(f"{name}.zip" if name == "inner" else f"{name}.csv", content)
    return made.getvalue()


@pytest.fixture
def download(site: Site):
    site.files["/rows.csv"] = BODY
    return Download(site.url("/rows.csv"))


def test_a_file_is_downloaded_once(site: Site, download, tmp_path: Path) -> None:
    assert fetched(download, COPY, tmp_path).read_bytes() == BODY
    assert fetched(download, COPY, tmp_path) == tmp_path / "rows.csv"
    assert site.asked == [None]
    assert [file.name for file in tmp_path.iterdir()] == ["rows.csv"]


def test_a_file_that_has_changed_on_disk_is_downloaded_again(download, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("something else")
    assert fetched(download, COPY, tmp_path).read_bytes() == BODY


def test_a_body_that_breaks_off_is_resumed(site: Site, download, tmp_path: Path) -> None:
    site.breaks = [100, 1000]
    assert fetched(download, COPY, tmp_path).read_bytes() == BODY
    assert site.asked == [None, "bytes=100-", "bytes=1100-"]


def test_a_body_that_keeps_breaking_off_is_named_and_resumed_by_the_next_run(
    site: Site, download, tmp_path: Path
) -> None:
    site.breaks = [100, 1, 1, 1]
    with pytest.raises(SourceError, match=r"rows\.csv: the body broke off: expected 10,240 bytes, got 103\."):
        fetched(download, COPY, tmp_path)
    assert len(site.asked) == ATTEMPTS
    assert fetched(download, COPY, tmp_path).read_bytes() == BODY
    assert site.asked[-1] == "bytes=103-"


def test_a_server_without_ranges_is_asked_for_all(site: Site, download, tmp_path: Path) -> None:
    site.ranges = False
    site.breaks = [100]
    assert fetched(download, COPY, tmp_path).read_bytes() == BODY


def test_a_body_that_ends_early_is_named_and_kept(site: Site, download, tmp_path: Path) -> None:
    site.files["/rows.csv"] = BODY[:-1]
    with pytest.raises(SourceError, match=r"cut short: expected 10,240 bytes, got 10,239\."):
        fetched(download, COPY, tmp_path)
    site.files["/rows.csv"] = BODY
    assert fetched(download, COPY, tmp_path).read_bytes() == BODY
    assert site.asked[-1] == "bytes=10239-"


def test_another_file_says_both_sums_and_is_deleted(site: Site, download, tmp_path: Path) -> None:
    site.files["/rows.csv"] = other = BODY[::-1]
    with pytest.raises(SourceError, match=f"{COPY.sha256}, found {sha256(other).hexdigest()}"):
        fetched(download, COPY, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_is_already_whole_is_not_sent_again(site: Site, download, tmp_path: Path) -> None:
    (tmp_path / "rows.csv.part").write_bytes(BODY)
    assert fetched(download, COPY, tmp_path).read_bytes() == BODY
    assert site.asked == ["bytes=10240-"]


def test_more_than_the_file_has_is_thrown_away(site: Site, download, tmp_path: Path) -> None:
    (tmp_path / "rows.csv.part").write_bytes(BODY + b"more")
    assert fetched(download, COPY, tmp_path).read_bytes() == BODY
    assert site.asked == ["bytes=10244-", None]


def test_a_server_that_is_busy_is_asked_again(site: Site, download, tmp_path: Path) -> None:
    site.statuses = [503, 429]
    assert fetched(download, COPY, tmp_path).read_bytes() == BODY


def test_a_server_that_stays_busy_is_named(site: Site, download, tmp_path: Path) -> None:
    site.statuses = [503] * ATTEMPTS
    with pytest.raises(SourceError, match=r"rows\.csv: the server answered 503\. Tried 4 times"):
        fetched(download, COPY, tmp_path)


def test_a_page_that_is_not_there_is_asked_for_once(site: Site, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"/gone\.csv answered 404"):
        fetched(Download(site.url("/gone.csv?token=secret")), COPY, tmp_path)
    assert len(site.asked) == 1


def test_a_server_that_is_not_there_is_named(site: Site, download, tmp_path: Path) -> None:
    site.shutdown()
    site.server_close()
    with pytest.raises(SourceError, match=r"rows\.csv: no answer \(ConnectError"):
        fetched(download, COPY, tmp_path)


def test_an_archive_in_an_archive_is_opened(site: Site, tmp_path: Path) -> None:
    site.files["/set.zip"] = zipped(inner=zipped(rows=BODY), other=b"")
    download = Download(site.url("/set.zip"), members=("inner.zip", "rows.csv"))
    assert fetched(download, COPY, tmp_path).read_bytes() == BODY
    assert [file.name for file in tmp_path.iterdir()] == ["rows.csv"]


@pytest.mark.parametrize("content", [zipped(other=BODY), b"<html>Please log in</html>"])
def test_another_archive_or_none_is_named_and_deleted(site: Site, tmp_path: Path, content) -> None:
    site.files["/set.zip"] = content
    with pytest.raises(SourceError, match=r"set\.zip: .* expected an archive with rows\.csv"):
        fetched(Download(site.url("/set.zip"), members=("rows.csv",)), COPY, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("record", "offset", "bits", "said"),
    [
        (b"PK\3\4", 38, 6, "error: Error -3 while decompressing"),
        (b"PK\1\2", 8, 1, "RuntimeError: File 'rows.csv' is encrypted"),
        (b"PK\1\2", 10, 1, "NotImplementedError: That compression method"),
        (b"PK\5\6", 19, 1, "ValueError: negative seek"),
    ],
)
def test_an_archive_with_flipped_bits_is_named_and_deleted(
    site: Site, tmp_path: Path, record: bytes, offset: int, bits: int, said: str
) -> None:
    damaged = bytearray(zipped(rows=BODY))
    damaged[damaged.index(record) + offset] ^= bits
    site.files["/set.zip"] = bytes(damaged)
    with pytest.raises(SourceError, match=rf"set\.zip: {said}.*; expected an archive with rows\.csv"):
        fetched(Download(site.url("/set.zip"), members=("rows.csv",)), COPY, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_copy_with_other_line_ends_has_the_same_sum(site: Site, tmp_path: Path) -> None:
    text = b"a,b\n1,2\n"
    site.files["/rows.csv"] = text.replace(b"\n", b"\r\n")
    copy = Copy("rows.csv", sha256(text).hexdigest(), len(text), rows=1)
    assert fetched(Download(site.url("/rows.csv"), crlf=True), copy, tmp_path).read_bytes() == text


def test_who_has_a_key_shows_it(site: Site, download, tmp_path: Path) -> None:
    fetched(download, COPY, tmp_path, key=("ada", "secret"))
    assert site.users == ["ada:secret"]


def test_a_copy_of_the_mirror_that_is_cut_short_or_another_is_named(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_bytes(BODY)
    assert verified(file, COPY) == file
    file.write_bytes(BODY[:-1])
    with pytest.raises(SourceError, match=r"rows\.csv is cut short: it has 10,239 of 10,240 bytes"):
        verified(file, COPY)
    file.write_bytes(BODY[::-1])
    with pytest.raises(SourceError, match=r"rows\.csv is another file: its sha256 is \w{64}, not " + COPY.sha256):
        verified(file, COPY)
