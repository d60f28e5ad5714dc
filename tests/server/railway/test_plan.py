"""Plans, for any fleet: what they touch, what they leave alone, and what their hash stands for."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from errors import InvalidValue, UnknownName
from server.railway.accounts import Account
from server.railway.fleet import STOPPED, Fleet, Service, digest_of
from server.railway.plan import (
    MARK,
    SMALLEST_BLAST,
    BlastGuard,
    TeardownListNeeded,
    check_blast,
    check_teardown,
    plan,
)
from server.railway.templates import desired, service_name, templates
from tests.server.railway.test_operations import SCHEMA

TEMPLATE = templates()["champion-repro"]
ACCOUNT = Account(
    alias="main", kind="project", project="p" * 36, environment="e" * 36, token=SecretStr("t"), image="igla:1"
)
STATES = sorted(SCHEMA.type_map["DeploymentStatus"].values)

names = st.one_of(
    st.integers(0, 12).map(lambda seed: service_name(TEMPLATE, seed)), st.sampled_from(["igla", "Postgres", "other"])
)
values = st.sampled_from(["1", "2", "${{shared.IGLA_WORK_TOKEN}}", "https://${{igla.RAILWAY_PUBLIC_DOMAIN}}"])
services = st.builds(
    Service,
    id=st.uuids().map(str),
    name=names,
    image=st.sampled_from(["igla:1", "igla:0", ""]),
    repo=st.just(""),
    command=st.sampled_from(["", "igla work", desired(TEMPLATE, 3, ACCOUNT).command]),
    status=st.sampled_from([*STATES, ""]),
    deployment=st.just("d"),
    deployed_at=st.just(""),
    variables=st.dictionaries(st.sampled_from([*TEMPLATE.variables, "MINE"]), values.map(digest_of)),
)
fleets = st.lists(services, max_size=12, unique_by=lambda one: one.name).map(lambda found: fleet_of(*found))
seeds = st.lists(st.integers(0, 12), min_size=1, max_size=8, unique=True)


def fleet_of(*found):
    return Fleet(
        account="main", project=ACCOUNT.project, project_name="race", environment=ACCOUNT.environment,
        services=tuple(sorted(found, key=lambda one: one.name)),
    )  # fmt: skip


def carried_out(made, fleet, status="SUCCESS"):
    """The fleet after a plan, by the plan's own words."""
    after = {one.name: one for one in fleet.services}
    for step in made.steps:
        blank = Service(
            id=step.service, name=step.service, image="", repo="", command="", status="", deployment="", deployed_at="",
            variables={},
        )  # fmt: skip
        one = after.get(step.service, blank)
        set_now = step.detail.get("variables", {}) if step.verb == "create" else step.detail
        if step.verb in ("create", "set_variables"):
            new = {name: digest_of(value) for name, value in set_now.items()}
            one = replace(one, variables={**one.variables, **new})
        elif step.verb == "configure":
            source = step.detail["source"]
            one = replace(one, image=source.get("image", ""), repo="", command=step.detail["startCommand"])
        elif step.verb == "redeploy":
            one = replace(one, status=status, variables={**one.variables, MARK: digest_of(step.detail["mark"])})
        after[step.service] = one
    return fleet_of(*after.values())


@settings(max_examples=40)
@given(fleets, seeds)
def test_a_second_plan_after_the_first_changes_nothing(fleet, seeds):
    first = plan(TEMPLATE, seeds, ACCOUNT, fleet)
    second = plan(TEMPLATE, seeds, ACCOUNT, carried_out(first, fleet))
    assert {step.verb for step in second.steps} == {"noop"}
    assert second.touched == []


@settings(max_examples=40)
@given(fleets, seeds, st.data())
def test_a_plan_that_broke_off_anywhere_is_finished_by_the_next(fleet, seeds, data):
    first = plan(TEMPLATE, seeds, ACCOUNT, fleet)
    done = data.draw(st.integers(0, len(first.steps)))
    between = carried_out(replace(first, steps=first.steps[:done]), fleet)
    second = plan(TEMPLATE, seeds, ACCOUNT, between)
    for name in first.touched:
        finished = [step for step in first.steps[:done] if step.service == name and step.verb == "redeploy"]
        assert (name in second.touched) != bool(finished)
    assert plan(TEMPLATE, seeds, ACCOUNT, carried_out(second, between)).touched == []


