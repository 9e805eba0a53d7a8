"""Socket files: what `os.stat`, `os.unlink` and their like answer for the path of a virtual UNIX socket.

Owns the replacements of the functions of module os that take a path, and finds for the kernel where a path lies in the
real directories. Does not own the socket files (kernel/network/unix.py). The rule that keeps it simple: a function asks
whether the path is a socket file of this world; for any other path it calls the real function.

Directories list their real files and the socket files of this world: a program that looks for sockets finds them, and
`shutil.rmtree` leaves nothing behind. Hard links to a socket file and mounts over one are not simulated.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ...kernel import Kernel
from ...kernel.descriptors.file import File, os_error
from ...kernel.network.unix import Node, Paths, Where
from ..worlds import World

MAX_LINKS = 40  # as many as Linux follows
BLOCK = 4096  # bytes; st_blksize

# The real functions, whatever replaces them in module os later
_stat, _access = os.stat, os.access
_readlink: Callable[..., bytes] = os.readlink
_AS_EFFECTIVE = {"effective_ids": True} if os.access in os.supports_effective_ids else {}


class _RealDirectories:
    """What the name space asks the real system (`Real` in kernel/network/unix.py)."""

    def locate(self, path: bytes, follow: bool, dir_fd: int | None = None) -> Where:
        """Where a path lies; OSErrors as those of the system's own path look-up."""
        try:
            for _ in range(MAX_LINKS):
                directory, name = os.path.split(path)
                there = _stat(directory or b".", dir_fd=dir_fd)
                if not stat.S_ISDIR(there.st_mode):
                    raise os_error(errno.ENOTDIR)
                spot = there.st_dev, there.st_ino, name
                try:
                    found = _stat(path, dir_fd=dir_fd, follow_symlinks=False)
                except FileNotFoundError:
                    return Where(spot, False)
                if not (follow and stat.S_ISLNK(found.st_mode)):
                    return Where(spot, True)
                path = os.path.join(directory, _readlink(path, dir_fd=dir_fd))
        except OSError as error:  # without the name of the file, as in the errors of sockets
            raise os_error(error.errno or errno.EIO) from None
        raise os_error(errno.ELOOP)

    def may_create(self, path: bytes) -> None:
        """EACCES where this process may not write into the directory."""
        if not _access(os.path.dirname(path) or b".", os.W_OK | os.X_OK, **_AS_EFFECTIVE):
            raise os_error(errno.EACCES)

    def may_write(self, node: Node) -> bool:
        """Whether this process may connect there."""
        return _allowed(node, os.W_OK)

    def umask(self) -> int:
        """The bits that a new file's permissions lack."""
        mask = os.umask(0o077)  # it can only be read by setting it
        os.umask(mask)
        return mask

    def user(self) -> tuple[int, int]:
        """The effective ids of user and group."""
        return os.geteuid(), os.getegid()

    def now(self) -> int:
        """The wall clock in ns, as the program sees it."""
        return time.time_ns()


REAL = _RealDirectories()


def name_space(kernel: Kernel) -> Paths:
    """The kernel's UNIX addresses, able to find paths in the real directories."""
    kernel.paths.real = REAL
    return kernel.paths


def _allowed(node: Node, wanted: int) -> bool:
    user = os.geteuid()
    if user == 0:
        return not wanted & os.X_OK or bool(node.mode & 0o111)
    bits = node.mode >> 6 if node.owner == user else (
        node.mode >> 3 if node.group in (os.getegid(), *os.getgroups()) else node.mode)
    return not wanted & ~bits & 7


def _where(kernel: Kernel, path: Any, dir_fd: int | None, follow: bool) -> Where | None:
    """Where a socket file of this world lies; None for a path that the real function has to answer for."""
    try:
        where = REAL.locate(os.fsencode(path), follow, dir_fd)
    except FileNotFoundError:
        directory = os.path.dirname(os.fsencode(path))
        if directory and _where(kernel, directory, dir_fd, True) is not None:
            raise _refusal(errno.ENOTDIR, path) from None
        return None
    except (OSError, ValueError, TypeError):
        return None  # the real function raises its own error
    return None if kernel.paths.node(where) is None else where


def _node(kernel: Kernel, where: Where) -> Node:
    node = kernel.paths.node(where)
    assert node is not None
    return node


def _refusal(code: int, *paths: Any) -> OSError:
    first, *second = paths
    return OSError(code, os.strerror(code), first, *((None, *second) if second else ()))


def _check_directory(path: Any, dir_fd: int | None) -> None:
    # Whoever may write into a directory may remove a name from it, or add one.
    if not _access(os.path.dirname(os.fsencode(path)) or b".", os.W_OK | os.X_OK, dir_fd=dir_fd, **_AS_EFFECTIVE):
        raise _refusal(errno.EACCES, path)


def _check_owner(node: Node, path: Any) -> None:
    if os.geteuid() not in (0, node.owner):
        raise _refusal(errno.EPERM, path)


