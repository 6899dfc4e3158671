"""What an extension cannot have is refused before anything is served, in a sentence that says whose it is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import holdfast
from holdfast.cli.extensions import commands_of
from holdfast.edge.app import Edge
from holdfast.edge.config import load as load_settings
from holdfast.edge.extensions.claims import overlap
from holdfast.edge.extensions.extension_set import ExtensionSet
from holdfast.edge.extensions.loader import load
from holdfast.edge.extensions.port import Extension, ExtensionSettings
from holdfast.edge.extensions.route import ExtensionRoute, RouteCall
from holdfast.edge.extensions.static_pages import ExtensionPages
from holdfast.engines.address import engine_for
from holdfast.errors import HoldfastError
from holdfast.hub.hub import Hub
from holdfast.session.policy import DefaultPolicy
from tests.extensions.conftest import SETTINGS
from tests.extensions.quiet_hours.extension import QuietHours, QuietSettings

pytestmark = pytest.mark.anyio

QUIET = "tests.extensions.quiet_hours.extension:QuietHours"
HERE = f"{__name__}:"
PAGES = Path(__file__).parent / "quiet_hours" / "pages"


async def answer(call: RouteCall) -> dict[str, Any]:
    return {}


def extension(extension_name: str, **parts: Any) -> Extension:
    """An extension that has these parts."""
    members = {"name": extension_name} | {name: (lambda *_, part=part: part) for name, part in parts.items()}
    return type("Made", (Extension,), members)(ExtensionSettings(), SETTINGS)  # type: ignore[no-any-return]


async def refusal(*extensions: Extension, pages: bool = True) -> str:
    """What a server with these extensions is refused with; nothing when it is not."""
    plugged = ExtensionSet(extensions)
    hub = Hub(engine_for("memory:"), policy=plugged.policy)
    await hub.open()
    try:
        Edge(hub, SETTINGS, pages=pages, extensions=plugged)
    except HoldfastError as error:
        assert error.code == "config.invalid"
        return error.detail
    finally:
        await hub.close(0)
    return ""


def route(path: str, method: str = "GET", **more: Any) -> ExtensionRoute:
    return ExtensionRoute(method, path, "does it", answer, **more)


# --- routes and pages
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("/v1/x/bills/{session}", "/v1/x/bills/{name}"),
        ("/v1/x/bills/{session}", "/v1/x/bills/new"),
        ("/v1/x/{rest:path}", "/v1/x/bills/new"),
    ],
)
async def test_two_extensions_with_one_path(one: str, other: str) -> None:
    said = await refusal(extension("a", routes=[route(one)]), extension("b", routes=[route(other)]))
    assert "extension 'a'" in said and "extension 'b'" in said and one in said and other in said
    assert not await refusal(extension("a", routes=[route(one)]), extension("b", routes=[route(other, "POST")]))


@pytest.mark.parametrize("path", ["/metrics", "/console/x", "/assets/app.js", "/{anything}", "/openapi.json"])
async def test_a_path_of_the_server_itself(path: str) -> None:
    said = await refusal(extension("a", routes=[route(path)]))
    assert "the server itself" in said and "extension 'a'" in said


@pytest.mark.parametrize(
    "wrong",
    [
        route("/v1/sessions2"),
        route("/v1"),
        route("x"),
        route("/"),
        route("/x", "TRACE"),
        route("/x", body=bytes),
        route("/x", verb="fly"),
        route("/x", "POST", body=bytes, body_bytes=1 << 40),
    ],
    ids=lambda r: f"{r.method} {r.path} {r.verb} {r.body_bytes}",
)
async def test_a_route_that_cannot_be_served_as_it_is_said(wrong: ExtensionRoute) -> None:
    assert "extension 'a' has the route" in await refusal(extension("a", routes=[wrong]))


async def test_two_extensions_with_one_prefix_of_pages() -> None:
    one = [ExtensionPages("/quiet", PAGES)]
    said = await refusal(extension("a", pages=one), extension("b", pages=one))
    assert "extension 'a'" in said and "extension 'b'" in said and "/quiet" in said
    assert "the server itself" in await refusal(extension("a", pages=[ExtensionPages("/console", PAGES)]))
    assert "/quiet" in await refusal(extension("a", pages=one), extension("b", routes=[route("/quiet/report")]))


@pytest.mark.parametrize(
    ("path", "folder", "sources"),
    [
        ("/", PAGES, {}),
        ("/v1/x/a", PAGES, {}),
        ("/a", PAGES.parent, {}),
        ("/a", PAGES, {"script-src": ("https://cdn.example",)}),
        ("/a", PAGES, {"frame-ancestors": ("*",)}),
        ("/a", PAGES, {"img-src": ("'self'; script-src *",)}),
        ("/a", PAGES, {"worker-src": ("blob:",)}),
    ],
)
async def test_pages_that_would_loosen_what_holds_for_all(
    path: str, folder: Path, sources: Mapping[str, tuple[str, ...]]
) -> None:
    assert "extension 'a' has pages" in await refusal(extension("a", pages=[ExtensionPages(path, folder, sources)]))


def test_paths_overlap_where_one_request_could_mean_both() -> None:
    assert overlap("/a/{x}", "/a/b") and overlap("/a/{x:path}", "/a/b/c") and overlap("/a", "/a")
    assert not overlap("/a/b", "/a") and not overlap("/a/b", "/a/c") and not overlap("/a/{rest:path}", "/a")


# --- names and policies
async def test_a_name_twice_and_a_name_that_is_none() -> None:
    with pytest.raises(HoldfastError, match="named twice"):
        ExtensionSet([extension("a"), extension("a")])
    for name in ("A", "a-b", "", "../a"):
        with pytest.raises(HoldfastError, match="no name"):
            ExtensionSet([extension(name)])


async def test_a_policy_that_the_hub_would_not_ask() -> None:
    plugged = ExtensionSet([extension("a", policy=DefaultPolicy())])
    with pytest.raises(HoldfastError, match="without the policy"):
        Edge(Hub(engine_for("memory:")), SETTINGS, extensions=plugged)


async def test_one_that_the_settings_name_and_nobody_loaded() -> None:
    settings = SETTINGS.model_copy(update={"extensions": ("quiet_hours",)})
    with pytest.raises(HoldfastError, match="'quiet_hours' is named in the settings and was not loaded"):
        Edge(Hub(engine_for("memory:")), settings)


async def test_a_route_that_an_embedded_hub_does_not_have() -> None:
    with pytest.raises(HoldfastError, match="only what is under /v1/"):
        holdfast.EmbeddedHub("memory:", extensions=[extension("a", routes=[route("/a/x")])]).router  # noqa: B018
    with pytest.raises(HoldfastError, match="'a' serves /a"):
        holdfast.EmbeddedHub("memory:", extensions=[extension("a", pages=[ExtensionPages("/a", PAGES)])]).edge  # noqa: B018
    hub = holdfast.EmbeddedHub("memory:", extensions=[extension("a", routes=[route("/v1/x/a")])])
    assert "/v1/x/a" in [one.path for one in hub.router.routes]


# --- commands
def test_two_extensions_with_one_command() -> None:
    class Other(QuietHours):
        name = "other"

    with pytest.raises(HoldfastError) as refused:
        commands_of([QuietHours, Other], ())
    assert "'quiet_hours'" in refused.value.detail and "'other'" in refused.value.detail
    with pytest.raises(HoldfastError, match="holdfast itself and extension 'quiet_hours'"):
        commands_of([QuietHours], ("quiet-words",))


# --- settings
class Quiet(Extension):
    """Its setting ``hours_words`` is called as ``words`` of ``quiet_hours``."""

    name = "quiet"

    class _Settings(ExtensionSettings):
        hours_words: int = 1

    settings_type = _Settings


class Log(Extension):
    """Its setting ``level`` is called as one of the server."""

    name = "log"

    class _Settings(ExtensionSettings):
        level: str = ""

    settings_type = _Settings


SHIPPED = {"quiet_hours": QUIET, "quiet": f"{HERE}Quiet", "log": f"{HERE}Log"}


def loaded(names: str, **environ: str) -> ExtensionSet:
    every = {"HOLDFAST_EXTENSIONS": names, **{f"HOLDFAST_{name}": value for name, value in environ.items()}}
    return load(load_settings({}, every), every, shipped=SHIPPED)


def test_its_settings_come_from_the_environment() -> None:
    plugged = loaded("quiet_hours", QUIET_HOURS_CLOSED="yes", QUIET_HOURS_WORDS="launch, fire", LEASE_S="9")
    assert plugged.of("quiet_hours").settings == QuietSettings(closed=True, words=("launch", "fire"))
    assert loaded("").names == () == loaded("", QUIET_HOURS_CLOSED="yes").names


@pytest.mark.parametrize(
    ("names", "environ", "said"),
    [
        ("quiet_hours", {"QUIET_HOURS_CLOSD": "1"}, "extension 'quiet_hours' has no setting HOLDFAST_QUIET_HOURS_CLOSD"),
        ("quiet_hours", {"QUIET_HOURS_CLOSED": "perhaps"}, "setting HOLDFAST_QUIET_HOURS_CLOSED"),
        ("quiet_hours", {"QUIET_HOURS_LINKS": "1", "ALGORITHMS": "EdDSA"}, "signs no tokens"),
        ("quiet_hours,quiet", {}, "HOLDFAST_QUIET_HOURS_WORDS is a setting of extension 'quiet_hours' and of extension 'quiet'"),
        ("log", {}, "HOLDFAST_LOG_LEVEL is a setting of the server itself and of extension 'log'"),
        ("quiet_hours,quiet_hours", {}, "named twice"),
        ("nobody", {}, "there is no extension 'nobody'"),
        ("QUIET", {}, "no name"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_honoured(names: str, environ: dict[str, str], said: str) -> None:
    with pytest.raises(HoldfastError) as refused:
        loaded(names, **environ)
    assert refused.value.code == "config.invalid" and said in refused.value.detail


@pytest.mark.parametrize("value", ["no.such.module:X", f"{__name__}:answer", f"{__name__}:Log", f"{__name__}:nothing"])
def test_what_is_no_extension_of_this_name(value: str) -> None:
    with pytest.raises(HoldfastError) as refused:
        load(load_settings({}, {"HOLDFAST_EXTENSIONS": "quiet"}), {}, shipped={"quiet": value})
    assert refused.value.code == "config.invalid" and "extension 'quiet'" in refused.value.detail
