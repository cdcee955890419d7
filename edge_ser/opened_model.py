"""A bundle and what runs it, in whichever process asks for them: one that opened them, or another.

A session lives in one process. Sent to another, or found there after a fork, the model is opened
again from where it lies, once, when it is first needed.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, Protocol

from edge_ser.errors import BundleError, UsageError
from edge_ser.session import Session

if TYPE_CHECKING:
    from edge_ser.bundle.bundle import Bundle


class Reopened(Protocol):
    """What opening a model again gives."""

    @property
    def bundle(self) -> Bundle:
        """Verified model."""

    @property
    def session(self) -> Session:
        """That runs it."""


Reopen = Callable[[], Reopened]


class _Opened(NamedTuple):
    """A model in the process that opened it.

    Attributes:
        bundle: verified model.
        session: that runs it.
        pid: of the process.
        is_lent: whether others of the process use the same, so that none may end it.
    """

    bundle: Bundle
    session: Session
    pid: int
    is_lent: bool = False


# What a fork brought along: to end it would wait for threads that were not copied.
_inherited: list[_Opened] = []


class OpenedModel:
    """A model, which every process opens for itself.

    Args:
        bundle: verified model.
        session: that runs it.
        reopen: opens the same, in whichever process it is called; pickles. None: the model stays in
            its process.
    """

    def __init__(self, bundle: Bundle, session: Session, reopen: Reopen | None) -> None:
        self._opened: _Opened | None = _Opened(bundle, session, os.getpid())
        self._reopen = reopen
        self._fingerprint: str | None = None
        self.closed = False

    @classmethod
    def unopened(cls, reopen: Reopen, fingerprint: str) -> OpenedModel:
        """What was sent to another process: opened at the first use.

        Args:
            reopen: see the class.
            fingerprint: that its bundle must have.
        """
        model = cls.__new__(cls)
        model._opened, model._reopen, model.closed = None, reopen, False
        model._fingerprint = fingerprint
        return model

    def lent(self) -> OpenedModel:
        """The same for another recogniser of this process, whose end does not end it.

        Raises:
            UsageError, BundleError: see `here`.
        """
        opened = self.here()
        model = OpenedModel(opened.bundle, opened.session, self._reopen)
        model._opened = opened._replace(is_lent=True)
        return model

    def sendable(self) -> tuple[Reopen, str]:
        """Arguments of `unopened`, for another process.

        Raises:
            UsageError: the model stays in its process.
        """
        if self._reopen is None:
            raise UsageError(
                "recogniser",
                expected="one made by edge_ser.load, to be sent to another process",
                found="one made of a session, which lives in this process",
                advice="load it there",
            )
        return self._reopen, self._fingerprint or self.here().bundle.fingerprint

    def here(self) -> _Opened:
        """The model in this process.

        Raises:
            UsageError: it was closed, or lives in another process and stays there.
            BundleError: another bundle lies there now.
        """
        if self.closed:
            raise UsageError(
                "recogniser", expected="an open one", found="a closed one", advice="load it again"
            )
        opened = self._opened
        return opened if opened and opened.pid == os.getpid() else self._open_again()

    def _open_again(self) -> _Opened:
        if self._reopen is None:
            raise UsageError(
                "recogniser",
                expected="one made by edge_ser.load, to be used after a fork",
                found="one made of a session, which lives in another process",
                advice="load it in this process",
            )
        if self._opened is not None:
            self._fingerprint = self._opened.bundle.fingerprint
            _inherited.append(self._opened)
        again = self._reopen()
        if again.bundle.fingerprint != self._fingerprint:
            raise BundleError(
                again.bundle.root,
                expected="the bundle that the recogniser was loaded from",
                found="another one in its place",
                advice="load it again",
            )
        self._opened = _Opened(again.bundle, again.session, os.getpid(), is_lent=True)
        return self._opened

    def close(self) -> None:
        """Let go of the model, unless others of this process use the same; again: nothing."""
        opened, self._opened, self.closed = self._opened, None, True
        if opened is None or opened.is_lent:
            return
        if opened.pid != os.getpid():
            _inherited.append(opened)
            return
        opened.session.close()
        opened.bundle.close()
