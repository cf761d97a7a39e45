"""The search for cells among those that other runs have: what is asked for, in what order, and when it rests."""

from __future__ import annotations

from segbench.execute.search import ASK_AGAIN_SECONDS, LIST_SECONDS, MOST_MISSES, Search, in_own_order


class Others:
    """Other runs, which have some cells and have finished others."""

    def __init__(self, working=(), finished=()):
        self.working, self.finished = set(working), set(finished)
        self.asked, self.listings = [], 0

    def new_record(self, key):
        return "record" if key in self.finished else None

    def lease(self, key):
        self.asked.append(key)
        return key not in self.working

    def find_finished(self, keys):
        self.listings += 1
        return [key for key in keys if key in self.finished]


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def search_among(keys, others):
    clock = Clock()
    return Search(dict.fromkeys(keys), others, clock), clock


def look(search, ready=lambda key: True):
    return {found.key: found.is_leased for found in search.look(ready)}


def test_cells_that_are_ready_and_free_are_leased_in_the_given_order():
    search, _ = search_among("abc", Others())
    assert look(search, "ac".__contains__) == {"a": True, "c": True}
    assert list(search.waiting) == ["b"]


def test_a_cell_that_another_run_has_waits_behind_the_others_and_is_asked_for_again_after_a_while():
    others = Others(working="a")
    search, clock = search_among("ab", others)
    assert look(search, "a".__contains__) == {"a": False}
    assert list(search.waiting) == ["b", "a"]
    assert search.has_asked_all
    assert look(search, "a".__contains__) == {}
    clock.now = 2 * ASK_AGAIN_SECONDS
    others.working.clear()
    assert look(search, "a".__contains__) == {"a": True}


def test_what_another_run_has_recorded_is_found_without_a_lease():
    others = Others(finished="a")
    search, _ = search_among("a", others)
    (found,) = search.look(lambda key: True)
    assert (found.record, found.is_leased, others.asked, list(search.waiting)) == ("record", False, [], [])


def test_a_cell_that_was_recorded_before_its_lease_was_released_is_not_begun():
    class RecordedMeanwhile(Others):
        def lease(self, key):
            self.finished.add(key)
            return True

    search, _ = search_among("a", RecordedMeanwhile())
    (found,) = search.look(lambda key: True)
    assert (found.record, found.is_leased) == ("record", True)


def test_a_look_ends_after_some_cells_that_others_have_and_the_next_one_comes_after_a_rest_and_asks_for_others():
    keys = [f"{number:04}" for number in range(1000)]
    others = Others(working=keys[:-1])
    search, clock = search_among(keys, others)
    assert list(look(search)) == keys[:MOST_MISSES]
    assert look(search) == {}
    clock.now = search.rests_until
    assert list(look(search)) == keys[MOST_MISSES : 2 * MOST_MISSES]
    assert not search.has_asked_all


def test_a_run_that_meets_what_others_have_recorded_lists_the_folder_but_seldom():
    keys = [f"{number:04}" for number in range(1000)]
    others = Others(finished=keys[:-1])
    search, clock = search_among(keys, others)
    assert len(look(search)) == MOST_MISSES
    assert search.list_finished() == []
    clock.now = LIST_SECONDS
    assert search.list_finished() == keys[MOST_MISSES:-1]
    assert (list(search.waiting), others.listings) == (keys[-1:], 1)
    assert search.list_finished() == []
    assert look(search) == {keys[-1]: True}


def test_every_run_has_an_order_of_its_own_with_the_cells_first_that_others_need():
    keys, needed = [f"{number:04}" for number in range(1000)], {"0007", "0999"}
    one, other = in_own_order(keys, needed), in_own_order(keys, needed)
    assert one != other
    assert sorted(one) == sorted(other) == keys
    assert {*one[:2]} == {*other[:2]} == needed
