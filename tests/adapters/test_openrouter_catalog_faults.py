"""OpenRouter's list when parts of it cannot be had: never an unfiltered one."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from chuk.adapters.openrouter_catalog import FetchLimits, OpenRouterModels
from chuk.catalog.ports import CatalogUnavailable
from chuk.catalog.selection import Selection
from tests.adapters.openrouter_lists import (
    QWEN,
    QWEN_PAGE,
    fetched,
    slugs,
    source,
)
from tests.fakes.openrouter import FakeEndpoint, FakeModel, FakeOpenRouter, Fault

FAULTS = {
    "status": Fault(status=500),
    "rate limit": Fault(status=429),
    "redirect": Fault(status=302, headers={"Location": "/api/v1/models"}),
    "not JSON": Fault(body=b"<html>secret</html>"),
    "cut JSON": Fault(body=b'{"data": [{"id":'),
    "deep JSON": Fault(body=b"[" * 10_000),
    "not UTF-8": Fault(body=b'{"data": ["\xff"]}'),
    "another shape": Fault(body=b'{"data": {"secret": 1}}'),
    "null": Fault(body=b"null"),
    "empty list": Fault(body=b'{"data": []}'),
    "nothing known": Fault(body=b'{"data": [{"id": "x/y", "model_id": "x/y", "tag": "z"}]}'),
    "hanging": Fault(hang=True),
}


@pytest.mark.parametrize("path", ["/models", "/endpoints/zdr"])
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_without_a_usable_list_nothing_is_offered(
    openrouter: FakeOpenRouter, session: aiohttp.ClientSession, path: str, fault: Fault
) -> None:
    known = tuple((await fetched(source(openrouter, session))).values())
    openrouter.fail(path, fault)
    with pytest.raises(CatalogUnavailable) as caught:
        await source(openrouter, session, limits=FetchLimits(call=0.1)).fetch(known)
    assert "secret" not in str(caught.value) and openrouter.api_key not in str(caught.value)


async def test_an_endless_body_is_cut(
    openrouter: FakeOpenRouter, session: aiohttp.ClientSession
) -> None:
    openrouter.fail("/models", Fault(endless=True))
    with pytest.raises(CatalogUnavailable, match="more than"):
        await source(openrouter, session).fetch(())
    assert openrouter.requests[-1].pieces_sent < 64  # megabytes, of which 32 may be read


async def test_a_wrong_key_is_an_unavailable_list(
    openrouter: FakeOpenRouter, session: aiohttp.ClientSession
) -> None:
    models = OpenRouterModels(session, base_url=openrouter.base_url, api_key="wrong")
    with pytest.raises(CatalogUnavailable, match="status 401"):
        await models.fetch(())


@pytest.mark.parametrize(
    "fault", [FAULTS["status"], FAULTS["cut JSON"], FAULTS["another shape"], FAULTS["hanging"]]
)
async def test_a_model_whose_page_fails_keeps_its_known_entry(
    openrouter: FakeOpenRouter, session: aiohttp.ClientSession, fault: Fault
) -> None:
    before = await fetched(source(openrouter, session))
    openrouter.model(QWEN).endpoint("groq").prompt = "0.5"
    openrouter.fail(QWEN_PAGE, fault)
    models = source(openrouter, session, limits=FetchLimits(call=0.1))
    assert await fetched(models, tuple(before.values())) == before
    assert models.report.pages_failed == 1


async def test_a_kept_entry_obeys_the_present_zdr_list_and_block_list(
    openrouter: FakeOpenRouter, session: aiohttp.ClientSession
) -> None:
    known = await fetched(source(openrouter, session, selection=Selection()))
    assert slugs(known[QWEN]) == ["chutes/bf16", "deepinfra/fp8", "groq"]
    openrouter.model(QWEN).endpoint("deepinfra/fp8").zdr = False
    openrouter.fail(QWEN_PAGE, Fault(status=500))
    listed = await fetched(source(openrouter, session), tuple(known.values()))
    assert slugs(listed[QWEN]) == ["groq"]


async def test_a_kept_entry_without_any_zdr_endpoint_left_is_gone(
    openrouter: FakeOpenRouter, session: aiohttp.ClientSession
) -> None:
    known = await fetched(source(openrouter, session))
    for endpoint in openrouter.model(QWEN).endpoints:
        endpoint.zdr = endpoint.tag == "nebius/base"
    openrouter.fail(QWEN_PAGE, Fault(status=500))
    assert QWEN not in await fetched(source(openrouter, session), tuple(known.values()))


async def test_an_unknown_model_whose_page_fails_is_read_from_the_zdr_list(
    openrouter: FakeOpenRouter, session: aiohttp.ClientSession
) -> None:
    openrouter.fail(QWEN_PAGE, Fault(status=500))
    listed = await fetched(source(openrouter, session))
    assert slugs(listed[QWEN]) == ["deepinfra/fp8", "groq"]


async def test_when_no_time_is_left_the_remaining_pages_count_as_failed(
    openrouter: FakeOpenRouter, session: aiohttp.ClientSession
) -> None:
    known = await fetched(source(openrouter, session))
    models = source(openrouter, session, limits=FetchLimits(pages=0))
    assert await fetched(models, tuple(known.values())) == known
    assert models.report.pages_failed == 5  # the router's too


async def test_pages_are_fetched_side_by_side_but_at_most_eight(
    openrouter: FakeOpenRouter, session: aiohttp.ClientSession
) -> None:
    openrouter.models = [
        FakeModel(f"a/m{n}", f"M{n}", [FakeEndpoint("Groq", "groq", "0", "0")]) for n in range(40)
    ]
    for model in openrouter.models:
        openrouter.fail(f"/models/{model.id}/endpoints", Fault(hang=True, body=b"{}"))
    fetching = asyncio.create_task(fetched(source(openrouter, session)))
    await openrouter.wait_until(lambda: openrouter.busiest == 8)
    openrouter.release.set()
    assert len(await fetching) == 40
    assert openrouter.busiest == 8
