"""The routes of ``/v1``, all of them with failures in OpenAI's shape."""

from collections.abc import Callable, Mapping
from typing import Final

import attrs
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gateway.agents.catalog import Agent, Catalog
from gateway.agents.records import unix_time
from gateway.errors import GatewayError, NotFoundError
from gateway.serving.http import Endpoint, Page
from gateway.serving.openai_api.answers import failure, refusal
from gateway.serving.openai_api.completions import Completions

METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


@attrs.frozen(eq=False)
class OpenAIPages:
    """The pages; they answer if *enabled* says so."""

    completions: Completions
    catalog: Catalog
    enabled: Callable[[], bool]
    _since: int = attrs.field(factory=lambda: int(unix_time()), init=False)
    """Unix time that every model is said to be from: agents have none."""

    def all(self) -> list[Page]:
        """Return the pages; the last one is whatever else is asked for below ``/v1``."""
        routes: list[tuple[str, Endpoint, str, tuple[str, ...]]] = [
            ("/v1/chat/completions", self.completions, "write", ("POST",)),
            ("/v1/models", self._list, "read", ("GET",)),
            ("/v1/models/{model}", self._get, "read", ("GET",)),
            ("/v1/{rest:path}", _nothing, "any", METHODS),
        ]
        return [
            Page(path, self._if_enabled(endpoint), scope, methods=methods, refuse=refusal)
            for path, endpoint, scope, methods in routes
        ]

    def _if_enabled(self, endpoint: Endpoint) -> Endpoint:
        async def guarded(request: Request) -> Response:
            if self.enabled():
                return await endpoint(request)
            return failure(NotFoundError("this API is off; see openai_api.enabled"))

        return guarded

    async def _list(self, _: Request) -> Response:
        models = [self._model(agent) for agent in self.catalog.list()]
        return JSONResponse({"object": "list", "data": models})

    async def _get(self, request: Request) -> Response:
        try:
            return JSONResponse(self._model(self.catalog.get(request.path_params["model"])))
        except NotFoundError as error:
            message = error.message
            return failure(GatewayError(error.kind, message, param="model", code="model_not_found"))

    def _model(self, agent: Agent) -> Mapping[str, object]:
        return {
            "id": agent.id,
            "object": "model",
            "created": self._since,
            "owned_by": agent.provider,
        }


async def _nothing(request: Request) -> Response:
    message = f"unknown request URL: {request.method} {request.url.path[:200]}"
    return failure(GatewayError("not-found", message, code="unknown_url"))
