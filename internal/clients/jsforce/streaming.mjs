// jsforce: the Streaming API. Its faye client takes no proxy from jsforce; it
// goes through Node's own agent, which reads HTTPS_PROXY with NODE_USE_ENV_PROXY=1.
import jsforce from 'jsforce';
import { accessToken, expect, instanceUrl, loop } from '../loop.mjs';

const conn = new jsforce.Connection({ instanceUrl, accessToken, version: '65.0' });
const client = conn.streaming.createClient([]);
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
