"""The pytest plugin: a real control plane for tests of operators and controllers.

``control_plane`` is one for the session, ``namespace`` a fresh one for each test. They work in synchronous and in
asynchronous tests. With pytest-xdist every worker has a control plane of its own. A test that fails shows the last
lines of the components' logs.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
import threading
from collections.abc import Callable, Coroutine, Generator, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

# This module is loaded by every pytest of the environment: what takes time is imported where it is needed.
from planebench.model import Manifest, PlanebenchError

if TYPE_CHECKING:
    from planebench.control_plane import ControlPlane

T = TypeVar("T")

_MARKER = "control_plane"
_PLANE = "--planebench-plane"
_NODES = "--planebench-nodes"
_VERSION = "--planebench-version"
_NAME_LENGTH = 50


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("planebench")
    group.addoption(
        _PLANE,
        default="core",
        help="The plane of the fixture `control_plane`: a name of `planebench plane list`, or a folder.",
    )
    group.addoption(_NODES, type=int, default=1, help="How many nodes it has at first.")
    group.addoption(
        _VERSION,
        action="append",
        default=[],
        metavar="PROJECT=VERSION",
        help="Components of this version, for instance kubernetes=1.35.4. Repeatable.",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", f"{_MARKER}(nodes=N): the test needs the control plane with at least N simulated nodes"
    )


class Loop:
    """An event loop in a thread of its own, so that the control plane serves tests of any kind.

    Linux ties a child's fate to the thread that started it: this one lives as long as the session.
    """

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="planebench", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class SessionControlPlane:
    """The session's control plane. Programs under test get :attr:`kubeconfig`; tests may use the methods."""

    def __init__(self, inner: ControlPlane, loop: Loop) -> None:
        self.inner = inner
        """The asynchronous one; :meth:`run` runs what its methods give."""
        self._loop = loop
        self._nodes = 0

    @property
    def kubeconfig(self) -> str:
        """The path of an administrator's kubeconfig."""
        return str(self.inner.kubeconfig)

    @property
    def url(self) -> str:
        return self.inner.url

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine of the control plane or its client to its end."""
        return self._loop.run(work)

    def create(self, manifest: Manifest) -> Manifest:
        """Create an object. Raises ApiError with the API server's words."""
        return self.run(self.inner.client.create(manifest))

    def get(self, path: str) -> Manifest:
        """An object by its API path. Raises ApiError."""
        return self.run(self.inner.client.get(path))

    def list(self, path: str, **query: str) -> Sequence[Manifest]:
        """The items of a collection by its API path. Raises ApiError."""
        return self.run(self.inner.client.list(path, **query))

    def delete(self, path: str) -> Manifest:
        """Delete an object by its API path. Raises ApiError."""
        return self.run(self.inner.client.delete(path))

    def wait(self, ask: Callable[[], T | None], what: str = "it", timeout_s: float = 60.0) -> T:
        """Ask until the answer is true, and return it. Raises ComponentError where it is not in time."""

        async def asked() -> T | None:
            return await asyncio.to_thread(ask)

        return self.run(self.inner.until(asked, what, timeout_s))

    def demand_nodes(self, count: int) -> None:
        """Have at least so many simulated nodes."""
        if count > self._nodes:
            self.run(self.inner.add_nodes(count - self._nodes, f"node-{self._nodes}"))
            self._nodes = count


_RUNNING = pytest.StashKey[SessionControlPlane | None]()


@pytest.fixture(scope="session")
def control_plane(pytestconfig: pytest.Config) -> Iterator[SessionControlPlane]:
    """A real control plane for all tests of the session."""
    from planebench.control_plane import ControlPlane

    loop = Loop()
    stack = contextlib.AsyncExitStack()
    try:
        versions = dict(text.partition("=")[::2] for text in pytestconfig.getoption(_VERSION))
        local = ControlPlane.local(plane=pytestconfig.getoption(_PLANE), versions=versions)
        inner = loop.run(stack.enter_async_context(local))
        plane = SessionControlPlane(inner, loop)
        plane.demand_nodes(pytestconfig.getoption(_NODES))
        pytestconfig.stash[_RUNNING] = plane
        yield plane
    except PlanebenchError as error:
        pytest.fail(f"planebench: {error}", pytrace=False)
    finally:
        pytestconfig.stash[_RUNNING] = None
        loop.run(stack.aclose())
        loop.close()


@pytest.fixture
def namespace(request: pytest.FixtureRequest, control_plane: SessionControlPlane) -> Iterator[str]:
    """A namespace of the test's own, ready for pods; deleted at the end, which is not waited for."""
    for marker in request.node.iter_markers(_MARKER):
        control_plane.demand_nodes(int(marker.kwargs.get("nodes", 0)))
    words = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")[:_NAME_LENGTH]
    name = control_plane.run(control_plane.inner.create_namespace(f"{words}-{secrets.token_hex(3)}".lstrip("-")))
    yield name
    control_plane.delete(f"/api/v1/namespaces/{name}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the components said last beside a test that failed."""
    report = yield
    plane = item.config.stash.get(_RUNNING, None)
    if report.failed and plane is not None and "control_plane" in getattr(item, "fixturenames", ()):
        for name, lines in plane.inner.logs().items():
            report.sections.append((f"log of {name}", "\n".join(lines)))
    return report
