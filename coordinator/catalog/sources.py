"""Opening a source of items, whatever kind it is."""

from collections.abc import Sequence

from coordinator.catalog.base import ItemSource
from coordinator.errors import UsageError
from coordinator.storage.hrefs import scheme_of


def open_source(
    catalog: str | None, stac_api_url: str | None = None, collections: Sequence[str] = ()
) -> ItemSource:
    """The source that the user named; nothing is read yet.

    Args:
        catalog: a file or folder, http(s):// or s3:// address of a static catalog or item file.
        stac_api_url: the landing page of a STAC API.
        collections: only items of these; empty = all.

    Raises:
        UsageError: not exactly one of the two is given, or the API's address is no web address.
    """
    if bool(catalog) == bool(stac_api_url):
        raise UsageError(
            "one source of items is needed",
            why="both are given" if catalog else "neither --catalog nor --stac_api_url is given",
            hint="give either --catalog or --stac_api_url",
        )
    if catalog:
        from coordinator.catalog.static import StaticSource

        return StaticSource(catalog, collections)
    return _open_api(stac_api_url or "", collections)


def _open_api(url: str, collections: Sequence[str]) -> ItemSource:
    if scheme_of(url) not in ("http", "https"):
        raise UsageError(
            f"{url!r} is no address of a STAC API",
            why="it does not begin with http:// or https://",
            hint="use --catalog for a file or folder",
        )
    from coordinator.catalog.api import ApiSource  # requests takes a while to import

    return ApiSource(url, collections)
