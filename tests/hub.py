"""A server on 127.0.0.1 that speaks enough of the Hub's protocol for the real clients to read from it and write to it.

Repositories start as the folders `models/OWNER/NAME` and `datasets/OWNER/NAME` below a root, all at one commit; what
is published is kept in memory, a list of commits for each.
"""

import base64
import contextlib
import hashlib
import json
import socket
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TOKEN = "hf_made_up_for_tests"
WHO = "maria"
LARGE = (".safetensors",)  # what the Hub takes as large files


@dataclass
class Commit:
    oid: str
    message: str
    files: dict


@dataclass
class Hub:
    """`faults` maps the beginning of "METHOD /path" to a status to answer with, or to "break" for a connection cut; POST /faults sets them."""

    address: str = ""
    asked: list = field(default_factory=list)
    faults: dict = field(default_factory=dict)
    repositories: dict = field(default_factory=dict)
    private: set = field(default_factory=set)
    large: dict = field(default_factory=dict)

    def files(self, name, kind="models"):
        return self.repositories[kind, name][-1].files

    def load(self, root):
        for kind in ("models", "datasets"):
            for place in sorted(root.glob(f"{kind}/*/*")):
                found = (item for item in place.rglob("*") if item.is_file())
                files = {item.relative_to(place).as_posix(): item.read_bytes() for item in found}
                name = "/".join(place.relative_to(root / kind).parts)
                self.repositories[kind, name] = [Commit(COMMIT, "", files)]


def is_large(path):
    return path.endswith(LARGE)


