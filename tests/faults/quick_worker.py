"""What a worker leaves, without its imports: `quick_worker.py WITNESS OUTPUT_ROOT HANDOFF`."""

import hashlib
import json
import os
import sys
import time


def main(witness, root, handoff_key):
    with open(f"{root}/{handoff_key}") as stream:
        handoff = json.load(stream)
    for item in handoff["items"]:
        folder = (
            f"{root}/{handoff['batch']}/items/{item['item']}/{handoff['step']}/a{item['attempt']}"
        )
        os.makedirs(folder, exist_ok=True)
        if not os.path.exists(f"{folder}/outcome.json"):
            work(witness, folder, handoff, item)
    print("worked")


def work(witness, folder, handoff, item):
    put(folder, "begun.json", "{}")
    line = f"{item['item']} {item['attempt']}\n".encode()
    descriptor = os.open(witness, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.write(descriptor, line)
    os.close(descriptor)
    time.sleep(0.05)
    files = [leave(folder, name, item["item"]) for name in handoff["outputs"]]
    put(folder, "outcome.json", json.dumps(outcome(handoff, item, files)))


def leave(folder, name, text):
    put(folder, name, text)
    digest = hashlib.sha256(text.encode()).hexdigest()
    return {"name": name, "size": len(text), "sha256": digest}


def outcome(handoff, item, files):
    same = {key: handoff[key] for key in ("batch", "dispatch", "step")}
    same |= {"item": item["item"], "attempt": item["attempt"], "started_at": 0, "ended_at": 1}
    return {**same, "status": "succeeded", "files": files}


def put(folder, name, text):
    aside = f"{folder}/.{name}.part"
    with open(aside, "w") as stream:
        stream.write(text)
    os.replace(aside, f"{folder}/{name}")


if __name__ == "__main__":
    main(*sys.argv[1:])
