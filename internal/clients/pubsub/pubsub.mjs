// The npm Pub/Sub client on grpc-js: subscribes, publishes, and waits for what it
// published. It reads the CA only from the cacert-*.pem that it ships: the
// proxy's CA is appended to that file.
import PubSubApiClient from 'salesforce-pubsub-api-client';
import { accessToken, expect, instanceUrl, loop } from '../loop.mjs';

const quiet = { debug() {}, info() {}, warn: console.error, error: console.error };
const config = { authType: 'user-supplied', accessToken, instanceUrl, organizationId: process.env.ORGANIZATION_ID };
const topic = '/event/Order__e';
const client = new PubSubApiClient(config, quiet);
await client.connect();

const arrived = new Map();
let told = () => {};
client.subscribe(topic, (_, kind, data) => {
  if (kind === 'event') arrived.get(data.payload.Message__c)?.();
  if (kind === 'error') told(data);
});

let n = 0;
const since = Date.now();
await loop(async () => {
  const text = `event ${since} ${++n}`;
  const came = new Promise((resolve, reject) => {
    arrived.set(text, resolve);
    told = reject;
    setTimeout(() => reject(new Error(text + ' did not arrive in 20 s')), 20000).unref();
  });
  const [published] = await Promise.all([client.publish(topic, { CreatedDate: since, CreatedById: '005000000000001AAA', Message__c: { string: text } }), came]);
  expect(published.replayId > 0, published);
  arrived.delete(text);
});
