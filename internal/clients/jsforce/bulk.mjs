// jsforce: Bulk 1.0.
import jsforce from 'jsforce';
import { accessToken, expect, instanceUrl, loop } from '../loop.mjs';

const conn = new jsforce.Connection({ instanceUrl, accessToken, version: '65.0' });
conn.bulk.pollInterval = 200;
conn.bulk.pollTimeout = 60000;

await loop(async () => {
  const rows = await conn.bulk.load('Account', 'insert', [{ Name: 'a' }, { Name: 'b' }, { Name: 'c' }]);
  expect(rows.length === 3 && rows.every((r) => r.success), rows);
});
