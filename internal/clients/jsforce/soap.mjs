// jsforce: the SOAP partner and metadata APIs.
import jsforce from 'jsforce';
import { accessToken, expect, instanceUrl, loop } from '../loop.mjs';

const conn = new jsforce.Connection({ instanceUrl, accessToken, version: '65.0' });

await loop(async () => {
  const user = await conn.soap.getUserInfo();
  expect(user.organizationId?.startsWith('00D'), user);
  const made = await conn.soap.create([{ type: 'Account', Name: 'a' }, { type: 'Account', Name: 'b' }]);
  expect(made.length === 2 && made.every((r) => r.success), made);
  const listed = await conn.metadata.list([{ type: 'CustomObject' }], '65.0');
  expect([listed].flat()[0]?.fullName === 'Account', listed);
  expect((await conn.metadata.describe('65.0')).metadataObjects.length === 2, 'describeMetadata');
});
