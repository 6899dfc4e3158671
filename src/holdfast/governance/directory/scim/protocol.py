"""What this server says of itself over SCIM, and how much of what departs from SCIM it takes. The protocol is the library's.

Imported when an identity provider first asks: the library's models take a second to be made.
"""

from __future__ import annotations

import functools
from typing import Final

from scim2_models import (
    AuthenticationScheme,
    Bulk,
    ChangePassword,
    ETag,
    Filter,
    Patch,
    ScimPolicy,
    ScimProvider,
    ServiceProviderConfig,
    Sort,
)
from scim2_server.service import ScimService
from scim2_server.utils import load_default_resource_types, load_default_schemas

from holdfast.governance import limits

_POLICY: Final = ScimPolicy(
    unknown=ScimPolicy.Unknown.ignore,
    remove_value_as_filter=ScimPolicy.RemoveValue.apply,
    unmatched_path_filter=ScimPolicy.UnmatchedPathFilter.create,
)


@functools.cache
def service() -> ScimService:
    """The protocol of this server. Safe in any thread: making it twice harms nothing."""
    config = ServiceProviderConfig(
        patch=Patch(supported=True),
        bulk=Bulk(supported=False, max_operations=0, max_payload_size=0),
        filter=Filter(supported=True, max_results=limits.DIRECTORY_PAGE_ROWS),
        change_password=ChangePassword(supported=False),
        sort=Sort(supported=False),
        etag=ETag(supported=True),
        authentication_schemes=[
            AuthenticationScheme(
                type=AuthenticationScheme.Type.oauthbearertoken,
                name="Bearer token",
                description="A token that `holdfast directory token` made.",
                primary=True,
            )
        ],
    )
    # from the schemas as RFC 7643 prints them: the library's own classes want a reference beside the manager's id
    schemas, types = load_default_schemas().values(), load_default_resource_types().values()
    return ScimService(ScimProvider.from_discovery(schemas, types, config, _POLICY))
