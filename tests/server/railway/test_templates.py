"""Templates are data: what they name exists, and none holds a secret."""

import shlex

import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from errors import UnknownName
from server.cli import app
from server.railway.operations import WORKFLOW_STATES
from server.railway.templates import DeploySourceMissing, belongs, desired, read, service_name, template, templates
from tests.server.railway.test_operations import SCHEMA
from training.recipe import recipe_from

GOOD = {"title": "t", "command": "igla work", "variables": {}}


@pytest.fixture(params=templates())
def chosen(request):
    return templates()[request.param]


def test_its_recipe_is_one_that_the_engine_takes(chosen):
    recipe = recipe_from(chosen.recipe)
    assert all(recipe.as_json()[name] == value for name, value in chosen.recipe.items())
    assert chosen.budget_bytes is None or recipe.steps(chosen.budget_bytes) > 0


def test_its_command_and_variables_are_ones_that_igla_reads(chosen, account):
    wanted = desired(chosen, 7, account)
    program, command, *options = shlex.split(wanted.command)
    assert program == "igla"
    shown = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"}).output
    assert all(option in shown for option in options if option.startswith("--"))
    for name in wanted.variables:
        assert name in shown or name == "OMP_NUM_THREADS"
    assert "{" not in wanted.command


def test_a_name_belongs_to_one_template_only(chosen):
    name = service_name(chosen, 1597)
    assert [one.name for one in templates().values() if belongs(one, name)] == [chosen.name]


@pytest.mark.parametrize("name", ["API_TOKEN", "PASSWORD", "SIGNING_KEY", "DATABASE_URL"])
def test_a_secret_in_a_template_must_be_a_reference(name):
    with pytest.raises(ValidationError, match="reference"):
        read("t", {**GOOD, "variables": {name: "abc"}})
    assert read("t", {**GOOD, "variables": {name: "${{shared.X}}"}}).variables == {name: "${{shared.X}}"}


def test_unknown_fields_and_names_are_refused():
    with pytest.raises(ValidationError):
        read("t", {**GOOD, "objective": "E2E_TTT"})
    with pytest.raises(UnknownName, match="champion-repro"):
        template("champion-repo")


@pytest.mark.parametrize("source", [{"image": "", "repo": ""}, {"image": "i", "repo": "o/r"}])
def test_workers_run_an_image_or_a_repository_and_not_both(chosen, account, source):
    with pytest.raises(DeploySourceMissing):
        desired(chosen, 1, account.model_copy(update=source))


def test_the_states_of_a_workflow_are_those_of_the_schema():
    assert set(WORKFLOW_STATES) == set(SCHEMA.type_map["WorkflowStatus"].values)
