// Runs a round again and again until the file $STOP is there, or once with $ONCE,
// and prints one line of JSON a round.
import { existsSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';

export async function loop(round) {
  while (!existsSync(process.env.STOP)) {
    let said = { ok: true };
    try {
      await round();
    } catch (e) {
      said = { ok: false, error: causes(e).map((x) => (x.stack ?? String(x)).slice(0, 600)).join(' / ') };
    }
    console.log(JSON.stringify(said));
    if (process.env.ONCE) break;
    await pause(300);
  }
  process.exit(0);
}

// causes are an error, its cause, the cause's cause: what console.error shows.
function causes(e) {
  const all = [];
  for (; e && all.length < 5; e = e.cause) all.push(e);
  return all;
}

export function expect(is, what) {
  if (!is) throw new Error('unexpected: ' + JSON.stringify(what)?.slice(0, 500));
}

export const { INSTANCE_URL: instanceUrl, ACCESS_TOKEN: accessToken } = process.env;
