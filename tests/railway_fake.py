"""A simulation of Railway: the published schema, executed by graphql-core over state in memory, served on loopback.

Types and nullability are the schema's; what the resolvers do is ours, so it shows that our side is right, not theirs.
"""

import json
import threading
from collections import deque
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from uuid import NAMESPACE_URL, uuid5

from graphql import GraphQLError, graphql_sync, parse

from tests.contracts.trim import read
from tests.serving import ROOT

SCHEMA = read(ROOT / "tests" / "contracts" / "railway" / "schema.graphql")
PROJECT, ENVIRONMENT, WORKSPACE = (str(uuid5(NAMESPACE_URL, name)) for name in ("project", "environment", "workspace"))
BEGAN = datetime(2030, 1, 1, tzinfo=UTC)


class SimulatedRailway:
    """State and resolvers. `mutations`: what came in, whether it was done or not. `trouble`: answers in front of it.

    fails: (field, text in its arguments) of mutations that are answered with an error that repeats its arguments.
    swallowed: fields whose answer gets lost after they were done.
    """

    def __init__(self, token="T", header="Project-Access-Token", page=100):
        self.token, self.header, self.page = token, header, page
        self.services, self.deployed, self.logs, self.domains = {}, {}, {}, {}
        self.workflows = {}
        self.trouble = deque()
        self.fails, self.swallowed = [], set()
        self.mutations, self.queries, self.connections, self.number = [], [], 0, 0

    def new(self, kind):
        self.number += 1
        return str(uuid5(NAMESPACE_URL, f"{kind}-{self.number}"))

    def moment(self):
        return (BEGAN + timedelta(seconds=self.number)).isoformat()

    def answer(self, text, variables):
        """Execute one request against the state."""
        definition = parse(text).definitions[0]
        field = definition.selection_set.selections[0].name.value
        kept = self.mutations if definition.operation.value == "mutation" else self.queries
        kept.append(field)
        root = {
            name: getattr(self, name) for name in (*SCHEMA.query_type.fields, *SCHEMA.mutation_type.fields)
            if hasattr(self, name)
        }  # fmt: skip
        if (said := json.dumps(variables)) and any(name == field and part in said for name, part in self.fails):
            root[field] = lambda info, **given: raised(f"Problem processing request with {said}")
        result = graphql_sync(SCHEMA, text, root, variable_values=variables)
        errors = [{"message": one.message} for one in result.errors or ()]
        return {"data": result.data, **({"errors": errors} if errors else {})}

    def at(self, service_id):
        if service_id not in self.services:
            raise GraphQLError("Service not found")
        return self.services[service_id]

    def here(self, project=PROJECT, environment=ENVIRONMENT):
        if (project, environment) != (PROJECT, ENVIRONMENT):
            raise GraphQLError("Not Authorized")

    def named(self, name):
        return next(one for one in self.services.values() if one["name"] == name)

    def paged(self, nodes, first, after):
        start = int(after or 0)
        end = start + min(first or self.page, self.page)
        page = {"hasNextPage": end < len(nodes), "endCursor": str(end), "hasPreviousPage": start > 0}
        return {"edges": [{"node": node, "cursor": str(end)} for node in nodes[start:end]], "pageInfo": page}

    def project(self, info, id):
        self.here(project=id)
        nodes = [{"id": one["id"], "name": one["name"]} for one in self.services.values()]
        return {
            "id": PROJECT, "name": "race",
            "services": lambda info, first=None, after=None, **_: self.paged(nodes, first, after),
        }  # fmt: skip

    def environment(self, info, id, projectId=None):
        self.here(projectId or PROJECT, id)
        nodes = [self.instance(one) for one in self.services.values()]
        return {
            "id": id, "name": "production", "projectId": PROJECT,
            "serviceInstances": lambda info, first=None, after=None, **_: self.paged(nodes, first, after),
        }  # fmt: skip

    def instance(self, service):
        mine = [one for one in self.deployed.values() if one["serviceId"] == service["id"]]
        return {
            "serviceId": service["id"], "serviceName": service["name"], "source": service["source"] or None,
            "startCommand": service["command"], "numReplicas": 1, "latestDeployment": mine[-1] if mine else None,
        }  # fmt: skip

    def projectToken(self, info):
        return {"projectId": PROJECT, "environmentId": ENVIRONMENT}

    def service(self, info, id):
        return {"id": id, "name": self.at(id)["name"], "projectId": PROJECT}

    def variables(self, info, projectId, environmentId, serviceId=None, unrendered=False):
        self.here(projectId, environmentId)
        assert unrendered, "the simulation does not put references in"
        return dict(self.at(serviceId)["variables"])

    def serviceCreate(self, info, input):
        self.here(input["projectId"], input["environmentId"])
        if any(one["name"] == input["name"] for one in self.services.values()):
            raise GraphQLError("A service with this name exists")
        return self.add(input["name"], variables=input.get("variables") or {})

    def add(self, name, variables=None, image="", command="", status=""):
        made = {
            "id": self.new("service"), "name": name, "source": {"image": image} if image else {}, "command": command,
            "variables": dict(variables or {}),
        }  # fmt: skip
        self.services[made["id"]] = made
        if status:
            self.deploy(made["id"], status)
        return made

    def serviceInstanceUpdate(self, info, serviceId, input, environmentId=None):
        self.here(environment=environmentId)
        service = self.at(serviceId)
        service["source"] = input.get("source", service["source"])
        service["command"] = input.get("startCommand", service["command"])
        service["settings"] = {name: input[name] for name in input if name not in ("source", "startCommand")}
        return True

    def variableCollectionUpsert(self, info, input):
        self.here(input["projectId"], input["environmentId"])
        kept = self.at(input["serviceId"])["variables"]
        if input["replace"]:
            kept.clear()
        kept.update(input["variables"])
        if not input["skipDeploys"]:
            self.deploy(input["serviceId"])
        return True

    def deploy(self, service_id, status="INITIALIZING"):
        made = {"id": self.new("deployment"), "status": status, "createdAt": self.moment(), "serviceId": service_id}
        self.deployed[made["id"]] = made
        return made["id"]

    def serviceInstanceDeployV2(self, info, serviceId, environmentId, commitSha=None):
        self.here(environment=environmentId)
        if not self.at(serviceId)["source"]:
            raise GraphQLError("Service has no source")
        return self.deploy(serviceId)

    def serviceInstanceRedeploy(self, info, serviceId, environmentId):
        return bool(self.serviceInstanceDeployV2(info, serviceId, environmentId))

    def serviceDomainCreate(self, info, input):
        name = f"{self.at(input['serviceId'])['name']}.up.railway.app"
        return {"id": self.new("domain"), "domain": name}

    def serviceDelete(self, info, id, environmentId=None):
        self.here(environment=environmentId)
        self.at(id)
        del self.services[id]
        return True

    def deployments(self, info, input, first=None, **_):
        mine = [one for one in self.deployed.values() if one["serviceId"] == input.get("serviceId")]
        return self.paged(mine[::-1], first, None)

    def deploymentLogs(self, info, deploymentId, limit=None, **_):
        lines = self.logs.get(deploymentId, [])[-(limit or 100) :]
        return [{"timestamp": BEGAN.isoformat(), "severity": "info", "message": line} for line in lines]

    def buildLogs(self, info, deploymentId, limit=None, **_):
        return [{"timestamp": BEGAN.isoformat(), "severity": "info", "message": f"built {deploymentId}"}]

    def template(self, info, code=None, **_):
        if code != "igla":
            raise GraphQLError("Template not found")
        return {"id": self.new("template"), "name": "igla", "serializedConfig": {"services": {"1": {"name": "igla"}}}}

    def templateDeployV2(self, info, input):
        self.here(input["projectId"], input["environmentId"])
        for one in input["serializedConfig"]["services"].values():
            self.add(one["name"], image="igla", status="BUILDING")
        workflow = self.new("workflow")
        self.workflows[workflow] = "Running"
        return {"projectId": input["projectId"], "workflowId": workflow}

    def workflowStatus(self, info, workflowId):
        return {"status": self.workflows.get(workflowId, "NotFound"), "error": None}

    def say(self, name, *lines):
        """Let a service's latest deployment print lines."""
        latest = self.instance(self.named(name))["latestDeployment"]
        self.logs.setdefault(latest["id"], []).extend(lines)

    def stands(self, name, status):
        """Let a service's latest deployment have this status."""
        self.instance(self.named(name))["latestDeployment"]["status"] = status


def raised(message):
    raise GraphQLError(message)


@contextmanager
def simulated_railway(**options):
    """The simulation on a free port of loopback; `.url` is where it answers."""
    railway = SimulatedRailway(**options)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self):
            super().setup()
            railway.connections += 1

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if railway.trouble:
                status, headers = railway.trouble.popleft()
                if status == 0:
                    self.close_connection = True
                    return
                self.reply(status, {"errors": [{"message": "no"}]}, headers)
            elif self.headers.get(railway.header) != railway.token:
                self.reply(200, {"data": None, "errors": [{"message": "Not Authorized"}]}, {})
            else:
                value = railway.answer(body["query"], body["variables"])
                if railway.swallowed & set(value["data"] or ()):
                    self.close_connection = True
                    return
                self.reply(200, value, {})

        def reply(self, status, value, headers):
            data = json.dumps(value).encode()
            self.send_response(status)
            for name, text in {"Content-Type": "application/json", "Content-Length": str(len(data)), **headers}.items():
                self.send_header(name, text)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    railway.url = f"http://127.0.0.1:{server.server_port}/graphql/v2"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield railway
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
