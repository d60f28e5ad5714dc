"""Fleets from plan to teardown, through the tool, against the simulation of Railway."""

import asyncio
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from db import audit, deploys
from errors import InvalidValue, Refusal, UnknownName
from server.railway.apply import DeployOff
from server.railway.client import RailwayUnauthorized
from server.railway.plan import BlastGuard, PlanStale, TeardownListNeeded
from server.toolbox import ScopeMissing, call, toolbox

DEPLOY = toolbox()["deploy"]
SEEDS = [1597, 2584, 4181]
NAMES = [f"champion-repro-rng{seed}" for seed in SEEDS]
FLEET = {"account": "main", "template": "champion-repro", "seeds": SEEDS}


def use(runtime, action, scopes=("admin",), **changes):
    arguments = {"action": action, **FLEET, **changes}
    return asyncio.run(call(DEPLOY, runtime.context("operator", frozenset(scopes)), arguments))


def plan_and_apply(runtime, **changes):
    made = use(runtime, "plan", **changes)
    return use(runtime, "apply", plan_hash=made["hash"], **changes)


def test_a_fleet_is_planned_carried_out_looked_at_and_brought_up_to_date(opened, railway):
    runtime = opened()
    planned = use(runtime, "plan")
    assert [(one["service"], one["verb"]) for one in planned["steps"]] == [
        (name, verb) for name in NAMES for verb in ("create", "configure", "redeploy")
    ]
    assert railway.mutations == []

    done = use(runtime, "apply", plan_hash=planned["hash"])
    assert (done["steps"], done["failed"], done["hash"]) == (planned["steps"], [], planned["hash"])
    service = railway.named(NAMES[0])
    assert service["source"] == {"image": "igla:1"}
    assert service["command"] == f"igla work --name {NAMES[0]} --race champion-repro --idle-exit 900"
    assert service["variables"]["IGLA_TOKEN"] == "${{shared.IGLA_WORK_TOKEN}}"
    assert service["settings"]["drainingSeconds"] == 60

    railway.say(NAMES[0], "waiting for a job")
    found = use(runtime, "status")["services"]
    assert found[0] == {"name": NAMES[0], "status": "INITIALIZING", "lines": ["waiting for a job"]}

    before = list(railway.mutations)
    again = plan_and_apply(runtime)
    assert {step["verb"] for step in use(runtime, "plan")["steps"]} == {"noop"}
    assert (again["steps"], railway.mutations) == ([], before)

    newer = opened(image="igla:2")
    assert {step["verb"] for step in plan_and_apply(newer)["steps"]} == {"configure", "redeploy"}
    assert railway.named(NAMES[2])["source"] == {"image": "igla:2"}
    railway.stands(NAMES[1], "CRASHED")
    assert [(one["service"], one["verb"]) for one in plan_and_apply(newer)["steps"]] == [(NAMES[1], "redeploy")]
    assert railway.connections == 2


def test_a_plan_is_good_for_the_fleet_that_it_was_made_of(opened, railway):
    runtime = opened()
    made = use(runtime, "plan")
    railway.add("somebody-elses")
    for given in (made["hash"], "", "0" * 64):
        with pytest.raises(PlanStale):
            use(runtime, "apply", plan_hash=given)
    with pytest.raises(PlanStale):
        use(runtime, "apply")
    assert railway.mutations == []


@pytest.mark.parametrize("how", ["setting", "switch"])
def test_while_deploys_are_off_no_mutation_leaves_the_process(opened, railway, how):
    made = use(opened(), "plan")
    runtime = opened(off=how == "setting")
    if how == "switch":
        runtime.deployer().turn(off=True, by="me")
    railway.add("old")
    with pytest.raises(DeployOff):
        use(runtime, "apply", plan_hash=made["hash"])
    with pytest.raises(DeployOff):
        runtime.deployer().teardown("main", ["old"], confirm=True)
    for verb in ("restart", "domain"):
        with pytest.raises(DeployOff):
            runtime.deployer().change("main", verb, "old")
    with pytest.raises(DeployOff):
        runtime.deployer().railway("main").mutate("serviceDelete", service="s", environment="e")
    assert railway.mutations == []
    assert use(runtime, "plan")["hash"]
    runtime.deployer().turn(off=False, by="me")
    if how == "switch":
        assert plan_and_apply(runtime)["failed"] == []


