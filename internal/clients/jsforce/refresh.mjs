// jsforce as an OAuth client of its own, with credentials that nobody issued.
import jsforce from 'jsforce';
import { expect, instanceUrl, loop } from '../loop.mjs';

const { DUMMY_CLIENT_ID: clientId, DUMMY_CLIENT_SECRET: clientSecret, DUMMY_REFRESH_TOKEN: refreshToken } = process.env;
const oauth2 = new jsforce.OAuth2({ clientId, clientSecret, loginUrl: instanceUrl, redirectUri: 'http://localhost/callback' });

await loop(async () => {
  const answer = await oauth2.refreshToken(refreshToken);
  expect(/^00D\w{12,15}!/.test(answer.access_token) && answer.instance_url && answer.id, Object.keys(answer));
  const conn = new jsforce.Connection({ oauth2, instanceUrl: answer.instance_url, accessToken: answer.access_token, refreshToken, version: '65.0' });
  expect((await conn.query('SELECT Id FROM Account')).totalSize === 1, 'query');
  // A connection that has a refresh token only asks for an access token first.
  const late = new jsforce.Connection({ oauth2, instanceUrl, refreshToken, version: '65.0' });
  expect((await late.identity()).user_id, 'identity');
});
