"""gateway/sealed/numbered.py"""

import random

from gateway.sealed.numbered import HELD, WINDOW, LineAction, NumberedLines
from tsudoi.protocol.sealed.lines import UpLine


def line(number: int, after: int | None = None, text: str = "") -> UpLine:
    return UpLine(say=text or f"line {number}", number=number, after=after)


def publish(lines: NumberedLines, *numbers: int) -> None:
    for number in numbers:
        assert lines.judge(line(number)) is LineAction.TAKE
        lines.published(number, number, number)


def test_a_line_is_taken_behind_the_one_it_names() -> None:
    lines = NumberedLines(0)
    assert lines.judge(line(2)) is LineAction.WAIT
    publish(lines, 1)
    assert lines.next() == line(2)
    assert lines.next() is None


def test_a_client_can_not_let_this_gateway_hold_many_long_lines() -> None:
    lines = NumberedLines(0)
    for number in range(2, 2 + WINDOW):
        assert lines.judge(line(number, text="x" * 16_000)) is LineAction.WAIT
    for number in range(2, 2 + WINDOW):  # in the place of shorter ones
        lines.hold(line(number))
        lines.hold(line(number, text="x" * 16_000))
    assert 16_000 < sum(len(each.say or "") for each in lines.held.values()) <= HELD
    assert len(lines.held) == WINDOW


def test_what_is_kept_is_said_so() -> None:
    lines = NumberedLines(7)
    assert lines.judge(line(7)) is LineAction.KEPT
    assert lines.judge(line(9, 6)) is LineAction.KEPT
    publish(lines, 8)
    assert lines.judge(line(8)) is LineAction.ASK
    lines.note_kept(8)
    assert lines.judge(line(8)) is LineAction.KEPT
    assert lines.are_all_kept


def test_only_the_first_line_that_is_not_kept_is_asked_about() -> None:
    lines = NumberedLines(0)
    publish(lines, 1, 2, 3)
    assert [lines.judge(line(number)) for number in (1, 2, 3)] == [LineAction.ASK, LineAction.WAIT, LineAction.WAIT]
    assert lines.item_of(1) == 1
    lines.asking = 1
    assert lines.judge(line(1)) is LineAction.WAIT
    assert lines.judge(line(4)) is LineAction.WAIT
    lines.asking = 0
    assert lines.next() == line(4)


def test_lines_that_follow_each_other_are_taken_together() -> None:
    lines = NumberedLines(0)
    lines.refuse(4, "no", for_good=True)
    assert len(lines.together([line(1), line(2), line(3), line(4), line(5)])) == 3
    assert len(lines.together([line(1), line(2), line(7, 2), line(8)])) == 2
    assert len(lines.together([line(1), line(2, 1), line(3, 1), line(4)])) == 2
    assert len(lines.together([line(1)])) == 1
    assert len(lines.together([line(number) for number in range(1001, 2000)])) == WINDOW
    lines.published(1, 3, 1)
    assert len(lines.together([line(number) for number in range(1001, 2000)])) == WINDOW - 3


def test_of_lines_that_were_published_together_some_may_be_kept_before_others() -> None:
    lines = NumberedLines(0)
    lines.published(1, 3, 7)
    assert [lines.judge(line(number)) for number in (1, 2, 3)] == [LineAction.ASK, LineAction.WAIT, LineAction.WAIT]
    lines.note_kept(2)
    assert [lines.judge(line(number)) for number in (1, 2, 3)] == [LineAction.KEPT, LineAction.KEPT, LineAction.ASK]
    assert [lines.item_of(number) for number in (3, 4)] == [7, 0]
    assert not lines.are_all_kept
    lines.note_kept(3)
    assert lines.are_all_kept


def test_behind_a_refused_line_goes_what_names_the_line_before_it() -> None:
    lines = NumberedLines(0)
    publish(lines, 1, 2, 3)
    lines.note_kept(1)
    lines.refuse(2, "you are muted", for_good=True)
    assert lines.judge(line(2)) is LineAction.REFUSED
    assert lines.refused[2] == "you are muted"
    assert lines.judge(line(3)) is LineAction.WAIT
    assert lines.judge(line(3, 1)) is LineAction.TAKE
    lines.published(3, 3, 9)
    assert lines.next() is None


def test_a_line_that_may_be_sent_again_keeps_its_number() -> None:
    lines = NumberedLines(0)
    lines.refuse(1, "too fast", for_good=False)
    assert lines.judge(line(1)) is LineAction.TAKE


def test_no_more_lines_are_held_and_published_than_a_client_may_send() -> None:
    lines = NumberedLines(0)
    for number in range(2, 100):
        lines.judge(line(number))
    publish(lines, 1)
    taken = 0
    while (held := lines.next()) is not None:
        lines.published(held.number, held.number, 0)
        taken += 1
    assert taken == WINDOW - 1
    assert lines.judge(line(WINDOW + 1)) is LineAction.WAIT


def test_any_order_and_repetition_gives_each_line_once_and_in_order() -> None:
    for seed in range(50):
        dice, lines, said = random.Random(seed), NumberedLines(0), list[int]()
        sent = [line(number) for number in range(1, 30)] * 4
        dice.shuffle(sent)
        for each in [*sent, *(line(number) for number in range(1, 30))]:
            taken: UpLine | None = each if lines.judge(each) is LineAction.TAKE else None
            while taken is not None:
                said.append(taken.number)
                lines.published(taken.number, taken.number, 0)
                taken = lines.next()
            if said and dice.random() < 0.5:
                lines.note_kept(dice.choice(said))
        assert said == list(range(1, 30))


def test_a_new_run_begins_with_what_is_kept() -> None:
    lines = NumberedLines(0)
    publish(lines, 1, 2)
    lines.asking = 2
    lines.refuse(3, "no", for_good=True)
    lines.begin_run(1)
    assert lines.judge(line(2)) is LineAction.TAKE
    assert lines.judge(line(3)) is LineAction.WAIT
