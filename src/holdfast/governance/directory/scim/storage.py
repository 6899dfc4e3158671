"""The store behind the library: one tenant's resources, in the thread that answers a request."""

from __future__ import annotations

import datetime
import re
import secrets
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar, cast

from scim2_models import (
    ForbiddenException,
    InvalidValueException,
    Meta,
    NotFoundException,
    NotImplementedException,
    PayloadTooLargeException,
    PreconditionFailedException,
    Resource,
    ResourceType,
    ResponseParameters,
    ScimFilter,
    SearchRequest,
    TooManyException,
    UniquenessException,
)
from scim2_models.path import CompareOperator, Comparison, LogicalExpr, LogicalOperator, ValuePath
from scim2_server.service import ScimService
from scim2_server.storage import ScimStorage, SearchPage
from sqlalchemy import Connection

from holdfast.governance import limits
from holdfast.governance.directory import resources
from holdfast.governance.directory.model import name_key
from holdfast.governance.directory.resources import Narrowing, ResourceKind, StoredResource
from holdfast.governance.directory.scim.people import Unusable, group_of, person_of

T = TypeVar("T")
Work = Callable[[Connection], T]
_PLAIN: Final = re.compile(r"[A-Za-z0-9@._+-]{3,}")
_COLUMNS: Final[dict[tuple[str, str], str]] = {
    ("User", "username"): "name_key",
    ("Group", "displayname"): "name_key",
    ("User", "externalid"): "external_id",
    ("User", "id"): "id",
    ("Group", "id"): "id",
}
_BESIDE: Final = frozenset({"id", "meta", "password", "groups"})
"""What no stored document has: the store knows it itself, or nobody shall."""


class DirectoryStorage(ScimStorage):
    """See ``scim2_server.storage``.

    Args:
        service: the protocol.
        tenant: whose resources.
        read, write: do work on the store and wait for it.
        now_ms: the clock, Unix ms.
    """

    def __init__(
        self, service: ScimService, tenant: str, read: Callable[[Work[Any]], Any], write: Callable[[Work[Any]], Any],
        now_ms: Callable[[], int],
    ) -> None:  # fmt: skip
        self._service = service
        self._tenant = tenant
        self._read = read
        self._write = write
        self._now_ms = now_ms

    def get(
        self,
        resource_type: ResourceType,
        resource_id: str,
        *,
        response_parameters: ResponseParameters[Any] | None = None,
    ) -> Resource[Any]:
        """See ``ScimStorage``."""
        kind = _kind(resource_type)
        try:
            found = self._read(lambda connection: resources.get(connection, self._tenant, kind, resource_id))
        except resources.NotThere:
            raise NotFoundException from None
        return self._resource(resource_type, found)

    def search(
        self, resource_types: list[ResourceType], search_request: SearchRequest[Any], *, position: Any = None
    ) -> SearchPage:
        """See ``ScimStorage``."""
        if len(resource_types) != 1:
            raise NotImplementedException(detail="Search Users or Groups, one at a time")
        resource_type, kind = resource_types[0], _kind(resource_types[0])
        count = search_request.count
        limit = limits.DIRECTORY_PAGE_ROWS if count is None else min(count, limits.DIRECTORY_PAGE_ROWS)
        offset = search_request.start_index_0 or 0
        if search_request.filter is None:
            total, rows = self._read(
                lambda connection: resources.page(connection, self._tenant, kind, min(offset, 1 << 40), limit)
            )
            return SearchPage(total, [self._resource(resource_type, row) for row in _fitting(rows)])
        found = self._matching(resource_type, search_request.filter)
        shown = _fitting([row for row, _ in found[offset : offset + limit]])
        return SearchPage(len(found), [resource for _, resource in found[offset : offset + len(shown)]])

    def _matching(
        self, resource_type: ResourceType, wanted: ScimFilter[Any]
    ) -> list[tuple[StoredResource, Resource[Any]]]:
        kind = _kind(resource_type)
        narrowing = narrowed(kind, wanted.ast)
        rows = self._read(lambda connection: resources.candidates(connection, self._tenant, kind, narrowing))
        if len(rows) > limits.DIRECTORY_SCAN_ROWS:
            raise TooManyException(detail="Too many resources to look at: filter by userName, externalId or id")
        found = ((row, self._resource(resource_type, row)) for row in rows)
        return [(row, resource) for row, resource in found if wanted.match(resource)]

    def create(self, resource_type: ResourceType, resource: Resource[Any]) -> Resource[Any]:
        """See ``ScimStorage``."""
        now_ms = self._now_ms()
        return self._put(resource_type, resource, secrets.token_hex(16), now_ms, now_ms, None)

    def update(
        self, resource_type: ResourceType, resource: Resource[Any], *, expected_version: str | None = None
    ) -> Resource[Any]:
        """See ``ScimStorage``."""
        ident = resource.id or ""
        kind = _kind(resource_type)
        try:
            stored = self._read(lambda connection: resources.get(connection, self._tenant, kind, ident))
        except resources.NotThere:
            raise NotFoundException from None
        version = stored.change if expected_version is None else _number(expected_version)
        return self._put(resource_type, resource, ident, stored.created_ms, self._now_ms(), version)

    def _put(
        self, resource_type: ResourceType, resource: Resource[Any], ident: str, created_ms: int, at_ms: int,
        version: int | None,
    ) -> Resource[Any]:  # fmt: skip
        kind = _kind(resource_type)
        document = {name: value for name, value in resource.model_dump().items() if name not in _BESIDE}
        most = limits.DIRECTORY_USER_BYTES if kind == "User" else limits.DIRECTORY_GROUP_BYTES
        if len(resource.model_dump_json()) > most:
            raise PayloadTooLargeException(detail=f"A {kind} has at most {most:,} bytes")

        def work(connection: Connection) -> StoredResource:
            if kind == "User":
                person = person_of(document, ident, created_ms, at_ms)
                return resources.put_person(connection, self._tenant, person, document, version)
            group = group_of(document, ident)
            return resources.put_group(connection, self._tenant, group, document, at_ms, version)

        try:
            return self._resource(resource_type, self._write(work))
        except Unusable as error:
            raise InvalidValueException(detail=str(error)) from None
        except resources.NameTaken:
            raise UniquenessException(detail="userName is taken") from None
        except resources.NotThere:
            raise NotFoundException from None
        except resources.ChangedMeanwhile:
            raise PreconditionFailedException from None
        except resources.DirectoryFull:
            raise ForbiddenException(detail=f"A directory has at most {limits.DIRECTORY_PEOPLE:,} of them") from None

    def delete(self, resource_type: ResourceType, resource_id: str, *, expected_version: str | None = None) -> None:
        """See ``ScimStorage``."""
        version = None if expected_version is None else _number(expected_version)
        kind, at_ms = _kind(resource_type), self._now_ms()
        try:
            self._write(
                lambda connection: resources.delete_resource(
                    connection, self._tenant, kind, resource_id, at_ms, version
                )
            )
        except resources.NotThere:
            raise NotFoundException from None
        except resources.ChangedMeanwhile:
            raise PreconditionFailedException from None

    def _resource(self, resource_type: ResourceType, stored: StoredResource) -> Resource[Any]:
        model = self._service.get_model(resource_type)
        resource = model.model_validate(resources.document_of(stored))
        resource.id = stored.id
        resource.meta = Meta(
            resource_type=resource_type.name,
            created=_moment(stored.created_ms),
            last_modified=_moment(stored.changed_ms),
            version=f'W/"{stored.change}"',
        )
        return resource


