"""A server on 127.0.0.1 that speaks enough of the Hub's protocol for the real clients to download from it.

Repositories are folders: `models/OWNER/NAME` and `datasets/OWNER/NAME` below a root, all at one commit.
"""

import contextlib
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def files_of(repository):
    return sorted(item for item in repository.rglob("*") if item.is_file())


def entry(repository, file):
    """A file as the tree and paths-info answers describe it."""
    content = file.read_bytes()
    name = file.relative_to(repository).as_posix()
    return {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}


def make_handler(root, asked):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            asked.append(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            parts = [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]
            if parts[0] == "api":
                self.answer_api(parts[1], parts[2:], body)
            else:
                kind, rest = (parts[0], parts[1:]) if parts[0] == "datasets" else ("models", parts)
                self.answer_file(kind, rest)

        def do_HEAD(self):
            self.do_GET()

        def do_POST(self):
            self.do_GET()

        def answer_api(self, kind, parts, body):
            repository = root / kind / "/".join(parts[:2])
            if len(parts) < 2 or not repository.is_dir():
                self.refuse("RepoNotFound")
                return
            entries = [entry(repository, file) for file in files_of(repository)]
            what = parts[2] if len(parts) > 2 else "info"
            if what == "paths-info":
                wanted = json.loads(body)["paths"] if body.startswith("{") else parse_qs(body).get("paths", [])
                self.answer_json([item for item in entries if item["path"] in wanted])
            elif what == "tree":
                below = "/".join(parts[4:])
                found = [item for item in entries if item["path"].startswith(below)]
                self.answer_json(found) if found else self.refuse("EntryNotFound")
            else:
                siblings = [{"rfilename": item["path"]} for item in entries]
                self.answer_json({"id": "/".join(parts[:2]), "sha": COMMIT, "siblings": siblings, "private": False})

        def answer_file(self, kind, parts):
            repository = root / kind / "/".join(parts[:2])
            file = repository / "/".join(parts[4:])
            if not repository.is_dir():
                self.refuse("RepoNotFound")
            elif not file.is_file():
                self.refuse("EntryNotFound")
            else:
                self.answer(200, file.read_bytes(), {"ETag": f'"{entry(repository, file)["oid"]}"'})

        def answer_json(self, content):
            self.answer(200, json.dumps(content).encode(), {"Content-Type": "application/json"})

        def refuse(self, code):
            self.answer(404, b"{}", {"X-Error-Code": code, "X-Error-Message": "not here"})

        def answer(self, status, content, headers):
            self.send_response(status)
            for name, value in {**headers, "X-Repo-Commit": COMMIT, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def log_message(self, *args):
            pass

    return Handler


@contextlib.contextmanager
def serving(root):
    """(address, paths asked for) of a server for the repositories below `root`, while the context is open."""
    asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), make_handler(root, asked))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
