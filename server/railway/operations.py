"""Operations: every query and mutation that is sent to Railway. Tests hold each to the published schema."""

SERVICE_PAGE = 100
"""Services in one answer."""

WORKFLOW_STATES = ("Running", "Complete", "Error", "NotFound")
"""How the deploy of a published template stands."""

LOG = "timestamp severity message"

QUERIES = {
    "template": "query ($code: String!) { template(code: $code) { id name serializedConfig } }",
    "workflow": "query ($id: String!) { workflowStatus(workflowId: $id) { status error } }",
    "tokenScope": "query { projectToken { projectId environmentId } }",
    "project": """
query ($id: String!, $first: Int!, $after: String) {
  project(id: $id) {
    id name
    services(first: $first, after: $after) { edges { node { id name } } pageInfo { hasNextPage endCursor } }
  }
}""",
    "environment": """
query ($id: String!, $project: String!, $first: Int!, $after: String) {
  environment(id: $id, projectId: $project) {
    id name projectId
    serviceInstances(first: $first, after: $after) {
      edges {
        node {
          serviceId serviceName startCommand numReplicas
          source { image repo }
          latestDeployment { id status createdAt }
        }
      }
      pageInfo { hasNextPage endCursor }
    }
  }
}""",
    "service": "query ($id: String!) { service(id: $id) { id name projectId } }",
    "variables": """
query ($project: String!, $environment: String!, $service: String!) {
  variables(projectId: $project, environmentId: $environment, serviceId: $service, unrendered: true)
}""",
    "deployments": """
query ($input: DeploymentListInput!, $first: Int!) {
  deployments(input: $input, first: $first) { edges { node { id status createdAt serviceId } } }
}""",
    "buildLogs": f"query ($id: String!, $limit: Int!) {{ buildLogs(deploymentId: $id, limit: $limit) {{ {LOG} }} }}",
    "deploymentLogs": f"""
query ($id: String!, $limit: Int!) {{ deploymentLogs(deploymentId: $id, limit: $limit) {{ {LOG} }} }}""",
}

MUTATIONS = {
    "templateDeploy": """
mutation ($input: TemplateDeployV2Input!) { templateDeployV2(input: $input) { projectId workflowId } }""",
    "serviceCreate": "mutation ($input: ServiceCreateInput!) { serviceCreate(input: $input) { id name } }",
    "serviceInstanceUpdate": """
mutation ($service: String!, $environment: String!, $input: ServiceInstanceUpdateInput!) {
  serviceInstanceUpdate(serviceId: $service, environmentId: $environment, input: $input)
}""",
    "variableCollectionUpsert": """
mutation ($input: VariableCollectionUpsertInput!) { variableCollectionUpsert(input: $input) }""",
    "serviceDomainCreate": """
mutation ($input: ServiceDomainCreateInput!) { serviceDomainCreate(input: $input) { id domain } }""",
    "serviceDeploy": """
mutation ($service: String!, $environment: String!) {
  serviceInstanceDeployV2(serviceId: $service, environmentId: $environment)
}""",
    "serviceRedeploy": """
mutation ($service: String!, $environment: String!) {
  serviceInstanceRedeploy(serviceId: $service, environmentId: $environment)
}""",
    "serviceDelete": """
mutation ($service: String!, $environment: String!) { serviceDelete(id: $service, environmentId: $environment) }""",
}
"""What changes something. None of these is sent while deploys are off."""
