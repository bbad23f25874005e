// undici with its EnvHttpProxyAgent, which reads HTTPS_PROXY.
import { EnvHttpProxyAgent, fetch, setGlobalDispatcher } from 'undici';
import { accessToken, expect, instanceUrl, loop } from '../loop.mjs';
import { round } from './round.mjs';

setGlobalDispatcher(new EnvHttpProxyAgent());
await loop(() => round(fetch, instanceUrl, accessToken, expect));
