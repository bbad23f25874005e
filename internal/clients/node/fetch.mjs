// Node's built-in fetch, which reads HTTPS_PROXY when NODE_USE_ENV_PROXY=1.
import { accessToken, expect, instanceUrl, loop } from '../loop.mjs';
import { round } from './round.mjs';

await loop(() => round(fetch, instanceUrl, accessToken, expect));
