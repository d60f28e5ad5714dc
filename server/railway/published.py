"""Published templates: whole projects that somebody put into Railway's gallery, deployed by their code."""

from server.railway.client import Railway, RailwayRefused
from server.railway.operations import WORKFLOW_STATES


def deploy_published(railway: Railway, code: str) -> str:
    """Begin to deploy a published template into the account's environment. Gives the workflow to follow."""
    account = railway.account
    found = railway.query("template", code=code)
    if not found["serializedConfig"]:
        raise RailwayRefused("The template has nothing to deploy.")
    given = {
        "templateId": found["id"],
        "serializedConfig": found["serializedConfig"],
        "projectId": account.project,
        "environmentId": account.environment,
        **({"workspaceId": account.workspace} if account.workspace else {}),
    }
    begun = railway.mutate("templateDeploy", input=given)
    return str(begun["workflowId"] or "")


def workflow_state(railway: Railway, workflow: str) -> str:
    """How far it is: one of `WORKFLOW_STATES`."""
    state = str(railway.query("workflow", id=workflow)["status"])
    if state not in WORKFLOW_STATES:
        raise RailwayRefused("The workflow is in a state that this version does not know.")
    return state
