"""What the suite asks of the older era: log levels and subscriptions to resources, which igla itself does not offer."""

import mcp_types as types


async def nothing(ctx, params):
    return types.EmptyResult()


def add_older(server):
    server.add_request_handler("logging/setLevel", types.SetLevelRequestParams, nothing)
    server.add_request_handler("resources/subscribe", types.SubscribeRequestParams, nothing)
    server.add_request_handler("resources/unsubscribe", types.UnsubscribeRequestParams, nothing)