def test_the_switch_stops_a_plan_in_the_middle(opened, railway, monkeypatch):
    runtime = opened()
    made = use(runtime, "plan")
    create = railway.serviceCreate

    def create_and_switch_off(info, input):
        runtime.deployer().turn(off=True, by="me")
        return create(info, input)

    monkeypatch.setattr(railway, "serviceCreate", create_and_switch_off)
    done = use(runtime, "apply", plan_hash=made["hash"])
    assert railway.mutations == ["serviceCreate"]
    assert [(one["service"], one["verb"]) for one in done["steps"]] == [(NAMES[0], "create")]
    assert [(one["service"], one["verb"], one["code"]) for one in done["failed"]] == [
        (NAMES[0], "configure", "deploy_off"),
        (NAMES[1], "create", "deploy_off"),
        (NAMES[2], "create", "deploy_off"),
    ]


def test_one_that_fails_does_not_stop_the_others_and_the_next_plan_takes_it_up(opened, railway):
    runtime = opened()
    railway.fails.append(("serviceInstanceUpdate", NAMES[1]))
    done = plan_and_apply(runtime)
    assert done["failed"] == [{"service": NAMES[1], "verb": "configure", "code": "railway_refused"}]
    assert len(done["steps"]) == 7
    railway.fails.clear()
    healed = plan_and_apply(runtime)
    assert [(one["service"], one["verb"]) for one in healed["steps"]] == [
        (NAMES[1], "configure"),
        (NAMES[1], "redeploy"),
    ]
    assert healed["failed"] == []


def test_a_change_whose_deployment_failed_is_not_taken_for_done(opened, railway):
    plan_and_apply(opened())
    newer = opened(image="igla:2")
    railway.fails.append(("serviceInstanceDeployV2", railway.named(NAMES[0])["id"]))
    assert [one["verb"] for one in plan_and_apply(newer)["failed"]] == ["redeploy"]
    railway.fails.clear()
    assert [(one["service"], one["verb"]) for one in plan_and_apply(newer)["steps"]] == [(NAMES[0], "redeploy")]
    assert plan_and_apply(newer)["steps"] == []


def test_a_mutation_whose_answer_got_lost_is_not_sent_again_and_the_next_plan_knows_that_it_was_done(opened, railway):
    runtime = opened()
    made = use(runtime, "plan", seeds=[1])
    railway.swallowed.add("serviceCreate")
    done = use(runtime, "apply", seeds=[1], plan_hash=made["hash"])
    assert done["failed"] == [{"service": "champion-repro-rng1", "verb": "create", "code": "railway_unavailable"}]
    railway.swallowed.clear()
    assert [one["verb"] for one in plan_and_apply(runtime, seeds=[1])["steps"]] == ["configure", "redeploy"]
    assert railway.mutations.count("serviceCreate") == 1


def test_many_services_at_once_need_a_confirmation(opened, railway):
    runtime = opened()
    many = list(range(5))
    made = use(runtime, "plan", seeds=many)
    with pytest.raises(BlastGuard, match="5 services"):
        use(runtime, "apply", seeds=many, plan_hash=made["hash"])
    assert railway.mutations == []
    assert use(runtime, "apply", seeds=many, plan_hash=made["hash"], confirm=True)["failed"] == []


def test_what_no_seed_asks_for_is_reported_and_goes_only_by_its_name(opened, railway):
    runtime = opened()
    plan_and_apply(runtime)
    railway.add("Postgres", status="SUCCESS")
    fewer = plan_and_apply(runtime, seeds=SEEDS[:1])
    assert fewer["extra"] == NAMES[1:]
    deployer = runtime.deployer()
    with pytest.raises(TeardownListNeeded):
        deployer.teardown("main", [], confirm=True)
    with pytest.raises(UnknownName, match=NAMES[1]):
        deployer.teardown("main", [NAMES[1], f"{NAMES[1]}x"], confirm=True)
    assert len(railway.services) == 4
    outcome = deployer.teardown("main", NAMES[1:], confirm=False)
    assert [step.service for step in outcome.done] == NAMES[1:]
    assert sorted(one["name"] for one in railway.services.values()) == ["Postgres", NAMES[0]]


def test_a_teardown_of_many_needs_a_confirmation_and_one_that_fails_is_reported(opened, railway):
    deployer = opened().deployer()
    names = [railway.add(f"w{number}")["name"] for number in range(4)]
    with pytest.raises(BlastGuard):
        deployer.teardown("main", names, confirm=False)
    railway.fails.append(("serviceDelete", railway.named("w1")["id"]))
    outcome = deployer.teardown("main", names, confirm=True)
    assert [one.service for one in outcome.failed] == ["w1"]
    assert [one["name"] for one in railway.services.values()] == ["w1"]


def test_one_service_is_restarted_or_given_a_domain(opened, railway):
    deployer = opened().deployer()
    plan_and_apply(opened())
    deployer.change("main", "restart", NAMES[0])
    assert len(deployer.history("main", NAMES[0], 5)) == 2
    assert deployer.change("main", "domain", NAMES[0])["domain"] == f"{NAMES[0]}.up.railway.app"
    assert deployer.logs("main", NAMES[0], 5, build=True)[0].startswith("built ")
    with pytest.raises(UnknownName):
        deployer.change("main", "restart", "nobody")


