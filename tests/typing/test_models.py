"""What Kron answers, as models of FastAPI and pydantic: complete, with real values."""

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import TypeAdapter, ValidationError

import kron
from kron.core.run_views import BackfillStatus, PauseStatus, RunStatus
from kron.core.steering import BackfillOptions, PauseOptions, ResumeOptions
from kron.core.terms import ScheduleOptions
from kron.core.views import TimerDescription
from kron.opening import StartOptions
from kron.testing import VirtualScheduler

seen = {}


@pytest.fixture(scope="module")
def answers():
    """A real value of each: what a scheduler has said of a timer that has much to tell."""
    seen.clear()
    with VirtualScheduler() as scheduler:

        def work(context):
            seen["context"] = kron.current_run()
            if context["attempt"] == 1:
                raise ValueError("no")

        scheduler.schedule("work", work, every="1h", metadata={"team": "web"}, retry_delay="10m")
        scheduler.schedule("tidy", kron.command("true"), cron="0 3 * * *", jitter="5m", key="db")
        scheduler.advance("1h5m")
        seen["open"] = scheduler.list()
        scheduler.advance("1h")
        scheduler.pause("work", for_="1h", reason="deploy", who="ada")
        seen["backfill"] = scheduler.backfill("work", since="2026-12-31T00:00:00Z")
        seen["timers"] = scheduler.list()
        seen["status"] = scheduler.status("work")
        seen["history"] = scheduler.history()
        seen["why"] = scheduler.why("work")
    seen["report"] = scheduler.shutdown()
    return seen


MODELS = {
    "open": list[kron.TimerStatus],
    "timers": list[kron.TimerStatus],
    "status": kron.TimerStatus | None,
    "history": list[kron.HistoryRow],
    "why": kron.Why,
    "context": kron.RunContext,
    "backfill": kron.Backfill,
    "report": kron.ShutdownReport,
}


@pytest.fixture(scope="module")
def client(answers):
    app = FastAPI()
    for name, model in MODELS.items():
        app.get(f"/{name}", response_model=model)(lambda name=name: answers[name])
    return TestClient(app)


def test_there_is_much_to_tell(answers):
    (run,) = answers["open"][0]["runs"]
    assert run["state"] == "retrying"
    assert answers["status"]["paused"] and answers["status"]["backfill"]
    assert answers["history"] and answers["context"] and answers["why"]["text"]


@pytest.mark.parametrize("name", MODELS)
def test_an_answer_comes_out_of_its_model_as_it_went_in(client, answers, name):
    response = client.get(f"/{name}")
    assert response.status_code == 200
    assert response.json() == answers[name]


@pytest.mark.parametrize("name", MODELS)
def test_a_model_demands_each_field_that_there_is_and_no_other(answers, name):
    answer = answers[name][0] if isinstance(answers[name], list) else answers[name]
    adapter = TypeAdapter(MODELS[name])
    wrap = (lambda each: [each]) if isinstance(answers[name], list) else (lambda each: each)
    adapter.validate_python(wrap(answer), strict=True, extra="forbid")
    for field in answer:
        less = {key: value for key, value in answer.items() if key != field}
        with pytest.raises(ValidationError, match=field):
            adapter.validate_python(wrap(less))


def test_the_openapi_document_describes_each_of_them(client):
    document = client.get("/openapi.json").json()
    shapes = document["components"]["schemas"]
    for model in (kron.TimerStatus, kron.HistoryRow, kron.Why, kron.RunContext, kron.Backfill,
                  kron.ShutdownReport, RunStatus, PauseStatus, BackfillStatus):  # fmt: skip
        assert shapes[model.__name__]["properties"].keys() == model.__annotations__.keys()
        assert set(shapes[model.__name__]["required"]) == model.__required_keys__


@pytest.mark.parametrize(
    ("options", "given"),
    [
        (ScheduleOptions, {"every": "1h", "overlap": "skip", "metadata": {"a": 1}}),
        (StartOptions, {"fsync": "interval", "keep_history": "7d"}),
        (PauseOptions, {"match": "^re", "for_": "1h"}),
        (ResumeOptions, {"who": "ada"}),
        (BackfillOptions, {"since": "2h", "dry_run": True}),
    ],
)
def test_options_can_be_the_body_of_a_request(options, given):
    assert TypeAdapter(options).validate_python(given) == given
    assert TypeAdapter(options).json_schema(mode="serialization")["properties"]


def test_a_description_is_a_part_of_a_status(answers):
    part = TypeAdapter(TimerDescription).validate_python(answers["status"])
    assert part.items() <= answers["status"].items()
