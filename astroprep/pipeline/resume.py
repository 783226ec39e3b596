"""The folder of a run: what is done, with what it was done, and how to go on."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import shutil
import time as clock
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, Any, Self

import astroprep
from astroprep.errors import AstroprepError, ConfigError, DataError
from astroprep.io import replaced, source_sha256

__all__ = ["PARTITIONS", "RESULTS", "RunFolder", "code_sha256", "fingerprint_of"]

RESULTS = (
    "bundle.apz",
    "predictions.parquet",
    "features.parquet",
    "metrics.json",
    "report.html",
)
PARTITIONS = "prepared.hats"  # in the working folder, what a cluster prepared so far
FINAL_STAGES = ("deploy", "evaluate", "report")
PACKAGES = (
    "numpy", "scipy", "numba", "pandas", "pyarrow", "scikit-learn", "onnxruntime", "onnx", "torch",
)  # fmt: skip


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def code_sha256() -> str:
    """Checksum of this package's code and of the library versions that results depend on."""
    root = Path(astroprep.__file__).parent
    code = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        code.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes())
    for name in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            code.update(f"{name} {version(name)}\n".encode())
    return code.hexdigest()


def fingerprint_of(settings: Mapping[str, Any], source: Path) -> dict[str, str]:
    """What a result depends on: code, library versions, settings and the input's bytes.

    Parameters
    ----------
    settings : mapping
        Resolved settings, plain enough for JSON.
    source : Path
        The input, a file or a folder of them; all of it is read.

    Returns
    -------
    dict of str
        ``code``, ``settings`` and ``input``: what a message can name when one differs.
    """
    text = json.dumps(settings, sort_keys=True)
    return {
        "code": code_sha256(),
        "settings": hashlib.sha256(text.encode()).hexdigest(),
        "input": source_sha256(source),
    }


def _sha256_or_none(path: Path) -> str | None:
    return _sha256(path) if path.is_file() else None


class RunFolder:
    """Output folder with a ledger of finished stages.

    Parameters
    ----------
    out : Path
        Created if it is not there. Working files live in ``out/.work``.
    fingerprint : mapping
        See `fingerprint_of`.
    restart : bool
        Forget a run that is there.

    Raises
    ------
    ConfigError
        If the folder holds a run with another fingerprint, a second process works in it, or it
        cannot be written.
    """

    def __init__(self, out: Path, fingerprint: Mapping[str, str], *, restart: bool = False) -> None:
        self.out = out
        self.work = out / ".work"
        self._ledger_path = self.work / "ledger.json"
        self._lock: IO[str] | None = None
        try:
            self.work.mkdir(parents=True, exist_ok=True)
            self._lock = (self.work / "lock").open("w")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.close()
            raise ConfigError(
                f"{out}: another run works in this folder; wait or use another"
            ) from None
        except OSError as error:
            raise ConfigError(
                f"{out}: cannot write there ({error.strerror}); choose another --out"
            ) from error
        self._ledger: dict[str, Any] = {"fingerprint": dict(fingerprint), "seconds": {}, "done": []}
        try:
            self._sweep()
            if restart:
                self._clear()
            if self._ledger_path.exists():
                self._take_up(fingerprint)
            else:
                self._write()
        except BaseException:
            self.close()
            raise

    def _sweep(self) -> None:
        """Remove what a process that was killed while writing left behind."""
        mine = [left for name in RESULTS for left in self.out.glob(f".{name}.*.tmp")]
        for left in (*mine, *self.work.glob(".*.tmp")):
            left.unlink()

    def _clear(self) -> None:
        for name in RESULTS:
            (self.out / name).unlink(missing_ok=True)
        for path in self.work.iterdir():
            if path.name != "lock":
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def _take_up(self, fingerprint: Mapping[str, str]) -> None:
        try:
            ledger = json.loads(self._ledger_path.read_text())
            before = ledger["fingerprint"]
        except (ValueError, KeyError, TypeError):
            raise ConfigError(
                f"{self._ledger_path} is damaged; pass --restart to begin anew"
            ) from None
        other = [name for name, value in fingerprint.items() if before.get(name) != value]
        if other:
            raise ConfigError(
                f"{self.out} holds a run with other {' and '.join(other)}; results are not mixed: "
                "choose another --out, or pass --restart to begin anew"
            )
        self._ledger = ledger
        results = ledger.get("results", {})
        if any(_sha256_or_none(self.out / name) != sha for name, sha in results.items()):
            # something was deleted or damaged since: make the results again
            self._ledger["done"] = [s for s in ledger["done"] if s not in FINAL_STAGES]
            self._ledger["results"] = {}
        for stage in self._ledger["done"]:  # the process may have been killed before it did so
            shutil.rmtree(self.trainings(stage), ignore_errors=True)

    def trainings(self, stage: str) -> Path:
        """Folder of the finished trainings of a stage of several, which ends with the stage."""
        return self.work / f"{stage}-trainings"

    def _write(self) -> None:
        with replaced(self._ledger_path) as path:
            path.write_text(json.dumps(self._ledger, indent=1))

    def is_done(self, stage: str) -> bool:
        """Whether a stage ended, in this process or an earlier one."""
        return stage in self._ledger["done"]

    @property
    def begun(self) -> bool:
        """Whether an earlier process left finished work here."""
        return bool(self._ledger["done"])

    @property
    def seconds(self) -> dict[str, float]:
        """Time spent on each stage, over all processes."""
        return dict(self._ledger["seconds"])

    @contextlib.contextmanager
    def stage(self, name: str, *, part_of: str = "") -> Iterator[None]:
        """Time a block and enter it in the ledger when it ends well.

        Parameters
        ----------
        name : str
            Of the stage, or of a part of one.
        part_of : str
            The stage whose time this counts to.
        """
        begin = clock.perf_counter()
        yield
        seconds = self._ledger["seconds"]
        whole = part_of or name
        seconds[whole] = round(seconds.get(whole, 0.0) + clock.perf_counter() - begin, 3)
        if not self.is_done(name):
            self._ledger["done"].append(name)
        self._write()

    def seal(self) -> None:
        """Remember what the finished results look like, so that damage is noticed."""
        self._ledger["results"] = {
            name: _sha256(self.out / name) for name in RESULTS if (self.out / name).exists()
        }
        self._write()

    def put_json(self, name: str, content: Any) -> None:
        """Store a small result of a stage in the working folder."""
        with replaced(self.work / name) as path:
            path.write_text(json.dumps(content))

    def get_json(self, name: str) -> Any:
        """Small result that `put_json` stored.

        Raises
        ------
        DataError
            If it is gone or damaged.
        """
        try:
            return json.loads((self.work / name).read_text())
        except (OSError, ValueError) as error:
            raise DataError(
                f"{self.work / name} is missing or damaged; pass --restart to begin anew"
            ) from error

    def get_bytes(self, name: str) -> bytes:
        """Content of a working file.

        Raises
        ------
        DataError
            If it is gone.
        """
        try:
            return (self.work / name).read_bytes()
        except OSError as error:
            raise DataError(
                f"{self.work / name} is missing; pass --restart to begin anew"
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        prepared = (self.work / PARTITIONS / "dataset").is_dir() or any(
            name.startswith("part-") for name in self._ledger["done"]
        )
        if kind is not None and issubclass(kind, AstroprepError) and not prepared:
            shutil.rmtree(self.work)  # a mistake found early: the corrected command starts anew
            with contextlib.suppress(OSError):
                self.out.rmdir()
        self.close()

    def close(self) -> None:
        """Let other processes work here."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None