@settings(max_examples=40)
@given(fleets, seeds)
def test_only_services_of_the_seeds_are_touched_and_each_as_it_should_be_afterwards(fleet, seeds):
    made = plan(TEMPLATE, seeds, ACCOUNT, fleet)
    wanted = {service_name(TEMPLATE, seed) for seed in seeds}
    assert {step.service for step in made.steps} == wanted
    after = carried_out(made, fleet)
    for seed in seeds:
        one, should = after.named(service_name(TEMPLATE, seed)), desired(TEMPLATE, seed, ACCOUNT)
        assert (one.image, one.command) == (should.image, should.command)
        assert one.status not in STOPPED
        assert {name: digest_of(value) for name, value in should.variables.items()}.items() <= one.variables.items()
    for one in fleet.services:
        if one.name not in wanted:
            assert after.named(one.name) == one
        elif "MINE" in one.variables:
            assert after.named(one.name).variables["MINE"] == one.variables["MINE"]


@settings(max_examples=40)
@given(fleets, seeds)
def test_extra_services_are_reported_and_no_step_removes_anything(fleet, seeds):
    made = plan(TEMPLATE, seeds, ACCOUNT, fleet)
    wanted = {service_name(TEMPLATE, seed) for seed in seeds}
    assert set(made.extra) == {one.name for one in fleet.services if one.name.startswith("champion")} - wanted
    assert {step.verb for step in made.steps} <= {"create", "set_variables", "configure", "redeploy", "noop"}


@settings(max_examples=40)
@given(fleets, seeds, st.randoms())
def test_the_hash_depends_on_the_fleet_and_not_on_the_order_of_seeds(fleet, seeds, chance):
    made = plan(TEMPLATE, seeds, ACCOUNT, fleet)
    other = chance.sample(seeds, len(seeds))
    assert plan(TEMPLATE, other, ACCOUNT, fleet) == made
    one = Service(
        id="new",
        name="new",
        image="",
        repo="",
        command="",
        status="SUCCESS",
        deployment="",
        deployed_at="",
        variables=None,
    )
    assert plan(TEMPLATE, seeds, ACCOUNT, fleet_of(*fleet.services, one)).hash != made.hash
    for place, live in enumerate(fleet.services):
        changed = replace(live, command=live.command + "x")
        rest = [*fleet.services[:place], changed, *fleet.services[place + 1 :]]
        assert plan(TEMPLATE, seeds, ACCOUNT, fleet_of(*rest)).hash != made.hash


@settings(max_examples=40)
@given(fleets, seeds)
def test_a_deployment_that_goes_its_way_makes_no_plan_stale(fleet, seeds):
    building = [replace(one, status="BUILDING") for one in fleet.services]
    done = [replace(one, status="SUCCESS") for one in fleet.services]
    assert plan(TEMPLATE, seeds, ACCOUNT, fleet_of(*building)) == plan(TEMPLATE, seeds, ACCOUNT, fleet_of(*done))


@pytest.mark.parametrize("wrong", [[], [1, 1], [-1], list(range(65))])
def test_seeds_that_make_no_fleet_are_refused(wrong):
    with pytest.raises(InvalidValue):
        plan(TEMPLATE, wrong, ACCOUNT, fleet_of())


@given(st.integers(0, 200), st.integers(0, 300))
def test_more_than_three_and_more_than_a_third_need_a_confirmation(count, live):
    check_blast(count, live, confirm=True)
    if count > SMALLEST_BLAST and count > live // 3:
        with pytest.raises(BlastGuard, match=f"^blast_guard: {count} services"):
            check_blast(count, live, confirm=False)
    else:
        check_blast(count, live, confirm=False)


@settings(max_examples=40)
@given(fleets, st.data())
def test_a_teardown_takes_exactly_the_services_that_are_named(fleet, data):
    with pytest.raises(TeardownListNeeded):
        check_teardown([], fleet, confirm=True)
    for pattern in ("*", "all", "champion-repro-rng*"):
        with pytest.raises(UnknownName):
            check_teardown([pattern], fleet, confirm=True)
    known = [one.name for one in fleet.services]
    if known:
        chosen = data.draw(st.lists(st.sampled_from(known), min_size=1, unique=True))
        assert check_teardown(chosen, fleet, confirm=True) == [fleet.named(name).id for name in chosen]


@settings(max_examples=40)
@given(fleets)
def test_a_snapshot_has_names_of_variables_and_never_a_value_or_its_digest(fleet):
    shown = fleet.as_json()
    assert not any(digest in str(shown) for one in fleet.services for digest in one.variables.values())
    assert [one["variables"] for one in shown["services"]] == [sorted(one.variables) for one in fleet.services]
    assert not any(digest in repr(fleet) for one in fleet.services for digest in one.variables.values())
