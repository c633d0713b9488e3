"""A killed run goes on: nothing lost, nothing doubled, little paid twice. The long version is `make soak`."""

from faults import answer
from killing import kill_and_resume


def test_five_kills_lose_nothing(tmp_path):
    told = kill_and_resume(tmp_path, kills=5, items=200, concurrency=8, faults=["500", "429", "ok", answer(200, "<html>", "text/html")])
    assert told["kills"] == 5, told
    assert told["answers"] == told["items"] and told["lost"] == 0 and told["same"], told
    assert told["billed again"] <= told["limit"], told
    assert told["damaged lines"] <= 5, told