def entry(path, content):
    """A file as the tree and paths-info answers describe it."""
    found = {"type": "file", "path": path, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
    if is_large(path):
        found["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
    return found


def make_handler(hub):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.path == "/faults":
                hub.faults = json.loads(body)
                self.answer(200, b"", {})
                return
            hub.asked.append(self.path)
            parts = [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]
            fault = next(
                (fault for start, fault in hub.faults.items() if f"{self.command} {self.path}".startswith(start)), None
            )
            if fault == "break":
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True
            elif fault is not None:
                self.refuse(fault, "", "as the test wants it")
            elif parts[0] == "api":
                self.answer_api(parts[1], parts[2:], body)
            elif parts[0] == "large":
                hub.large[parts[1]] = body
                right = hashlib.sha256(body).hexdigest() == parts[1]
                self.answer(200 if right else 400, b"", {})
            elif parts[-1] == "batch":
                self.answer_batch(json.loads(body))
            else:
                kind, rest = (parts[0], parts[1:]) if parts[0] == "datasets" else ("models", parts)
                self.answer_file(kind, rest)

        def do_HEAD(self):
            self.do_GET()

        def do_POST(self):
            self.do_GET()

        def do_PUT(self):
            self.do_GET()

        def answer_api(self, kind, parts, body):
            name = "/".join(parts[:2])
            if kind == "whoami-v2":
                token = {"accessToken": {"displayName": "test", "role": "write"}}
                self.answer_json({"name": WHO, "type": "user", "auth": token}) if self.known() else self.refuse(401)
            elif kind == "repos":
                self.create(json.loads(body))
            elif kind == "validate-yaml":
                self.validate(json.loads(body)["content"])
            elif (kind, name) not in hub.repositories or (name in hub.private and not self.known()):
                self.refuse(404, "RepoNotFound")
            elif parts[2:3] == ["preupload"]:
                files = [{"path": one["path"], "shouldIgnore": False} for one in json.loads(body)["files"]]
                modes = [{**one, "uploadMode": "lfs" if is_large(one["path"]) else "regular"} for one in files]
                self.answer_json({"files": modes})
            elif parts[2:3] == ["commit"]:
                self.commit(name, [json.loads(line) for line in body.splitlines()])
            else:
                self.describe(kind, name, parts[2:], body.decode())

        def describe(self, kind, name, parts, body):
            last = hub.repositories[kind, name][-1]
            entries = [entry(path, content) for path, content in sorted(last.files.items())]
            what = parts[0] if parts else "info"
            if what == "paths-info":
                wanted = json.loads(body)["paths"] if body.startswith("{") else parse_qs(body).get("paths", [])
                self.answer_json([item for item in entries if item["path"] in wanted])
            elif what == "tree":
                found = [item for item in entries if item["path"].startswith("/".join(parts[2:]))]
                self.answer_json(found) if found or not parts[2:] else self.refuse(404, "EntryNotFound")
            else:
                siblings = [{"rfilename": item["path"]} for item in entries]
                self.answer_json({"id": name, "sha": last.oid, "siblings": siblings, "private": name in hub.private})

        def create(self, wanted):
            name = f"{wanted.get('organization') or WHO}/{wanted['name']}"
            if not self.known():
                self.refuse(401)
            elif not name.startswith(f"{WHO}/"):
                self.refuse(403, "", f"You don't have the rights to create a model under {name.partition('/')[0]}")
            elif ("models", name) in hub.repositories:
                self.answer_json({"error": "You already created this model repo", "url": f"{hub.address}/{name}"}, 409)
            else:
                hub.repositories["models", name] = [Commit(COMMIT, "initial commit", {})]
                hub.private |= {name} if wanted.get("visibility") == "private" or wanted.get("private") else set()
                self.answer_json({"url": f"{hub.address}/{name}", "name": name})

        def validate(self, card):
            try:
                data = yaml.safe_load(card.split("---")[1])
                wrong = [] if isinstance(data, dict) else ["no metadata"]
            except (yaml.YAMLError, IndexError) as error:
                wrong = [str(error)]
            self.answer_json({"errors": [{"message": one} for one in wrong], "warnings": []}, 400 if wrong else 200)

        def answer_batch(self, wanted):
            objects = []
            for one in wanted["objects"]:
                upload = {"upload": {"href": f"{hub.address}/large/{one['oid']}"}}
                objects.append({**one, **({} if one["oid"] in hub.large else {"actions": upload})})
            self.answer_json({"transfer": "basic", "objects": objects})

        def commit(self, name, lines):
            files = dict(hub.files(name))
            header = next(line["value"] for line in lines if line["key"] == "header")
            for line in lines:
                value = line["value"]
                if line["key"] == "deletedFile":
                    del files[value["path"]]
                if line["key"] == "file":
                    files[value["path"]] = base64.b64decode(value["content"])
                elif line["key"] == "lfsFile":
                    files[value["path"]] = hub.large[value["oid"]]
            before = hub.repositories["models", name]
            oid = hashlib.sha1(f"{name}{len(before)}".encode()).hexdigest()
            before.append(Commit(oid, header["summary"], files))
            self.answer_json({"success": True, "commitOid": oid, "commitUrl": f"{hub.address}/{name}/commit/{oid}"})

        def answer_file(self, kind, parts):
            name, path = "/".join(parts[:2]), "/".join(parts[4:])
            if (kind, name) not in hub.repositories:
                self.refuse(404, "RepoNotFound")
            elif path not in hub.files(name, kind):
                self.refuse(404, "EntryNotFound")
            else:
                content = hub.files(name, kind)[path]
                told = entry(path, content)
                tag = told["lfs"]["oid"] if "lfs" in told else told["oid"]
                commit = hub.repositories[kind, name][-1].oid
                self.answer(200, content, {"ETag": f'"{tag}"', "X-Repo-Commit": commit})

        def known(self):
            return self.headers.get("Authorization") == f"Bearer {TOKEN}"

        def answer_json(self, content, status=200):
            self.answer(status, json.dumps(content).encode(), {"Content-Type": "application/json"})

        def refuse(self, status, code="", message="not here"):
            body = json.dumps({"error": message}).encode()
            named = {"X-Error-Code": code} if code else {}
            self.answer(status, body, {**named, "X-Error-Message": message, "Content-Type": "application/json"})

        def answer(self, status, content, headers):
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def log_message(self, *args):
            pass

    return Handler


@contextlib.contextmanager
def serving(root=None):
    """A Hub with the repositories below `root`, answering while the context is open."""
    hub = Hub()
    if root is not None:
        hub.load(root)
    server = ThreadingHTTPServer(("127.0.0.1", 0), make_handler(hub))
    hub.address = f"http://127.0.0.1:{server.server_port}"
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
