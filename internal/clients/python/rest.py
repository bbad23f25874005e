"""requests, with the proxy and its CA from the environment."""
import os

import requests

import loop

instance = os.environ["INSTANCE_URL"]
api = instance + "/services/data/v65.0"
session = requests.Session()
session.headers["Authorization"] = "Bearer " + os.environ["ACCESS_TOKEN"]


def ok(r):
    if not r.ok:
        raise requests.HTTPError(f"{r.status_code} {r.reason} for {r.url}: {r.text}", response=r)
    return r


def go():
    found = ok(session.get(api + "/query", params={"q": "SELECT Id, Name FROM Contact LIMIT 4500"}, timeout=60)).json()
    n = len(found["records"])
    while not found["done"]:
        found = ok(session.get(instance + found["nextRecordsUrl"], timeout=60)).json()
        n += len(found["records"])
    assert n == 4500, n
    made = ok(session.post(api + "/sobjects/Account", json={"Name": "Acme"}, timeout=60)).json()
    assert made["success"], made
    ok(session.patch(f"{api}/sobjects/Account/{made['id']}", json={"Name": "Acme 2"}, timeout=60))
    both = ok(session.post(api + "/composite", timeout=60, json={"allOrNone": True, "compositeRequest": [
        {"method": "POST", "url": "/services/data/v65.0/sobjects/Account", "referenceId": "a", "body": {"Name": "Acme"}},
        {"method": "GET", "url": "/services/data/v65.0/sobjects/Account/" + made["id"], "referenceId": "b"}]})).json()
    assert [r["httpStatusCode"] for r in both["compositeResponse"]] == [201, 200], both
    told = ok(session.post(api + "/graphql", timeout=60, json={"query": "query { uiapi { query { Account { edges { node { Id Name { value } } } } } } }"})).json()
    assert told["data"]["uiapi"]["query"]["Account"]["edges"], told
    assert ok(session.get(api + "/tooling/query", params={"q": "SELECT Id FROM ApexClass"}, timeout=60)).json()["totalSize"] == 1
    job = ok(session.post(api + "/jobs/ingest", json={"object": "Account", "operation": "insert", "contentType": "CSV", "lineEnding": "LF"}, timeout=60)).json()
    ok(session.put(f"{instance}/{job['contentUrl']}", data=b"Name\nAcme\nUmbrella\n", headers={"Content-Type": "text/csv"}, timeout=60))
    ok(session.patch(f"{api}/jobs/ingest/{job['id']}", json={"state": "UploadComplete"}, timeout=60))
    while True:
        job = ok(session.get(f"{api}/jobs/ingest/{job['id']}", timeout=60)).json()
        if job["state"] == "JobComplete":
            break
    assert job["numberRecordsProcessed"] == 2, job


loop.run(go)
