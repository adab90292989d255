"""Shards together look after every deployment once, however many there are."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentwhere_core.domain.sharding import PARTS, WHOLE, Shard, read_shard, shards

counts = st.integers(min_value=1, max_value=len(PARTS))


@given(counts, st.uuids())
def test_every_deployment_has_exactly_one_shard(count: int, deployment_id: UUID) -> None:
    assert sum(shard.covers(deployment_id) for shard in shards(count)) == 1


@given(counts)
def test_shards_of_one_count_share_no_part_and_leave_none_out(count: int) -> None:
    dealt = [part for shard in shards(count) for part in shard.parts]
    assert sorted(dealt) == sorted(PARTS)
    sizes = {len(shard.parts) for shard in shards(count)}
    assert max(sizes) - min(sizes) <= 1


@given(counts)
def test_a_shard_is_read_as_it_is_written(count: int) -> None:
    assert [read_shard(str(shard)) for shard in shards(count)] == list(shards(count))


def test_one_shard_is_all_of_it() -> None:
    assert shards(1) == (WHOLE,)
    assert WHOLE.parts == PARTS


@pytest.mark.parametrize("text", ["", "1", "0/2", "3/2", "1/17", "-1/2", "1/2/3", "one/two"])
def test_what_names_no_shard_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no shard"):
        read_shard(text)


def test_there_are_as_many_shards_as_parts_and_no_more() -> None:
    assert len({part for shard in shards(16) for part in shard.parts}) == 16
    with pytest.raises(ValueError, match="1/17 is no shard"):
        Shard(1, 17)
