from hashlib import sha256
from io import BytesIO
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import pytest

from tests.training.data.conftest import Site
from training.data.fetch import MAX_ATTEMPTS, fetch_file, verify_file
from training.data.sources import Download, MirrorFile, SourceError

BODY = bytes(range(256)) * 40
MIRROR_FILE = MirrorFile("set/rows.csv", sha256(BODY).hexdigest(), len(BODY), rows=1)


def zipped(**files: bytes) -> bytes:
    buffer = BytesIO()
    with ZipFile(buffer, "w", ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(f"{name}.zip" if name == "inner" else f"{name}.csv", content)
    return buffer.getvalue()


@pytest.fixture
def download(site: Site) -> Download:
    site.files["/rows.csv"] = BODY
    return Download(site.url("/rows.csv"))


def test_a_file_is_downloaded_once(site: Site, download: Download, tmp_path: Path) -> None:
    assert fetch_file(download, MIRROR_FILE, tmp_path).read_bytes() == BODY
    assert fetch_file(download, MIRROR_FILE, tmp_path) == tmp_path / "rows.csv"
    assert site.ranges_requested == [None]
    assert [file.name for file in tmp_path.iterdir()] == ["rows.csv"]


def test_a_file_that_has_changed_on_disk_is_downloaded_again(download: Download, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("something else")
    assert fetch_file(download, MIRROR_FILE, tmp_path).read_bytes() == BODY


def test_a_body_that_breaks_off_is_resumed(site: Site, download: Download, tmp_path: Path) -> None:
    site.breaks = [100, 1000]
    assert fetch_file(download, MIRROR_FILE, tmp_path).read_bytes() == BODY
    assert site.ranges_requested == [None, "bytes=100-", "bytes=1100-"]


def test_a_body_that_keeps_breaking_off_is_reported_and_resumed_by_the_next_run(
    site: Site, download: Download, tmp_path: Path
) -> None:
    site.breaks = [100, 1, 1, 1]
    with pytest.raises(SourceError, match=r"rows\.csv: the body broke off: expected 10,240 bytes, got 103\."):
        fetch_file(download, MIRROR_FILE, tmp_path)
    assert len(site.ranges_requested) == MAX_ATTEMPTS
    assert fetch_file(download, MIRROR_FILE, tmp_path).read_bytes() == BODY
    assert site.ranges_requested[-1] == "bytes=103-"


def test_a_server_without_ranges_is_asked_for_the_whole_file(site: Site, download: Download, tmp_path: Path) -> None:
    site.ranges = False
    site.breaks = [100]
    assert fetch_file(download, MIRROR_FILE, tmp_path).read_bytes() == BODY


def test_a_body_that_ends_early_is_reported_and_resumed(site: Site, download: Download, tmp_path: Path) -> None:
    site.files["/rows.csv"] = BODY[:-1]
    with pytest.raises(SourceError, match=r"cut short: expected 10,240 bytes, got 10,239\."):
        fetch_file(download, MIRROR_FILE, tmp_path)
    site.files["/rows.csv"] = BODY
    assert fetch_file(download, MIRROR_FILE, tmp_path).read_bytes() == BODY
    assert site.ranges_requested[-1] == "bytes=10239-"


def test_a_file_with_another_checksum_is_reported_and_deleted(site: Site, download: Download, tmp_path: Path) -> None:
    site.files["/rows.csv"] = other = BODY[::-1]
    with pytest.raises(SourceError, match=f"{MIRROR_FILE.sha256}, found {sha256(other).hexdigest()}"):
        fetch_file(download, MIRROR_FILE, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_complete_part_file_is_not_downloaded_again(site: Site, download: Download, tmp_path: Path) -> None:
    (tmp_path / "rows.csv.part").write_bytes(BODY)
    assert fetch_file(download, MIRROR_FILE, tmp_path).read_bytes() == BODY
    assert site.ranges_requested == ["bytes=10240-"]


def test_a_part_file_larger_than_the_file_is_discarded(site: Site, download: Download, tmp_path: Path) -> None:
    (tmp_path / "rows.csv.part").write_bytes(BODY + b"more")
    assert fetch_file(download, MIRROR_FILE, tmp_path).read_bytes() == BODY
    assert site.ranges_requested == ["bytes=10244-", None]


def test_a_busy_server_is_asked_again(site: Site, download: Download, tmp_path: Path) -> None:
    site.statuses = [503, 429]
    assert fetch_file(download, MIRROR_FILE, tmp_path).read_bytes() == BODY


def test_a_server_that_stays_busy_is_reported(site: Site, download: Download, tmp_path: Path) -> None:
    site.statuses = [503] * MAX_ATTEMPTS
    with pytest.raises(SourceError, match=r"rows\.csv: the server answered 503\. Tried 4 times"):
        fetch_file(download, MIRROR_FILE, tmp_path)


def test_a_missing_page_is_requested_once(site: Site, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"/gone\.csv answered 404"):
        fetch_file(Download(site.url("/gone.csv?token=secret")), MIRROR_FILE, tmp_path)
    assert len(site.ranges_requested) == 1


def test_an_unreachable_server_is_reported(site: Site, download: Download, tmp_path: Path) -> None:
    site.shutdown()
    site.server_close()
    with pytest.raises(SourceError, match=r"rows\.csv: no answer \(ConnectError"):
        fetch_file(download, MIRROR_FILE, tmp_path)


def test_a_file_in_nested_archives_is_unpacked(site: Site, tmp_path: Path) -> None:
    site.files["/set.zip"] = zipped(inner=zipped(rows=BODY), other=b"")
    download = Download(site.url("/set.zip"), members=("inner.zip", "rows.csv"))
    assert fetch_file(download, MIRROR_FILE, tmp_path).read_bytes() == BODY
    assert [file.name for file in tmp_path.iterdir()] == ["rows.csv"]


@pytest.mark.parametrize("content", [zipped(other=BODY), b"<html>Please log in</html>"])
def test_a_download_without_the_expected_archive_member_is_reported_and_deleted(
    site: Site, tmp_path: Path, content: bytes
) -> None:
    site.files["/set.zip"] = content
    with pytest.raises(SourceError, match=r"set\.zip: .* expected an archive with rows\.csv"):
        fetch_file(Download(site.url("/set.zip"), members=("rows.csv",)), MIRROR_FILE, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("record", "offset", "flipped_bits", "message"),
    [
        (b"PK\3\4", 38, 6, "error: Error -3 while decompressing"),
        (b"PK\1\2", 8, 1, "RuntimeError: File 'rows.csv' is encrypted"),
        (b"PK\1\2", 10, 1, "NotImplementedError: That compression method"),
        (b"PK\5\6", 19, 1, "ValueError: negative seek"),
    ],
)
def test_a_damaged_archive_is_reported_and_deleted(
    site: Site, tmp_path: Path, record: bytes, offset: int, flipped_bits: int, message: str
) -> None:
    damaged = bytearray(zipped(rows=BODY))
    damaged[damaged.index(record) + offset] ^= flipped_bits
    site.files["/set.zip"] = bytes(damaged)
    with pytest.raises(SourceError, match=rf"set\.zip: {message}.*; expected an archive with rows\.csv"):
        fetch_file(Download(site.url("/set.zip"), members=("rows.csv",)), MIRROR_FILE, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_line_ends_are_converted_before_the_checksum_is_verified(site: Site, tmp_path: Path) -> None:
    text = b"a,b\n1,2\n"
    site.files["/rows.csv"] = text.replace(b"\n", b"\r\n")
    mirror_file = MirrorFile("rows.csv", sha256(text).hexdigest(), len(text), rows=1)
    assert fetch_file(Download(site.url("/rows.csv"), crlf=True), mirror_file, tmp_path).read_bytes() == text


def test_a_key_is_sent_as_user_and_password(site: Site, download: Download, tmp_path: Path) -> None:
    fetch_file(download, MIRROR_FILE, tmp_path, key=("ada", "secret"))
    assert site.users == ["ada:secret"]


def test_a_file_of_the_mirror_that_is_cut_short_or_different_is_reported(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_bytes(BODY)
    assert verify_file(file, MIRROR_FILE) == file
    file.write_bytes(BODY[:-1])
    with pytest.raises(SourceError, match=r"rows\.csv is cut short: it has 10,239 of 10,240 bytes"):
        verify_file(file, MIRROR_FILE)
    file.write_bytes(BODY[::-1])
    message = r"rows\.csv is another file: its sha256 is \w{64}, not " + MIRROR_FILE.sha256
    with pytest.raises(SourceError, match=message):
        verify_file(file, MIRROR_FILE)
