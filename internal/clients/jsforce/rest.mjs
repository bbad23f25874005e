// jsforce with an access token that nobody issued: REST, and Bulk 2.0.
import jsforce from 'jsforce';
import { accessToken, expect, instanceUrl, loop } from '../loop.mjs';

const conn = new jsforce.Connection({ instanceUrl, accessToken, version: '65.0' });

await loop(async () => {
  const found = await conn.query('SELECT Id, Name FROM Account LIMIT 4100', { autoFetch: true, maxFetch: 5000 });
  expect(found.records.length === 4100, found.records.length);
  const made = await conn.sobject('Account').create({ Name: 'Acme' });
  expect(made.success, made);
  await conn.sobject('Account').update({ Id: made.id, Name: 'Acme 2' });
  const several = await conn.sobject('Account').create([{ Name: 'a' }, { Name: 'b' }]);
  expect(several.every((r) => r.success), several);
  expect((await conn.sobject('Account').describe()).name === 'Account', 'describe');
  expect((await conn.identity()).organization_id, 'identity');
  const loaded = await conn.bulk2.loadAndWaitForResults({ object: 'Account', operation: 'insert', input: [{ Name: 'a' }, { Name: 'b' }], pollInterval: 200, pollTimeout: 60000 });
  expect(loaded.successfulResults.length === 2 && loaded.failedResults.length === 0, loaded);
});
