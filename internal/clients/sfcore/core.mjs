// @salesforce/core, which authenticates by an access token that nobody issued.
import { AuthInfo, Connection } from '@salesforce/core';
import { accessToken, expect, instanceUrl, loop } from '../loop.mjs';

const authInfo = await AuthInfo.create({ username: accessToken, accessTokenOptions: { accessToken, instanceUrl, loginUrl: instanceUrl } });

await loop(async () => {
  const conn = await Connection.create({ authInfo, connectionOptions: { version: '65.0' } });
  expect((await conn.query('SELECT Id, Name FROM Account LIMIT 3')).totalSize === 3, 'query');
  expect((await conn.tooling.query('SELECT Id FROM ApexClass')).totalSize === 1, 'tooling');
  expect((await conn.singleRecordQuery('SELECT Id, InstanceName FROM Organization')).InstanceName, 'organization');
  expect((await conn.sobject('Account').create({ Name: 'Acme' })).success, 'create');
});