def stat_result(mode: int, number: int, *, device: int = 0, owner: int | None = None, group: int | None = None,
                times: tuple[int, int, int] = (0, 0, 0)) -> os.stat_result:
    """What stat(2) reports of a file that is on no disk; `times` (read, written, changed) are ns since the epoch."""
    seconds = [moment / 1e9 for moment in times]
    more = {
        "st_atime": seconds[0], "st_mtime": seconds[1], "st_ctime": seconds[2],
        "st_atime_ns": times[0], "st_mtime_ns": times[1], "st_ctime_ns": times[2],
        "st_blksize": BLOCK, "st_blocks": 0, "st_rdev": 0,
    }
    owner, group = os.geteuid() if owner is None else owner, os.getegid() if group is None else group
    whole = [moment // 10**9 for moment in times]
    return os.stat_result((mode, number, device, 1, owner, group, 0, *whole), more)


def descriptor_facts(file: File) -> os.stat_result:
    """What fstat(2) reports of an open virtual file."""
    return stat_result(file.mode, file.number)


def _facts(where: Where, node: Node) -> os.stat_result:
    return stat_result(node.mode, node.number, device=where.spot[0], owner=node.owner, group=node.group,
                       times=(node.read_at, node.written_at, node.changed_at))


# -- replacements in module os: (world, the real function, the arguments)

Real = Callable[..., Any]


def _answer_stat(world: World, real: Real, path: Any, *, dir_fd: int | None = None,
                 follow_symlinks: bool = True) -> os.stat_result:
    if isinstance(path, int) and path in world.kernel.files:
        return descriptor_facts(world.kernel.files[path])
    where = _where(world.kernel, path, dir_fd, follow_symlinks)
    if where is None:
        found: os.stat_result = real(path, dir_fd=dir_fd, follow_symlinks=follow_symlinks)
        return found
    return _facts(where, _node(world.kernel, where))


def _answer_lstat(world: World, real: Real, path: Any, *, dir_fd: int | None = None) -> os.stat_result:
    where = _where(world.kernel, path, dir_fd, False)
    if where is None:
        found: os.stat_result = real(path, dir_fd=dir_fd)
        return found
    return _facts(where, _node(world.kernel, where))


def _answer_access(world: World, real: Real, path: Any, mode: int, *, dir_fd: int | None = None,
                   effective_ids: bool = False, follow_symlinks: bool = True) -> bool:
    where = _where(world.kernel, path, dir_fd, follow_symlinks)
    if where is None:
        return bool(real(path, mode, dir_fd=dir_fd, effective_ids=effective_ids, follow_symlinks=follow_symlinks))
    return _allowed(_node(world.kernel, where), mode)


def _answer_unlink(world: World, real: Real, path: Any, *, dir_fd: int | None = None) -> None:
    where = _where(world.kernel, path, dir_fd, False)
    if where is None:
        real(path, dir_fd=dir_fd)
        return
    _check_directory(path, dir_fd)
    world.kernel.paths.unlink(where)


def _answer_chmod(world: World, real: Real, path: Any, mode: int, *, dir_fd: int | None = None,
                  follow_symlinks: bool = True) -> None:
    where = _where(world.kernel, path, dir_fd, follow_symlinks)
    if where is None:
        real(path, mode, dir_fd=dir_fd, follow_symlinks=follow_symlinks)
        return
    node = _node(world.kernel, where)
    _check_owner(node, path)
    node.mode = stat.S_IFSOCK | mode & 0o7777
    node.changed_at = REAL.now()


def _answer_chown(world: World, real: Real, path: Any, uid: int, gid: int, *, dir_fd: int | None = None,
                  follow_symlinks: bool = True) -> None:
    where = _where(world.kernel, path, dir_fd, follow_symlinks)
    if where is None:
        real(path, uid, gid, dir_fd=dir_fd, follow_symlinks=follow_symlinks)
        return
    node = _node(world.kernel, where)
    _check_owner(node, path)
    if os.geteuid() != 0 and (uid not in (-1, node.owner) or gid not in (-1, os.getegid(), *os.getgroups())):
        raise _refusal(errno.EPERM, path)
    node.owner = node.owner if uid == -1 else uid
    node.group = node.group if gid == -1 else gid
    node.changed_at = REAL.now()


def _answer_lchown(world: World, real: Real, path: Any, uid: int, gid: int) -> None:
    if _where(world.kernel, path, None, False) is None:
        real(path, uid, gid)
    else:
        _answer_chown(world, real, path, uid, gid, follow_symlinks=False)


def _answer_rename(world: World, real: Real, src: Any, dst: Any, *, src_dir_fd: int | None = None,
                   dst_dir_fd: int | None = None) -> None:
    source, target = _where(world.kernel, src, src_dir_fd, False), _where(world.kernel, dst, dst_dir_fd, False)
    if source is None:
        real(src, dst, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)
        if target is not None:
            world.kernel.paths.unlink(target)  # a real file has its name now
        return
    _check_directory(src, src_dir_fd)
    try:
        target = REAL.locate(os.fsencode(dst), False, dst_dir_fd)
    except OSError as error:
        raise _refusal(error.errno or errno.EIO, src, dst) from None
    _check_directory(dst, dst_dir_fd)
    if target == source:
        return
    if target.exists:
        try:
            os.unlink(dst, dir_fd=dst_dir_fd)
        except OSError as error:
            raise _refusal(error.errno or errno.EIO, src, dst) from None
    world.kernel.paths.rename(source, target, REAL.now())


def _answer_utime(world: World, real: Real, path: Any, times: Any = None, *, dir_fd: int | None = None,
                  follow_symlinks: bool = True, **ns: Any) -> None:
    where = _where(world.kernel, path, dir_fd, follow_symlinks)
    if where is None:
        real(path, times, dir_fd=dir_fd, follow_symlinks=follow_symlinks, **ns)
        return
    node = _node(world.kernel, where)
    _check_owner(node, path)
    now = REAL.now()
    read, written = ns["ns"] if "ns" in ns else (now, now) if times is None else [round(at * 1e9) for at in times]
    node.read_at, node.written_at, node.changed_at = read, written, now


def _answer_rmdir(world: World, real: Real, path: Any, *, dir_fd: int | None = None) -> None:
    if _where(world.kernel, path, dir_fd, False) is not None:
        raise _refusal(errno.ENOTDIR, path)
    if any(True for _ in _sockets_in(world.kernel, path, dir_fd)):
        raise _refusal(errno.ENOTEMPTY, path)
    real(path, dir_fd=dir_fd)


def _answer_open(world: World, real: Real, path: Any, flags: int, *args: Any, dir_fd: int | None = None,
                 **kwargs: Any) -> int:
    if _where(world.kernel, path, dir_fd, True) is not None:
        created = flags & os.O_CREAT and flags & os.O_EXCL
        raise _refusal(errno.EEXIST if created else errno.ENXIO, path)
    return int(real(path, flags, *args, dir_fd=dir_fd, **kwargs))


def check_not_a_socket(world: World, path: Any) -> None:
    """Raise ENXIO for a socket file, as open(2) does."""
    if _where(world.kernel, path, None, True) is not None:
        raise _refusal(errno.ENXIO, path)


def _answer_mkdir(world: World, real: Real, path: Any, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
    if _where(world.kernel, path, dir_fd, False) is not None:
        raise _refusal(errno.EEXIST, path)
    real(path, mode, dir_fd=dir_fd)


# -- directories


def _sockets_in(kernel: Kernel, path: Any, dir_fd: int | None = None) -> Iterator[tuple[bytes, Node]]:
    try:
        there = _stat("." if path is None else path, dir_fd=dir_fd)
    except (OSError, ValueError, TypeError):
        return iter(())
    return kernel.paths.names(there.st_dev, there.st_ino)


def _answer_listdir(world: World, real: Real, path: Any = None) -> list[Any]:
    names: list[Any] = real(path)
    show = bytes if isinstance(path, bytes) else os.fsdecode
    return names + [show(name) for name, _ in _sockets_in(world.kernel, path)]


def _answer_scandir(world: World, real: Real, path: Any = None) -> Any:
    entries = real(path)
    sockets = list(_sockets_in(world.kernel, path))
    if not sockets:
        return entries
    device = _stat("." if path is None else path).st_dev
    return _Entries(entries, [SocketEntry(path, device, *socket) for socket in sockets])


class SocketEntry:
    """A socket file as an entry of `os.scandir` (a program cannot make an os.DirEntry)."""

    def __init__(self, directory: Any, device: int, name: bytes, node: Node) -> None:
        self.name: Any = name if isinstance(directory, bytes) else os.fsdecode(name)
        within: Any = "." if directory is None else "" if isinstance(directory, int) else directory
        self.path: Any = os.path.join(within, self.name)
        self._node = node
        self._where = Where((device, 0, name), False)

    def inode(self) -> int:
        """The file's number."""
        return self._node.number

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        """Return False: it is a socket."""
        return False

    is_file = is_dir

    def is_symlink(self) -> bool:
        """Return False: it is a socket."""
        return False

    is_junction = is_symlink

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        """As `os.stat`."""
        return _facts(self._where, self._node)

    def __fspath__(self) -> Any:
        return self.path

    def __repr__(self) -> str:
        return f"<SocketEntry {self.name!r}>"


class _Entries:
    """The real entries of a directory, and its socket files after them."""

    def __init__(self, real: Any, sockets: Iterable[SocketEntry]) -> None:
        self._real = real
        self._sockets = iter(sockets)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        for entry in self._real:
            return entry
        return next(self._sockets)

    def __enter__(self) -> _Entries:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """As that of `os.scandir`."""
        self._real.close()
        self._sockets = iter(())


# The replacements in module os, by name
PATH_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "stat": _answer_stat, "lstat": _answer_lstat, "access": _answer_access, "unlink": _answer_unlink,
    "remove": _answer_unlink, "chmod": _answer_chmod, "chown": _answer_chown, "lchown": _answer_lchown,
    "rename": _answer_rename, "replace": _answer_rename, "utime": _answer_utime, "rmdir": _answer_rmdir,
    "open": _answer_open, "mkdir": _answer_mkdir, "listdir": _answer_listdir, "scandir": _answer_scandir,
}
