"""The paths of Bedrock, Vertex and Foundry in front of the loopback provider, with the checks that each makes of its caller."""

import json
from typing import TYPE_CHECKING, Any

from aiohttp import web

if TYPE_CHECKING:
    from tests.provider import Provider

AWS_KEY, AWS_SECRET, AWS_REGION = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "eu-west-1"
GOOGLE_TOKEN = "ya29.loopback"
FOUNDRY_KEY = "foundry-key"


class Clouds:
    def __init__(self, provider: "Provider") -> None:
        self._provider = provider

    async def bedrock(self, http: web.Request, body: Any) -> dict[str, Any]:
        """Answer when the request carries the signature that AWS would compute for it."""
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.credentials import Credentials

        signed = http.headers["Authorization"].split("SignedHeaders=")[1].split(",")[0].split(";")
        request = AWSRequest("POST", f"{http.scheme}://{http.host}{http.raw_path}", data=await http.read())
        for name in signed:
            request.headers[name] = http.headers[name]
        request.context["timestamp"] = http.headers["X-Amz-Date"]
        signer = SigV4Auth(Credentials(AWS_KEY, AWS_SECRET), "bedrock", AWS_REGION)
        expected = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
        if f"Signature={expected}" not in http.headers["Authorization"]:
            raise web.HTTPForbidden(text=json.dumps({"message": "The request signature we calculated does not match."}))
        return await self._answered(http, body)

    async def vertex(self, http: web.Request, body: Any) -> dict[str, Any]:
        if http.headers["Authorization"] != f"Bearer {GOOGLE_TOKEN}":
            raise web.HTTPUnauthorized(text=json.dumps({"error": {"message": "Request had invalid authentication credentials."}}))
        return await self._answered(http, body)

    async def foundry(self, http: web.Request, body: Any) -> dict[str, Any]:
        if http.headers["x-api-key"] != FOUNDRY_KEY:
            raise web.HTTPUnauthorized(text=json.dumps({"error": {"message": "Access denied due to invalid subscription key."}}))
        return await self._provider.messages(http, body)

    async def token(self, http: web.Request) -> web.Response:
        """Answer as Google's token endpoint does."""
        return web.json_response({"access_token": GOOGLE_TOKEN, "expires_in": 3600, "token_type": "Bearer"})

    async def _answered(self, http: web.Request, body: Any) -> dict[str, Any]:
        """Answer a body whose model stands in the path, and which names a version in place of it."""
        if not body.pop("anthropic_version", ""):
            raise web.HTTPBadRequest(text=json.dumps({"message": "anthropic_version: Field required"}))
        return await self._provider.messages(http, body | {"model": http.match_info["model"]})
