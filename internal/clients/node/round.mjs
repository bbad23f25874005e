// A query of several pages, and a record made, changed and deleted.
export async function round(fetch, instanceUrl, token, expect) {
  const api = instanceUrl + '/services/data/v65.0';
  const headers = { Authorization: 'Bearer ' + token, 'Content-Type': 'application/json' };
  const call = async (url, init = {}) => {
    const r = await fetch(url, { headers, ...init });
    if (!r.ok) throw new Error(`${r.status} ${await r.text()}`);
    return r.status === 204 ? null : r.json();
  };
  let page = await call(`${api}/query?q=${encodeURIComponent('SELECT Id, Name FROM Contact LIMIT 2300')}`);
  let n = page.records.length;
  while (!page.done) {
    page = await call(instanceUrl + page.nextRecordsUrl);
    n += page.records.length;
  }
  expect(n === 2300, n);
  const made = await call(api + '/sobjects/Account', { method: 'POST', body: JSON.stringify({ Name: 'Acme' }) });
  expect(made.success, made);
  await call(`${api}/sobjects/Account/${made.id}`, { method: 'PATCH', body: JSON.stringify({ Name: 'Acme 2' }) });
  await call(`${api}/sobjects/Account/${made.id}`, { method: 'DELETE' });
}
