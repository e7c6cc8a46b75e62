"""Requests to `/v1/chat/completions` on loopback -> the answers of a GGUF model on this machine.

`python -m lib.llm.embedded.server FILE.gguf` prints its URL and the model's name as one line of JSON when it is ready. It ends when its
stdin closes.
"""

import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from lib.llm.embedded.engine import Engine, Refused
from lib.llm.embedded.grammar import Json


class Handler(BaseHTTPRequestHandler):
    engine: Engine
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body, status = self.rfile.read(int(self.headers.get("Content-Length") or 0)), 200
        try:
            reply = self._reply(body)
        except Refused as refused:
            status, reply = refused.status, {"error": {"message": refused.text}}
        payload = json.dumps(reply).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.send_header("x-should-retry", "false")  # the same request would fail in the same way
        self.end_headers()
        self.wfile.write(payload)

    do_GET = do_POST

    def _reply(self, body: bytes) -> Json:
        if self.command == "GET" or self.path.partition("?")[0] != "/v1/chat/completions":
            raise Refused("There is only POST /v1/chat/completions.", status=404)
        try:
            return self.engine.complete(json.loads(body))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise Refused(f"Not a body of /v1/chat/completions: {error!r}") from None


def main() -> None:
    Handler.engine = Engine(Path(sys.argv[1]))
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(json.dumps({"url": f"http://127.0.0.1:{server.server_port}/v1", "model": Handler.engine.model}), flush=True)
    sys.stdin.buffer.read()
    os._exit(0)  # otherwise Python would wait for a running answer, and there is nothing to save


if __name__ == "__main__":
    main()