def narrowed(kind: ResourceKind, node: Any, *, top: bool = True) -> list[Narrowing]:
    """What every resource has that a filter matches, as far as the store can look for it.

    Args:
        top: whether the names in the filter are those of the resource itself.
    """
    if isinstance(node, LogicalExpr):
        if node.op != LogicalOperator.and_:
            return []
        return [found for term in node.terms for found in narrowed(kind, term, top=top)]
    if isinstance(node, ValuePath):
        return narrowed(kind, node.val_filter, top=False)
    if not isinstance(node, Comparison) or node.op != CompareOperator.eq or not isinstance(node.value, str):
        return []
    path, value = node.attr_path, node.value
    column = _COLUMNS.get((kind, path.attr.lower())) if top and path.sub_attr is None else None
    if column is not None:
        return [Narrowing(cast(Any, column), name_key(value) if column == "name_key" else value)]
    if path.attr.lower() in _BESIDE or not _PLAIN.fullmatch(value):
        return []
    return [Narrowing("document", value)]


def _kind(resource_type: ResourceType) -> ResourceKind:
    return "User" if resource_type.name == "User" else "Group"


def _fitting(rows: Sequence[StoredResource]) -> list[StoredResource]:
    """The first of them that fit into one answer; one at least."""
    size, fitting = 0, list[StoredResource]()
    for row in rows:
        size += len(row.text)
        if fitting and size > limits.DIRECTORY_PAGE_BYTES:
            break
        fitting.append(row)
    return fitting


def _number(version: str) -> int:
    digits = version.removeprefix("W/").strip('"')
    return int(digits) if digits.isdecimal() else -1


def _moment(at_ms: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(at_ms / 1_000, datetime.UTC)
