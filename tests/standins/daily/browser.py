"""Connect two ends of a call in Chromium, only over the agent's relay.

Prints JSON: what one end received from the other, and the candidates of both. Runs inside a
namespace: python browser.py AGENT ROOM_URL FOLDER
"""

import asyncio
import json
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib import import_module
from pathlib import Path
from queue import Empty, Queue
from socket import AF_INET6
from threading import Thread
from typing import Any

sys.path.insert(0, sys.argv[1])
ipv6_relay = import_module("ipv6_relay")  # in the folder of the first argument

TIMEOUT = 240
PAGE = """<!doctype html>
<script type="module">
const {iceServers} = await (await fetch("/config")).json();
const options = {iceServers, iceTransportPolicy: "relay"};
const [one, other] = [new RTCPeerConnection(options), new RTCPeerConnection(options)];
const found = [], post = result => fetch("/result", {method: "POST", body: JSON.stringify(result)});
for (const [here, there] of [[one, other], [other, one]]) {
  here.onicecandidate = ({candidate}) => {
    if (!candidate?.candidate) return;
    found.push(candidate.candidate);
    there.addIceCandidate(candidate);
  };
}
const channel = one.createDataChannel("chat");
channel.onopen = () => channel.send("is this the peer?");
other.ondatachannel = ({channel}) => {
  channel.onmessage = ({data}) => post({heard: data, found});
};
await one.setLocalDescription();
await other.setRemoteDescription(one.localDescription);
await other.setLocalDescription();
await one.setRemoteDescription(other.localDescription);
</script>"""


class Ipv6Server(HTTPServer):
    address_family = AF_INET6


def browse(config: dict[str, Any], folder: Path) -> dict[str, Any]:
    results: Queue[dict[str, Any]] = Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            is_page = self.path == "/"
            self._answer("text/html" if is_page else "application/json",
                         PAGE if is_page else json.dumps(config))  # fmt: skip

        def do_POST(self) -> None:
            results.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self._answer("application/json", "{}")

        def _answer(self, kind: str, body: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    with Ipv6Server(("::1", 0), Handler) as server:
        Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        flags = [
            "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
            "--no-first-run", f"--user-data-dir={folder / 'profile'}",
        ]  # fmt: skip
        argv = ["chromium", *flags, f"http://[::1]:{server.server_port}/"]
        with (folder / "chromium.log").open("wb") as log:
            chromium = subprocess.Popen(argv, stdout=log, stderr=log)
        try:
            return results.get(timeout=TIMEOUT)
        except Empty:
            return {"log": (folder / "chromium.log").read_text()[-3000:]}
        finally:
            chromium.kill()
            chromium.wait()
            server.shutdown()


async def main(room: str, folder: str) -> None:
    async with ipv6_relay.ice_config(room) as config:
        assert config
        print(json.dumps(await asyncio.to_thread(browse, config, Path(folder))))


asyncio.run(main(*sys.argv[2:]))
