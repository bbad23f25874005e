"""requests without a proxy and without a CA: a base URL and Basic credentials."""
import os

import requests

import loop

session = requests.Session()
session.trust_env = False
session.auth = (os.environ["SALLYPORT_CLIENT"], os.environ["SALLYPORT_CLIENT_SECRET"])
base = os.environ["BASE_URL"]


def ok(r):
    assert r.ok, f"{r.status_code} {r.text}"
    return r


def go():
    r = ok(session.get(base + "/services/data/v65.0/query", params={"q": "SELECT Id FROM Account LIMIT 2500"}, timeout=60))
    more = ok(session.get(base + r.json()["nextRecordsUrl"], timeout=60))
    assert len(r.json()["records"]) + len(more.json()["records"]) == 2500
    ok(session.post(base + "/services/data/v65.0/sobjects/Account", json={"Name": "Acme"}, timeout=60))


loop.run(go)