def test_a_limit_that_lasts_stops_the_plan_instead_of_asking_on(opened, railway):
    runtime = opened()
    made = use(runtime, "plan")
    create = railway.serviceCreate

    def create_then_limit(info, input):
        railway.trouble.append((429, {"Retry-After": "600"}))
        return create(info, input)

    railway.serviceCreate = create_then_limit
    done = use(runtime, "apply", plan_hash=made["hash"])
    assert {one["code"] for one in done["failed"]} == {"railway_rate_limited"}
    assert railway.mutations == ["serviceCreate"]


def test_two_calls_never_change_an_account_at_once_and_a_dead_one_frees_it(opened, railway):
    runtime = opened()
    made = use(runtime, "plan")
    now = runtime.context().now
    with runtime.store.transaction() as session:
        deploys.begin(session, "main", now, 900.0)
    with pytest.raises(deploys.DeployBusy):
        use(runtime, "apply", plan_hash=made["hash"])
    assert railway.mutations == []
    with runtime.store.transaction() as session:
        deploys.begin(session, "main", now + timedelta(hours=1), 0.0)
    with pytest.raises(deploys.DeployBusy):
        use(runtime, "apply", plan_hash=made["hash"])


def test_a_fleet_of_many_pages_is_read_whole(opened, railway):
    railway.page = 7
    for number in range(40):
        railway.add(f"champion-repro-rng{number}", status="SUCCESS")
    assert len(use(opened(), "plan")["extra"]) == 40
    assert len(opened().deployer().snapshot("main")["services"]) == 40


def test_a_token_of_another_project_or_a_wrong_one_is_refused_before_anything(opened, railway):
    with pytest.raises(RailwayUnauthorized):
        use(opened(project="0" * 36), "plan")
    with pytest.raises(RailwayUnauthorized):
        use(opened(token="wrong"), "plan")
    assert railway.mutations == []


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"account": "mian"}, UnknownName),
        ({"template": "champion"}, UnknownName),
        ({"template": None}, InvalidValue),
        ({"seeds": []}, InvalidValue),
        ({"seeds": [1, 1]}, InvalidValue),
        ({"scopes": ("work",)}, ScopeMissing),
    ],
)
def test_a_call_that_names_nothing_real_is_refused(opened, railway, changes, kind):
    with pytest.raises(kind):
        use(opened(), "plan", **changes)


def test_every_change_has_a_line_before_and_after_it_with_different_words(opened, railway):
    runtime = opened()
    railway.fails.append(("serviceCreate", NAMES[2]))
    with capture_logs() as lines:
        plan_and_apply(runtime)
    told = [line for line in lines if line["event"].startswith("deploy_")]
    counts = {word: sum(line["event"] == f"deploy_{word}" for line in told) for word in ("planned", "done", "failed")}
    assert counts == {"planned": 7, "done": 6, "failed": 1}
    for line in told:
        assert len(line["project"]) == 8
        assert len(line["service"]) in (1, 8)
        assert len(line["hash"]) == 16
        assert {"verb", "name", "at"} <= line.keys()


def test_refusals_of_deploys_end_with_the_next_step(opened):
    with pytest.raises(Refusal) as refused:
        use(opened(off=True), "apply", plan_hash="0")
    assert str(refused.value) == (
        "deploy_off: IGLA_DEPLOY_OFF is set. An operator turned deploys off; `igla deploy on` turns them on again."
    )


def test_who_changes_a_fleet_leaves_one_row_and_who_only_asks_leaves_none(opened, railway):
    runtime = opened()

    def told():
        with runtime.store.reading() as session:
            return [(one.principal, one.action, one.subject) for one in audit.rows(session)]

    made = use(runtime, "plan")
    use(runtime, "status")
    with pytest.raises(PlanStale):
        use(runtime, "apply", plan_hash="0" * 64)
    assert told() == []
    use(runtime, "apply", plan_hash=made["hash"])
    assert told() == [("operator", "deploy", {"account": "main"})]
    plan_and_apply(runtime)  # there is nothing to do
    assert len(told()) == 1


def test_what_a_worker_says_is_given_without_its_token(opened, railway):
    runtime = opened()
    railway.add("worker-fleet-rng1", image="igla:1", status="SUCCESS")
    railway.say("worker-fleet-rng1", "IGLA_TOKEN=igla_abcdefghijklmnop is refused")
    (found,) = use(runtime, "status", template="worker-fleet", seeds=[1])["services"]
    assert found["lines"] == ["IGLA_TOKEN=[redacted] is refused"]
