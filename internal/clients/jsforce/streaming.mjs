// jsforce: the Streaming API. Its faye client takes no proxy from jsforce; it
// goes through Node's own agent, which reads HTTPS_PROXY with NODE_USE_ENV_PROXY=1.
// Of what goes wrong it says nothing by itself: a refused handshake is told to the
// AuthFailure extension, a connection that can't be made to faye's logger.
import faye from 'faye';
import jsforce from 'jsforce';
import { StreamingExtension } from 'jsforce/lib/api/streaming.js';
import { accessToken, expect, instanceUrl, loop } from '../loop.mjs';

const conn = new jsforce.Connection({ instanceUrl, accessToken, version: '65.0' });
faye.logger = { error: console.error };
const client = conn.streaming.createClient([new StreamingExtension.AuthFailure((m) => {
  console.error(m.ext?.sfdc?.failureReason ?? m.error);
  process.exit(1);
})]);
if (process.env.ONCE) client.on('transport:down', () => process.exit(1));
const arrived = new Map();
await client.subscribe('/event/Order__e', (m) => arrived.get(m.payload.Message__c)?.());

let n = 0;
await loop(async () => {
  const text = `event ${++n}`;
  const came = new Promise((resolve) => arrived.set(text, resolve));
  await conn.sobject('Order__e').create({ Message__c: text });
  const late = new Promise((_, reject) => setTimeout(() => reject(new Error(text + ' did not arrive in 20 s')), 20000).unref());
  await Promise.race([came, late]);
  arrived.delete(text);
  expect(arrived.size === 0, [...arrived.keys()]);
});
