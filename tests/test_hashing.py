"""Hashes are remembered as long as a file stays what it was, and never believed against it."""

import os
import shutil
from concurrent.futures import ProcessPoolExecutor
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path

import pytest

from ros2_llava_phi.assistant.load import EXPORT_FOLDER, find_model
from ros2_llava_phi.cli.main import main
from ros2_llava_phi.engine.exported import EMBEDDINGS, check_files
from ros2_llava_phi.errors import ModelError
from ros2_llava_phi.files import hashing
from ros2_llava_phi.files.hashing import REMEMBERED, files_hash, remembered_hashes


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file in which hashes are remembered, those of new files, too."""
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    monkeypatch.setattr(hashing, 'SETTLED_NS', -1)
    return tmp_path / 'cache' / 'llava_phi' / REMEMBERED


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of files as they are read."""
    names: list[str] = []

    def hear(files: list[Path]) -> str:
        names.extend(path.name for path in files)
        return files_hash(files)

    monkeypatch.setattr(hashing, 'files_hash', hear)
    return names


def file_with(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_only_what_is_new_or_has_changed_is_read(
    tmp_path: Path, cache: Path, read: list[str]
) -> None:
    a, b = file_with(tmp_path / 'a', b'aa'), file_with(tmp_path / 'b', b'bb')
    first = remembered_hashes([[a], [b], [a, b]])
    assert first == [sha256(content).hexdigest() for content in (b'aa', b'bb', b'aabb')]
    assert read == ['a', 'b', 'a', 'b']
    assert remembered_hashes([[a], [b], [a, b]]) == first
    assert len(read) == 4
    # In place, as large as before, and with the old time of its change.
    before = a.stat()
    a.write_bytes(b'AA')
    os.utime(a, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert remembered_hashes([[a], [b]]) == [sha256(b'AA').hexdigest(), first[1]]
    assert read[4:] == ['a']
    file_with(tmp_path / 'other', b'BB').replace(b)
    copy = file_with(tmp_path / 'copy', a.read_bytes())
    assert remembered_hashes([[b], [copy]]) == [
        sha256(content).hexdigest() for content in (b'BB', b'AA')
    ]
    assert read[5:] == ['b', 'copy']


def test_what_has_just_changed_is_not_remembered(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It might change again without a trace."""
    monkeypatch.setattr(hashing, 'SETTLED_NS', 10**12)
    remembered_hashes([[file_with(tmp_path / 'a', b'aa')]])
    assert not cache.exists()


def test_what_changes_while_it_is_read_is_not_remembered(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a = file_with(tmp_path / 'a', b'aa')

    def slowly(files: list[Path]) -> str:
        found = files_hash(files)
        a.write_bytes(b'AAA')
        return found

    monkeypatch.setattr(hashing, 'files_hash', slowly)
    remembered_hashes([[a]])
    monkeypatch.undo()
    assert remembered_hashes([[a]]) == [sha256(b'AAA').hexdigest()]


@pytest.mark.parametrize(
    'content', [b'', b'{', b'[]', b'\xff', b'{"x": 3}', b'[' * 100_000, b'{"x": "0"}']
)
def test_a_damaged_memory_is_none(tmp_path: Path, cache: Path, content: bytes) -> None:
    a = file_with(tmp_path / 'a', b'aa')
    expected = remembered_hashes([[a]])
    marks = next(iter(hashing._known(cache)))
    cache.write_bytes(content.replace(b'x', marks.encode()))
    assert remembered_hashes([[a]]) == expected
    assert hashing._known(cache) == {marks: expected[0]}


@pytest.mark.parametrize('spoilt', ['a file', 'open to others', 'no home'])
def test_without_a_cache_files_are_read(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, spoilt: str
) -> None:
    if spoilt == 'a file':
        (tmp_path / 'cache').touch()
    elif spoilt == 'open to others':
        cache.parent.mkdir(parents=True)
        cache.parent.chmod(0o777)
    else:
        monkeypatch.setenv('XDG_CACHE_HOME', '/proc/nowhere')
    a = file_with(tmp_path / 'a', b'aa')
    for _ in range(2):
        assert remembered_hashes([[a]]) == [sha256(b'aa').hexdigest()]
    assert not cache.is_file()


def test_processes_that_remember_at_once_do_no_harm(tmp_path: Path, cache: Path) -> None:
    files = [file_with(tmp_path / f'{i}', bytes([i])) for i in range(40)]
    expected = [sha256(bytes([i])).hexdigest() for i in range(40)]
    with ProcessPoolExecutor(4, get_context('fork')) as pool:
        found = pool.map(remembered_hashes, ([[path]] for path in files))
        assert [digits for (digits,) in found] == expected
    assert set(hashing._known(cache).values()) <= set(expected)
    assert [path.name for path in cache.parent.iterdir()] == [REMEMBERED]
    assert remembered_hashes([path] for path in files) == expected


def test_the_oldest_are_forgotten(
    tmp_path: Path, cache: Path, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashing, 'MOST_REMEMBERED', 2)
    files = [file_with(tmp_path / f'{i}', b'x') for i in range(3)]
    remembered_hashes([path] for path in files)
    remembered_hashes([path] for path in files)
    assert read == ['0', '1', '2', '0']


def test_what_is_remembered_condemns_no_file(tmp_path: Path, cache: Path) -> None:
    a = file_with(tmp_path / 'a', b'aa')
    right = sha256(b'aa').hexdigest()
    check_files(tmp_path, {'a': right}, 'write it again')
    cache.write_text(cache.read_text().replace(right, '0' * 64))
    check_files(tmp_path, {'a': right}, 'write it again')
    a.write_bytes(b'AA')
    with pytest.raises(ModelError, match=r'a is damaged: .* write it again'):
        check_files(tmp_path, {'a': right}, 'write it again')


def test_a_bit_that_rots_is_found_where_all_is_read(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashing, '_marks', lambda files: 'as it was')
    a = file_with(tmp_path / 'a', b'aa')
    files = {'a': sha256(b'aa').hexdigest()}
    check_files(tmp_path, files, 'write it again')
    a.write_bytes(b'ab')
    check_files(tmp_path, files, 'write it again')
    with pytest.raises(ModelError, match='a is damaged'):
        check_files(tmp_path, files, 'write it again', read_all=True)


def test_what_was_read_on_demand_is_not_read_again(
    tmp_path: Path, cache: Path, read: list[str]
) -> None:
    path = file_with(tmp_path / 'a', b'aa')
    (right,) = remembered_hashes([[path]], read_all=True)
    assert remembered_hashes([[path]]) == [right]
    assert read == ['a']
    assert remembered_hashes([[path]], read_all=True) == [right]
    assert read == ['a', 'a']


def test_inspect_reads_all_when_asked_to(
    tmp_path: Path,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / 'export'
    shutil.copytree(find_model('llava-phi-tiny') / EXPORT_FOLDER, folder)
    monkeypatch.setattr(hashing, '_marks', lambda files: ' '.join(path.name for path in files))

    def inspect(*options: str) -> tuple[int, str]:
        monkeypatch.setattr('sys.argv', ['llava-phi', 'inspect', str(folder), *options])
        with pytest.raises(SystemExit) as left:
            main()
        out, err = capsys.readouterr()
        return int(left.value.code or 0), ' '.join((out + err).split())

    code, said = inspect()
    assert (code, 'whole: those read before are not read again' in said) == (0, True), said
    code, said = inspect('--verify')
    assert (code, 'whole: all were read' in said) == (0, True), said
    content = bytearray((folder / EMBEDDINGS).read_bytes())
    content[-1] ^= 1
    (folder / EMBEDDINGS).write_bytes(content)
    assert inspect()[0] == 0
    code, said = inspect('--verify')
    assert code == 2
    assert f'{EMBEDDINGS} is damaged: it is not what was written; export again' in said
