"""A Kubernetes API server made of kmock, which this project did not write.

Prints its URL. Then it reads lines from its standard input, each a JSON array of a method, a path and
a body, makes that request to itself, and prints the status. At the end of its input it prints the
requests of others, one a line, and ends.

What kmock does not have: resource versions, field selectors, bookmarks, the end of a watch, TLS.
"""

import asyncio
import json
import sys

import kmock

OWN = "the test"


async def main() -> None:
    async with kmock.KubernetesEmulator() as api, kmock.Server(api) as server:
        for resource in ("v1/pods", "resource.k8s.io/v1/resourceslices"):
            api.resources[resource] = {}
        print(str(server.url).rstrip("/"), flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            method, path, body = json.loads(line)
            headers = {"User-Agent": OWN}
            async with server.client.request(method, path, json=body, headers=headers) as answer:
                print(answer.status, flush=True)
        for request in api:
            if request.headers.get("User-Agent") != OWN:
                print(request.method.value, request.url, flush=True)


asyncio.run(main())
